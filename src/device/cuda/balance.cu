/* Where assignments go when experts are full (definitions D5), and the routing state after a step. Capacity
 * reads the choices and gates of a micro-batch some ten times, by one block an expert: they stay in the
 * caches. */
#include <float.h>
#include "device/cuda/kernel.cuh"

/* ---- capacity: of each expert the `most` assignments with the largest keys stay ---- */

static const int SEARCH = 1024, DIGITS = 256; /* threads of a search; values of a digit of a key */

/* Larger keys go first: by gate, or all alike, then the earlier assignment. No two are equal, none is 0. */
typedef unsigned long long order_key;

static __device__ __forceinline__ order_key key_of(float gate, int64_t a, bool by_gate)
{
    unsigned bits = __float_as_uint(gate == 0.f ? 0.f : gate); /* -0 is 0 */
    unsigned up = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (order_key)(by_gate ? up : 0u) << 32 | (0xffffffffu - (unsigned)a);
}

static __device__ __forceinline__ float gate_of(order_key k)
{
    unsigned up = (unsigned)(k >> 32);
    return __uint_as_float(up & 0x80000000u ? up & 0x7fffffffu : ~up);
}

/* least_key[e]: the smallest key that stays, 0 if all do; gap[e]: by how much it beats the next gate. A block
 * an expert finds the key digit by digit, from the top: how many keys with the digits so far have which next
 * one? */
static __global__ void __launch_bounds__(SEARCH)
    find_least(order_key *least_key, double *gap, struct capacity c, const int32_t *idx, const float *gate,
               int64_t n)
{
    SHARED(int, digits, [DIGITS]);
    SHARED(order_key, found, [1]);
    SHARED(int, left, [1]); /* how many keys of the prefix stay */
    int e = blockIdx.x;
    double count = 0;
    for (int64_t a = threadIdx.x; a < n; a += SEARCH)
        count += idx[a] == e;
    count = block_sum(count);
    bool full = count > (double)c.most;
    if (threadIdx.x == 0) {
        found[0] = c.most == 0 ? ~0ull : 0;
        left[0] = (int)c.most;
    }
    for (int shift = 56; shift >= 0 && full && c.most > 0; shift -= 8) { /* alike for all threads */
        for (int i = threadIdx.x; i < DIGITS; i += SEARCH)
            digits[i] = 0;
        __syncthreads();
        order_key prefix = found[0];
        for (int64_t a = threadIdx.x; a < n; a += SEARCH) {
            order_key k = key_of(gate[a], a, c.by_gate);
            if (idx[a] == e && (shift == 56 || k >> (shift + 8) == prefix >> (shift + 8)))
                atomicAdd(&digits[k >> shift & (DIGITS - 1)], 1);
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            int d = DIGITS - 1;
            for (; digits[d] < left[0]; d--)
                left[0] -= digits[d];
            found[0] = prefix | (order_key)d << shift;
        }
        __syncthreads();
    }
    __syncthreads();
    order_key least = full ? found[0] : 0, next = 0;
    for (int64_t a = threadIdx.x; a < n; a += SEARCH) {
        order_key k = key_of(gate[a], a, c.by_gate);
        next = idx[a] == e && k < least && k > next ? k : next;
    }
    next = block_max(next, (order_key)0);
    if (threadIdx.x == 0) {
        least_key[e] = least;
        gap[e] = full && c.by_gate && c.most > 0 ? (double)gate_of(least) - (double)gate_of(next)
                                                 : (double)INFINITY;
    }
}

/* kept, and how many of a block were dropped. */
static __global__ void __launch_bounds__(BLOCK)
    keep(int32_t *kept, int *drops, const order_key *least_key, struct capacity c, const int32_t *idx,
         const float *gate, int64_t first, int64_t n)
{
    int64_t i = (int64_t)blockIdx.x * BLOCK + threadIdx.x, a = first + i;
    int32_t e = i < n ? idx[a] : -1;
    bool drop = e >= 0 && key_of(gate[a], a, c.by_gate) < least_key[e];
    if (i < n)
        kept[i] = drop ? -1 : e;
    int dropped = __syncthreads_count(drop);
    if (threadIdx.x == 0)
        drops[blockIdx.x] = dropped;
}

