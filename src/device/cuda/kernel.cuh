/* What all kernels share. The same files are compiled by nvcc and, for tests, by a C++ compiler with
 * validation/cuda-on-cpu first on the include path; LAUNCH, SHARED and SHARED_DYNAMIC are the only words that
 * differ.
 *
 * Rules for kernels: sums have a fixed order that depends on sizes alone, never on the card; no atomics on
 * floats; indices of elements are int64_t; nobody returns before a barrier or a shuffle of all lanes; what a
 * sum adds is fp32 or double whatever is stored, and a result is rounded once.
 *
 * Float views are read and written in packs of eight adjacent elements of a row. A kernel is a template over
 * how: 16-byte accesses to F32 or to BF16 where every row begins at a multiple of 16 bytes and holds whole
 * packs, else element by element of whatever type. All three give the same values to the same threads, so
 * bits depend neither on alignment nor on strides. */
#ifndef DEVICE_CUDA_KERNEL_CUH
#define DEVICE_CUDA_KERNEL_CUH
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <initializer_list>
#include "device/cuda/cuda.h"
#include "device/cuda/launch.h"

typedef __nv_bfloat16 bf16;
static const int BLOCK = 256, WARP = 32, PACK = 8; /* most threads of a block, unless it says otherwise */
static const unsigned ALL_LANES = 0xffffffffu;

/* ---- rows ---- */

/* A view as kernels see it: n columns, rows ld elements apart. */
struct rows {
    char *at;
    int64_t ld, n;
    int64_t half; /* BF16? */
};
struct pack {
    float v[PACK];
};
struct alignas(16) halves {
    bf16 v[PACK];
};

/* Each: load and store the pack that begins at column i of row r. f32: the same for fp32 views beside them.
 */
struct by_f32 {
    typedef by_f32 f32;
    static __device__ __forceinline__ pack load(const rows &x, int64_t r, int64_t i)
    {
        const float4 *p = (const float4 *)((const float *)x.at + r * x.ld + i);
        float4 a = p[0], b = p[1];
        return {{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}};
    }
    static __device__ __forceinline__ void store(const rows &x, int64_t r, int64_t i, const pack &a)
    {
        float4 *p = (float4 *)((float *)x.at + r * x.ld + i);
        p[0] = make_float4(a.v[0], a.v[1], a.v[2], a.v[3]);
        p[1] = make_float4(a.v[4], a.v[5], a.v[6], a.v[7]);
    }
};

struct by_bf16 {
    typedef by_f32 f32;
    static __device__ __forceinline__ pack load(const rows &x, int64_t r, int64_t i)
    {
        halves h = *(const halves *)((const bf16 *)x.at + r * x.ld + i);
        pack a;
#pragma unroll
        for (int j = 0; j < PACK; j++)
            a.v[j] = __bfloat162float(h.v[j]);
        return a;
    }
    static __device__ __forceinline__ void store(const rows &x, int64_t r, int64_t i, const pack &a)
    {
        halves h;
#pragma unroll
        for (int j = 0; j < PACK; j++)
            h.v[j] = __float2bfloat16_rn(a.v[j]);
        *(halves *)((bf16 *)x.at + r * x.ld + i) = h;
    }
};

/* What lies behind the row is 0, and is not written. */
struct by_element {
    typedef by_element f32;
    static __device__ __forceinline__ pack load(const rows &x, int64_t r, int64_t i)
    {
        pack a;
#pragma unroll
        for (int j = 0; j < PACK; j++) {
            int64_t at = r * x.ld + i + j;
            a.v[j] = i + j >= x.n ? 0.f
                     : x.half     ? __bfloat162float(((const bf16 *)x.at)[at])
                                  : ((const float *)x.at)[at];
        }
        return a;
    }
    static __device__ __forceinline__ void store(const rows &x, int64_t r, int64_t i, const pack &a)
    {
#pragma unroll
        for (int j = 0; j < PACK; j++)
            if (i + j < x.n) {
                if (x.half)
                    ((bf16 *)x.at)[r * x.ld + i + j] = __float2bfloat16_rn(a.v[j]);
                else
                    ((float *)x.at)[r * x.ld + i + j] = a.v[j];
            }
    }
};

static inline rows rows_of(view v)
{
    return {(char *)v.data, v.ld, v.n[2], v.type == BF16};
}

/** A contiguous view, whatever its shape, as one row. */
static inline rows row_of(view v)
{
    int64_t n = view_size(v);
    return {(char *)v.data, n, n, v.type == BF16};
}

static inline int64_t count_rows(view v)
{
    return v.n[0] * v.n[1];
}

static inline int64_t divide_up(int64_t n, int64_t by)
{
    return (n + by - 1) / by;
}

