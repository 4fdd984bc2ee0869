/* Cross-entropy with the vocabulary cut over ranks: each rank's statistics of its columns are merged to lse
 * and nll = lse - logit of the target; the gradient is softmax - onehot. logits [T,Vl] stored, all else fp32.
 * Statistics read the logits once, the gradient reads and writes them. */
#include <float.h>
#include "device/cuda/kernel.cuh"

/* A block a row. Each thread keeps a maximum and the sum of exponentials below it; where the maximum rises
 * the sum shrinks. No columns at all: a finite maximum, so that merging 0 * exp(max - max of all) gives 0. */
template <class A>
static __global__ void __launch_bounds__(BLOCK)
    ce_stats(float *stats, int64_t ld, rows x, const int32_t *target, int64_t v0)
{
    int64_t t = blockIdx.x;
    float max = -FLT_MAX, sum = 0;
    for (int64_t i = first_column(); i < x.n; i += column_step()) {
        pack a = A::load(x, t, i);
        float top = max;
#pragma unroll
        for (int j = 0; j < PACK; j++)
            top = i + j < x.n && a.v[j] > top ? a.v[j] : top;
        sum *= expf(max - top);
        max = top;
#pragma unroll
        for (int j = 0; j < PACK; j++)
            sum += i + j < x.n ? expf(a.v[j] - max) : 0.f;
    }
    float top = block_max(max, -FLT_MAX), all = block_sum(sum * expf(max - top));
    if (threadIdx.x == 0) {
        int64_t v = target[t] - v0;
        bool mine = target[t] >= 0 && v >= 0 && v < x.n;
        stats[t] = top;
        stats[ld + t] = all;
        stats[2 * ld + t] = mine ? x.half ? __bfloat162float(((const bf16 *)x.at)[t * x.ld + v])
                                          : ((const float *)x.at)[t * x.ld + v]
                                 : 0.f;
    }
}

void cuda_ce_stats(struct dev *dev, view stats, view logits, view target, int64_t v0)
{
    rows x = rows_of(logits);
    if (logits.n[1] > 0)
        with_access({x}, {}, [&](auto how) {
            LAUNCH(ce_stats<decltype(how)>, (unsigned)logits.n[1], row_threads(x.n), 0, cuda_stream(dev),
                   (float *)stats.data, stats.ld, x, (const int32_t *)target.data, v0);
        });
}

/* A thread a token. */
static __global__ void __launch_bounds__(BLOCK)
    ce_merge(float *lse, float *nll, const float *stats, int64_t ld, int64_t ranks, const int32_t *target,
             int64_t tokens)
{
    int64_t t = (int64_t)blockIdx.x * BLOCK + threadIdx.x;
    if (t >= tokens)
        return;
    double max = -(double)INFINITY, sum = 0, hit = 0;
    for (int64_t r = 0; r < ranks; r++)
        max = fmax(max, (double)stats[3 * r * ld + t]);
    for (int64_t r = 0; r < ranks; r++) {
        const float *of = stats + 3 * r * ld + t;
        sum += (double)of[ld] * exp((double)of[0] - max);
        hit += (double)of[2 * ld];
    }
    double total = max + log(sum);
    lse[t] = (float)total;
    nll[t] = target[t] >= 0 ? (float)(total - hit) : 0.f;
}

void cuda_ce_merge(struct dev *dev, view lse, view nll, view stats, view target)
{
    int64_t tokens = stats.n[2];
    if (tokens > 0)
        LAUNCH(ce_merge, (unsigned)divide_up(tokens, BLOCK), BLOCK, 0, cuda_stream(dev), (float *)lse.data,
               (float *)nll.data, (const float *)stats.data, stats.ld, stats.n[0],
               (const int32_t *)target.data, tokens);
}

template <class A>
static __global__ void __launch_bounds__(BLOCK)
    ce_grad(rows x, const float *lse, const int32_t *target, int64_t v0, float scale, int64_t tokens)
{
    int64_t t = plane_row();
    if (t >= tokens)
        return;
    int64_t hit = target[t] < 0 ? -1 : target[t] - v0;
    float total = lse[t];
    for (int64_t i = first_column(); i < x.n; i += column_step()) {
        pack a = A::load(x, t, i);
#pragma unroll
        for (int j = 0; j < PACK; j++) {
            a.v[j] = target[t] < 0 ? 0.f : scale * expf(a.v[j] - total);
            a.v[j] -= i + j == hit ? scale : 0.f; /* a target below 0 is nowhere */
        }
        A::store(x, t, i, a);
    }
}

void cuda_ce_grad(struct dev *dev, view logits, view lse, view target, int64_t v0, float scale)
{
    rows x = rows_of(logits);
    plane p = plane_of(logits.n[1], x.n);
    if (view_size(logits) > 0)
        with_access({x}, {}, [&](auto how) {
            LAUNCH(ce_grad<decltype(how)>, p.grid, p.block, 0, cuda_stream(dev), x, (const float *)lse.data,
                   (const int32_t *)target.data, v0, scale, logits.n[1]);
        });
}