static __global__ void __launch_bounds__(BLOCK)
    tell_capacity(double *dropped, double *least, const int *drops, int64_t blocks, const double *gap,
                  int64_t experts)
{
    double sum = 0, smallest = INFINITY;
    for (int64_t i = threadIdx.x; i < blocks; i += BLOCK)
        sum += drops[i];
    for (int64_t e = threadIdx.x; e < experts; e += BLOCK)
        smallest = fmin(smallest, gap[e]);
    sum = block_sum(sum);
    smallest = -block_max(-smallest, -(double)INFINITY);
    if (threadIdx.x == 0) {
        *dropped += sum;
        *least = fmin(*least, smallest);
    }
}

void cuda_capacity(struct dev *dev, struct capacity c, view kept, view dropped, view least, view idx,
                   view gate)
{
    int64_t k = idx.n[2], n = view_size(idx), mine = view_size(kept), blocks = divide_up(mine, BLOCK);
    order_key *least_key = (order_key *)cuda_scratch(
        dev, c.experts * (int64_t)(sizeof(order_key) + sizeof(double)) + blocks * (int64_t)sizeof(int));
    double *gap = (double *)(least_key + c.experts);
    int *drops = (int *)(gap + c.experts);
    const int32_t *choice = (const int32_t *)idx.data;
    const float *weight = (const float *)gate.data;
    if (n == 0)
        return;
    LAUNCH(find_least, (unsigned)c.experts, SEARCH, 0, cuda_stream(dev), least_key, gap, c, choice, weight,
           n);
    if (mine > 0)
        LAUNCH(keep, (unsigned)blocks, BLOCK, 0, cuda_stream(dev), (int32_t *)kept.data, drops,
               (const order_key *)least_key, c, choice, weight, c.first * k, mine);
    LAUNCH(tell_capacity, 1, BLOCK, 0, cuda_stream(dev), (double *)dropped.data, (double *)least.data,
           (const int *)drops, blocks, (const double *)gap, c.experts);
}

/* ---- routing state: one block ---- */

static __device__ double mean_of(const double *counts, int64_t experts)
{
    double sum = 0;
    for (int64_t e = threadIdx.x; e < experts; e += BLOCK)
        sum += counts[e]; /* integers: exact */
    return block_sum(sum) / (double)experts;
}

static __global__ void __launch_bounds__(BLOCK)
    balance_bias(float *bias, int64_t n, const double *counts, int64_t experts, int64_t first, float rate,
                 const float *control)
{
    double mean = mean_of(counts, experts);
    for (int64_t i = threadIdx.x; i < n && control[1] != 0; i += BLOCK) {
        double own = counts[first + i];
        bias[i] = own < mean ? bias[i] + rate : own > mean ? bias[i] - rate : bias[i];
    }
}

static __global__ void __launch_bounds__(BLOCK)
    balance_load(float *load, int64_t n, const double *counts, int64_t experts, int64_t first,
                 const float *control)
{
    double mean = mean_of(counts, experts);
    for (int64_t i = threadIdx.x; i < n && control[1] != 0; i += BLOCK)
        load[i] = mean > 0 ? (float)(counts[first + i] / mean) : 1.f;
}

void cuda_balance_bias(struct dev *dev, view value, view counts, int64_t first, float rate, view control)
{
    LAUNCH(balance_bias, 1, BLOCK, 0, cuda_stream(dev), (float *)value.data, view_size(value),
           (const double *)counts.data, view_size(counts), first, rate, (const float *)control.data);
}

void cuda_balance_load(struct dev *dev, view value, view counts, int64_t first, view control)
{
    LAUNCH(balance_load, 1, BLOCK, 0, cuda_stream(dev), (float *)value.data, view_size(value),
           (const double *)counts.data, view_size(counts), first, (const float *)control.data);
}