/** Do all rows begin at 16 bytes and hold whole packs? */
static inline bool whole_packs(const rows &x)
{
    int64_t size = x.half ? sizeof(bf16) : sizeof(float);
    return (uintptr_t)x.at % 16 == 0 && x.ld * size % 16 == 0 && x.n % PACK == 0;
}

/** Calls launch(how): `stored` may be of either type, `f32` are F32. */
template <class L>
static void with_access(std::initializer_list<rows> stored, std::initializer_list<rows> f32, L launch)
{
    bool packs = true, half = true, full = true;
    for (const rows &x : stored) {
        packs = packs && whole_packs(x);
        half = half && x.half;
        full = full && !x.half;
    }
    for (const rows &x : f32)
        packs = packs && whole_packs(x);
    if (packs && half)
        launch(by_bf16());
    else if (packs && full)
        launch(by_f32());
    else
        launch(by_element());
}

/* ---- launches ---- */

/* Rows that do not depend on each other: up to 256 threads a block, as many to a row as it has packs (a power
 * of two), the rest for more rows. */
struct plane {
    dim3 grid, block;
};

static inline plane plane_of(int64_t n_rows, int64_t n)
{
    unsigned x = 1;
    while (x < BLOCK && x * PACK < n)
        x *= 2;
    unsigned y = BLOCK / x;
    return {dim3((unsigned)divide_up(n_rows, y)), dim3(x, y)};
}

/** The row of this thread in a plane. */
static __device__ __forceinline__ int64_t plane_row()
{
    return (int64_t)blockIdx.x * blockDim.y + threadIdx.y;
}

/** Threads of a block that has a row of n elements to itself: whole warps. */
static inline unsigned row_threads(int64_t n)
{
    int64_t wanted = divide_up(divide_up(n, PACK), WARP) * WARP;
    return (unsigned)(wanted < WARP ? WARP : wanted > BLOCK ? BLOCK : wanted);
}

/** Columns of this thread: for (int64_t i = first_column(); i < n; i += column_step()). */
static __device__ __forceinline__ int64_t first_column()
{
    return (int64_t)threadIdx.x * PACK;
}

static __device__ __forceinline__ int64_t column_step()
{
    return (int64_t)blockDim.x * PACK;
}

/* ---- sums over a warp and a block, in a fixed order; every thread gets them ---- */

template <class T> static __device__ __forceinline__ T warp_sum(T v)
{
    for (int d = WARP / 2; d > 0; d /= 2)
        v += __shfl_xor_sync(ALL_LANES, v, d);
    return v; /* the same bits in every lane: the butterfly is symmetric */
}

template <class T> static __device__ __forceinline__ T warp_max(T v)
{
    for (int d = WARP / 2; d > 0; d /= 2) {
        T other = __shfl_xor_sync(ALL_LANES, v, d);
        v = other > v ? other : v;
    }
    return v;
}

struct sum_of {
    template <class T> static __device__ T over_warp(T v)
    {
        return warp_sum(v);
    }
};
struct max_of {
    template <class T> static __device__ T over_warp(T v)
    {
        return warp_max(v);
    }
};

/* blockDim is (x), a multiple of 32. `none` is what changes nothing. */
template <class How, class T> static __device__ T over_block(T v, T none)
{
    SHARED(T, part, [WARP]);
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, warps = blockDim.x / WARP;
    v = How::over_warp(v);
    __syncthreads(); /* part was read by the call before */
    if (lane == 0)
        part[warp] = v;
    __syncthreads();
    return How::over_warp(lane < warps ? part[lane] : none);
}

template <class T> static __device__ T block_sum(T v)
{
    return over_block<sum_of>(v, (T)0);
}

template <class T> static __device__ T block_max(T v, T none)
{
    return over_block<max_of>(v, none);
}

/** Exclusive sums of x[0 .. n), in place, by one block; every thread gets the total. What was written is
 * there for all threads. */
[[maybe_unused]] static __device__ int block_scan(int *x, int64_t n)
{
    SHARED(int, part, [WARP]);
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, warps = blockDim.x / WARP, total = 0;
    for (int64_t from = 0; from < n; from += blockDim.x) {
        int64_t i = from + threadIdx.x;
        int mine = i < n ? x[i] : 0, sum = mine, before = 0, all = 0;
        for (int d = 1; d < WARP; d *= 2) {
            int lower = __shfl_up_sync(ALL_LANES, sum, d);
            sum += lane >= d ? lower : 0;
        }
        if (lane == WARP - 1)
            part[warp] = sum;
        __syncthreads();
        for (int w = 0; w < warps; w++) {
            before += w < warp ? part[w] : 0;
            all += part[w];
        }
        if (i < n)
            x[i] = total + before + sum - mine;
        total += all;
        __syncthreads(); /* part is written again; x can be read */
    }
    return total;
}

#endif
