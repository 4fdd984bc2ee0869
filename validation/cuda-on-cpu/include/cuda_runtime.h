/* CUDA's C++ on the CPU: the same .cu files compile with a plain C++ compiler when this folder comes first on
 * the include path. Threads of a block are fibers, so barriers and warp collectives work; blocks run one
 * after another. Not there: grid-wide synchronisation, clusters, TMA, wgmma, __activemask, textures, dynamic
 * parallelism. Float atomics are deleted: sums have a fixed order. */
#ifndef CUDA_ON_CPU_RUNTIME_H
#define CUDA_ON_CPU_RUNTIME_H
#include "cuda_runtime_api.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <tuple>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
using std::max;
using std::min;

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned nx = 1, unsigned ny = 1, unsigned nz = 1) : x(nx), y(ny), z(nz)
    {
    }
};
struct uint3 {
    unsigned x, y, z;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) int2 {
    int x, y;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(16) double2 {
    double x, y;
};
static inline float2 make_float2(float x, float y)
{
    return {x, y};
}
static inline float4 make_float4(float x, float y, float z, float w)
{
    return {x, y, z, w};
}
static inline int2 make_int2(int x, int y)
{
    return {x, y};
}
static inline int4 make_int4(int x, int y, int z, int w)
{
    return {x, y, z, w};
}
static inline uint2 make_uint2(unsigned x, unsigned y)
{
    return {x, y};
}
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w)
{
    return {x, y, z, w};
}

namespace on_cpu
{
/* What lanes of a warp, or threads of a block, meet for. */
enum meet { SHUFFLE, BALLOT, SYNCWARP, MATRIX };
struct thread {
    dim3 index, block;
    int lane, warp;
};
extern thread *self; /* the CUDA thread that runs; nullptr: the host */
extern dim3 grid_dim, block_dim;
[[noreturn]] void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

typedef const char (*values)[16];
/** All lanes of `mask` meet; each gives up to 16 bytes and gets the 32 lanes' values, which stay until its
 * next meeting; the last to come runs `last` first. Orders memory only where the device promises it. */
values meeting(meet, unsigned mask, const void *value, size_t bytes, const char *where,
               void (*last)(values) = nullptr);
/** All threads of the block that live meet; returns the sum of their predicates. */
int block_meeting(int predicate, const char *where);
/** The shared array of this name in the block that runs. key: one for each declaration; nullptr: the
 * launch's dynamic bytes. */
void *shared(const void *key, size_t bytes, const char *name);

typedef std::function<void()> work;
void launch(const void *kernel, dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t, work one_thread,
            const char *name);
void check_arguments(const char *kernel, const void *arguments, size_t bytes);
void allow_dynamic(const void *kernel, int bytes);

/** A type with gaps between its members may hold anything there: it is not looked at. */
template <class T> void check_argument(const char *kernel, const T &argument)
{
    if (std::has_unique_object_representations_v<T>)
        check_arguments(kernel, &argument, sizeof argument);
}

template <class... P, class... A>
void launch_kernel(const char *name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes,
                   cudaStream_t stream, A... a)
{
    std::tuple<std::decay_t<P>...> arguments(static_cast<std::decay_t<P>>(a)...);
    static_assert(sizeof arguments <= 4096, "kernel parameters over 4 KiB");
    std::apply([=](const auto &...each) { (check_argument(name, each), ...); }, arguments);
    launch((const void *)kernel, grid, block, shared_bytes, stream, [=] { std::apply(kernel, arguments); },
           name);
}
} // namespace on_cpu

#define ON_CPU_TEXT2(x) #x
#define ON_CPU_TEXT(x) ON_CPU_TEXT2(x)
#define ON_CPU_HERE __FILE__ ":" ON_CPU_TEXT(__LINE__)
#define threadIdx (on_cpu::self->index)
#define blockIdx (on_cpu::self->block)
#define blockDim (on_cpu::block_dim)
#define gridDim (on_cpu::grid_dim)
#define warpSize 32

