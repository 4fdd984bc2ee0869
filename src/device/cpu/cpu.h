/* The CPU device: kernels on host memory with one OpenMP team for each rank. Every kernel cpu_NAME has the
 * arguments of dev_NAME, which has checked them (device/ops.h).
 *
 * Rules for kernels: work is divided statically, by rows or by tasks whose result does not depend on the
 * thread. Sums have a fixed order for equal numbers of threads, so no OpenMP `reduction` of floats is used.
 * Denormals are flushed in every thread. */
#ifndef DEVICE_CPU_H
#define DEVICE_CPU_H
#include "device/ops.h"

/* A kernel is compiled for several instruction sets, and one is chosen when the program is loaded. gcc 12
 * clones the bodies of OpenMP regions with their function, and inlines helpers into each clone; both were
 * verified. The sets are named by levels, because with names of processors AMD would get the default. Other
 * compilers do not compile OpenMP bodies for the set, so use -march=native with them. Sanitizers crash at
 * start with such functions. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12 && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#    define KERNEL __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#    define KERNEL_CLONES 1
#else
#    define KERNEL
#endif

#define DECLARE_KERNEL(result, name, args) result cpu_##name args;
DEV_OPS(DECLARE_KERNEL)
#undef DECLARE_KERNEL

/** Row-major c[m,n] = op(a)[m,k] op(b)[k,n] + beta*c. Any size may be zero. With beta = 0, c is not read. It
 * uses the whole team; inside a parallel region only the calling thread. */
void cpu_sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
               int64_t ldb, float beta, float *c, int64_t ldc);
/** c (+)= op(a) op(b) of BF16 operands by the library; c is F32 or BF16 and rounded once. False, and nothing
 * is done, if this processor has no instructions for it or the types are others. */
bool cpu_gemm_bf16(bool ta, bool tb, view a, view b, bool acc, view c);
/** Is cpu_gemm_bf16 faster than products of widened operands? */
bool cpu_fast_at_bf16(void);

/** Memory for the call in progress, such as buffers of threads and partial sums: aligned to 64 bytes,
 * undefined, owned by the device, valid until the next call. It only grows. Not for parallel regions. */
void *cpu_scratch(struct dev *, int64_t bytes);
/** Further buffers of this kind, by number, for the call's operands in fp32 (wide.h). */
enum { CPU_WIDE = 9 };
void *cpu_wide(struct dev *, int slot, int64_t bytes);

/* Typed access to rows. The matrices of a stack lie n[1]*ld apart, so row r of all n[0]*n[1] rows is at r*ld.
 */
static inline float *f32_row(view v, int64_t r)
{
    return (float *)v.data + r * v.ld;
}

static inline int32_t *i32_row(view v, int64_t r)
{
    return (int32_t *)v.data + r * v.ld;
}

static inline int64_t view_rows_all(view v)
{
    return v.n[0] * v.n[1];
}

#endif
