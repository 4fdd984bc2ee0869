/* The CPU device: kernels over host memory with one OpenMP team per rank. Every kernel cpu_NAME has
 * the arguments of dev_NAME (device/ops.h), which has checked them.
 *
 * Rules for kernels: the team is cut statically (by rows or by tasks whose result does not depend on
 * who does them), sums have a fixed order for equal thread counts, and no OpenMP float `reduction` is
 * used. Denormals are flushed in every thread. */
#ifndef DEVICE_CPU_H
#define DEVICE_CPU_H
#include "device/ops.h"

/* One body, several instruction sets, chosen when the program is loaded. gcc 12 clones the bodies of
 * OpenMP regions along with their function, and inlines helpers into each clone (both verified); it
 * does so by levels, not processor names, which would leave AMD on the default. Other compilers do
 * not carry the target into OpenMP bodies: with them, use -march=native. The sanitizers' start-up does
 * not survive the resolvers. */
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

/** Row-major c[m,n] = op(a)[m,k] op(b)[k,n] + beta*c; any size may be zero; with beta = 0, c is not read.
 *  Uses the whole team, or only the calling thread inside a parallel region. */
void cpu_sgemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
               int64_t ldb, float beta, float *c, int64_t ldc);
/** c (+)= op(a) op(b) of BF16 operands by the library, where this processor is fast at it; false, and nothing
 *  done, where it is not or the types are others. c F32 or BF16, rounded once. */
bool cpu_gemm_bf16(bool ta, bool tb, view a, view b, bool acc, view c);
/** Is this processor fast at BF16? */
bool cpu_has_bf16(void);

/** Memory for the call in progress (per-thread buffers, partial sums): 64-byte aligned, contents
 *  undefined, owned by the device, valid until the next call. It only grows. Not inside parallel. */
void *cpu_scratch(struct dev *, int64_t bytes);
/** The same, apart from it and from each other: for operands of the call in fp32 (wide.h). */
enum { CPU_WIDE = 9 };
void *cpu_wide(struct dev *, int slot, int64_t bytes);

/* Typed access. A stack's matrices lie n[1]*ld apart, so row r of all n[0]*n[1] rows is at r*ld. */
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