/* ---- the three macros that kernels are written with (src/device/cuda/launch.h has them for nvcc) ---- */
#define LAUNCH(kernel, grid, block, shared_bytes, stream, ...) \
    on_cpu::launch_kernel(#kernel, kernel, grid, block, shared_bytes, stream, ##__VA_ARGS__)
#define SHARED(type, name, ...)           \
    typedef type name##_type __VA_ARGS__; \
    static const char name##_key = 0;     \
    name##_type &name = *(name##_type *)on_cpu::shared(&name##_key, sizeof(name##_type), #name)
#define SHARED_DYNAMIC(type, name) type *name = (type *)on_cpu::shared(nullptr, 0, #name)

/* ---- collectives ---- */
#define __syncthreads() ((void)on_cpu::block_meeting(0, ON_CPU_HERE))
#define __syncthreads_count(p) on_cpu::block_meeting((p) != 0, ON_CPU_HERE)
#define __syncthreads_or(p) (on_cpu::block_meeting((p) != 0, ON_CPU_HERE) != 0)
#define __syncwarp(...) \
    ((void)on_cpu::meeting(on_cpu::SYNCWARP, on_cpu::mask_or_all(__VA_ARGS__), nullptr, 0, ON_CPU_HERE))
namespace on_cpu
{
inline unsigned mask_or_all(unsigned mask = 0xffffffffu)
{
    return mask;
}
inline int width_or_32(int width = 32)
{
    return width;
}
/** Lane `from`'s value; the own one outside the segment; undefined of a lane that takes no part. */
template <class T> inline T shuffle(unsigned mask, T v, int from, int width, const char *where)
{
    static_assert(sizeof(T) <= 16, "shuffle of a large type");
    int base = self->lane & ~(width - 1);
    values all = meeting(SHUFFLE, mask, &v, sizeof v, where);
    if (from < base || from >= base + width)
        return v;
    if (mask >> from & 1)
        memcpy(&v, all[from], sizeof v);
    else
        memset(&v, 0xff, sizeof v);
    return v;
}
inline unsigned ballot(unsigned mask, int predicate, const char *where)
{
    values all = meeting(BALLOT, mask, &predicate, sizeof predicate, where);
    unsigned bits = 0;
    for (int i = 0; i < 32; i++) {
        int p;
        memcpy(&p, all[i], sizeof p);
        bits |= (mask >> i & 1) && p ? 1u << i : 0;
    }
    return bits;
}
inline int lane_of(int lane, int width)
{
    return (self->lane & ~(width - 1)) + (lane & (width - 1));
}
} // namespace on_cpu
#define __shfl_xor_sync(m, v, x, ...) \
    on_cpu::shuffle(m, v, on_cpu::self->lane ^ (x), on_cpu::width_or_32(__VA_ARGS__), ON_CPU_HERE)
#define __shfl_down_sync(m, v, d, ...) \
    on_cpu::shuffle(m, v, on_cpu::self->lane + (int)(d), on_cpu::width_or_32(__VA_ARGS__), ON_CPU_HERE)
#define __shfl_up_sync(m, v, d, ...) \
    on_cpu::shuffle(m, v, on_cpu::self->lane - (int)(d), on_cpu::width_or_32(__VA_ARGS__), ON_CPU_HERE)
#define __shfl_sync(m, v, l, ...)                                               \
    on_cpu::shuffle(m, v, on_cpu::lane_of(l, on_cpu::width_or_32(__VA_ARGS__)), \
                    on_cpu::width_or_32(__VA_ARGS__), ON_CPU_HERE)
#define __ballot_sync(m, p) on_cpu::ballot(m, (p) != 0, ON_CPU_HERE)
#define __any_sync(m, p) (on_cpu::ballot(m, (p) != 0, ON_CPU_HERE) != 0)
#define __all_sync(m, p) (on_cpu::ballot(m, !(p), ON_CPU_HERE) == 0)

/* ---- small intrinsics ---- */
static inline int __popc(unsigned x)
{
    return __builtin_popcount(x);
}
static inline int __clz(int x)
{
    return x ? __builtin_clz((unsigned)x) : 32;
}
static inline int __ffs(int x)
{
    return __builtin_ffs(x);
}
static inline unsigned __umulhi(unsigned a, unsigned b)
{
    return (unsigned)((uint64_t)a * b >> 32);
}
static inline float rsqrtf(float x)
{
    return 1 / sqrtf(x);
}
#define __expf expf /* glibc declares the names */
#define __logf logf
static inline float __fdividef(float a, float b)
{
    return a / b;
}
static inline float __int_as_float(int x)
{
    float f;
    memcpy(&f, &x, sizeof f);
    return f;
}
static inline int __float_as_int(float x)
{
    int i;
    memcpy(&i, &x, sizeof i);
    return i;
}
static inline float __uint_as_float(unsigned x)
{
    return __int_as_float((int)x);
}
static inline unsigned __float_as_uint(float x)
{
    return (unsigned)__float_as_int(x);
}
template <class T> inline T __ldg(const T *p)
{
    return *p;
}
template <class T> inline T __ldcs(const T *p)
{
    return *p;
}
template <class T> inline void __stcs(T *p, T v)
{
    *p = v;
}
static inline int atomicAdd(int *p, int v)
{
    return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);
}
static inline unsigned atomicAdd(unsigned *p, unsigned v)
{
    return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);
}
static inline unsigned long long atomicAdd(unsigned long long *p, unsigned long long v)
{
    return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);
}
float atomicAdd(float *, float) = delete;
double atomicAdd(double *, double) = delete;
static inline int atomicOr(int *p, int v)
{
    return __atomic_fetch_or(p, v, __ATOMIC_RELAXED);
}
static inline int atomicExch(int *p, int v)
{
    return __atomic_exchange_n(p, v, __ATOMIC_RELAXED);
}
static inline void __threadfence()
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

template <class T> inline cudaError_t cudaMalloc(T **p, size_t bytes)
{
    return cudaMalloc((void **)p, bytes);
}
template <class T> inline cudaError_t cudaMallocHost(T **p, size_t bytes)
{
    return cudaMallocHost((void **)p, bytes);
}
template <class F> inline cudaError_t cudaFuncSetAttribute(F *kernel, cudaFuncAttribute, int bytes)
{
    on_cpu::allow_dynamic((const void *)kernel, bytes);
    return cudaSuccess;
}
#endif
