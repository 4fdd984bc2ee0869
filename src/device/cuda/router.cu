/* The router, all in fp32 (definitions D1, D5, D6): logits, the choice with its statistics, losses, backward.
 * x [T,H] stored; w [X,H], logits [T,X], gates [T,k] fp32. Logits move x once (w stays in the caches and is
 * read by every warp); the others some 10*T*X bytes, which is little. A warp works on a token, or on a few.
 */
#include <float.h>
#include "device/cuda/kernel.cuh"

static const int TOKENS = BLOCK / WARP; /* of a block, one a warp */

static __device__ __forceinline__ int lane_id()
{
    return threadIdx.x % WARP;
}

static __device__ __forceinline__ int64_t token_id()
{
    return (int64_t)blockIdx.x * TOKENS + threadIdx.x / WARP;
}

/* ---- logits: a lane adds the products of its packs, lanes are added by a butterfly. The order depends on H
 * alone, so equal rows of x and w give equal bits ---- */

static const int EXPERTS_AT_ONCE = 4;

template <class A>
static __global__ void __launch_bounds__(BLOCK)
    router_logits(float *logits, int64_t ld, rows x, rows w, int64_t tokens, int64_t experts)
{
    int64_t t = token_id() < tokens ? token_id() : tokens - 1; /* all lanes meet below */
    for (int64_t e0 = 0; e0 < experts; e0 += EXPERTS_AT_ONCE) {
        float sum[EXPERTS_AT_ONCE] = {};
        for (int64_t i = lane_id() * PACK; i < x.n; i += WARP * PACK) {
            pack a = A::load(x, t, i);
#pragma unroll
            for (int e = 0; e < EXPERTS_AT_ONCE; e++) {
                pack b = A::f32::load(w, e0 + e < experts ? e0 + e : experts - 1, i);
#pragma unroll
                for (int j = 0; j < PACK; j++)
                    sum[e] += a.v[j] * b.v[j];
            }
        }
#pragma unroll
        for (int e = 0; e < EXPERTS_AT_ONCE; e++) {
            float all = warp_sum(sum[e]);
            if (lane_id() == 0 && token_id() < tokens && e0 + e < experts)
                logits[t * ld + e0 + e] = all;
        }
    }
}

void cuda_router_logits(struct dev *dev, view logits, view xv, view wv)
{
    rows x = rows_of(xv), w = rows_of(wv);
    int64_t tokens = logits.n[1], experts = logits.n[2];
    if (tokens > 0 && experts > 0)
        with_access({x}, {w}, [&](auto how) {
            LAUNCH(router_logits<decltype(how)>, (unsigned)divide_up(tokens, TOKENS), BLOCK, 0,
                   cuda_stream(dev), (float *)logits.data, logits.ld, x, w, tokens, experts);
        });
}

/* ---- the choice ---- */

/* Keys in the order of choice: by descending value, then the lower expert; a NaN comes last. 0 is no expert.
 */
typedef unsigned long long order_key;

static __device__ __forceinline__ order_key key_of(float value, int64_t e)
{
    unsigned bits = __float_as_uint(value == 0.f ? 0.f : value); /* -0 is 0 */
    unsigned up = value != value ? 0u : bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (order_key)up << 32 | (0xffffffffu - (unsigned)e);
}

static __device__ __forceinline__ int expert_of(order_key k)
{
    return (int)(0xffffffffu - (unsigned)k);
}

static __device__ __forceinline__ float value_of(order_key k)
{
    unsigned up = (unsigned)(k >> 32);
    return __uint_as_float(up & 0x80000000u ? up & 0x7fffffffu : ~up);
}

/** The next expert in the order of choice behind `last`; every lane gets it. */
static __device__ order_key next_choice(const float *l, const float *bias, int64_t experts, order_key last)
{
    order_key best = 0;
    for (int64_t e = lane_id(); e < experts; e += WARP) {
        order_key k = key_of(l[e] + (bias ? bias[e] : 0.f), e);
        best = k < last && k > best ? k : best;
    }
    return warp_max(best);
}

static __device__ float row_max(const float *l, int64_t experts)
{
    float max = -INFINITY;
    for (int64_t e = lane_id(); e < experts; e += WARP)
        max = l[e] > max ? l[e] : max;
    return warp_max(max);
}

static __device__ float row_lse(const float *l, int64_t experts, float max)
{
    float sum = 0;
    for (int64_t e = lane_id(); e < experts; e += WARP)
        sum += expf(l[e] - max);
    return max + logf(warp_sum(sum));
}

/* Softmax over the chosen; or over all experts (`lse` of all), which comes to the same when its k values are
 * renormalised. */
static __device__ void write_gates(struct route r, float *gate, const int32_t *idx, const float *l, float lse)
{
    bool over_all = r.softmax_first && !r.renormalise;
    float max = -INFINITY, sum = 0;
    for (int64_t j = lane_id(); j < r.top_k; j += WARP)
        max = l[idx[j]] > max ? l[idx[j]] : max;
    max = over_all ? lse : warp_max(max);
    for (int64_t j = lane_id(); j < r.top_k; j += WARP)
        sum += expf(l[idx[j]] - max);
    sum = over_all ? 1.f : warp_sum(sum);
    for (int64_t j = lane_id(); j < r.top_k; j += WARP)
        gate[j] = expf(l[idx[j]] - max) / sum;
}

/* seen [T, 2]: lse and largest logit of each token. */
static __global__ void __launch_bounds__(BLOCK)
    router_choose(struct route r, int32_t *idx, int64_t ld_idx, float *gate, int64_t ld_gate, float2 *seen,
                  const float *logits, int64_t ld, const float *bias, const int32_t *padding, int64_t tokens,
                  int64_t experts)
{
    int64_t t = token_id();
    if (t >= tokens)
        return; /* a whole warp; no barrier follows */
    const float *l = logits + t * ld;
    int32_t *chosen = idx + t * ld_idx;
    if (padding && padding[t] < 0) {
        for (int64_t j = lane_id(); j < r.top_k; j += WARP) {
            chosen[j] = -1;
            gate[t * ld_gate + j] = 0;
        }
        if (lane_id() == 0)
            seen[t] = make_float2(0.f, 0.f);
        return;
    }
    float max = row_max(l, experts), lse = row_lse(l, experts, max);
    order_key last = ~0ull;
    for (int64_t j = 0; j < r.top_k; j++) {
        last = next_choice(l, bias, experts, last);
        if (lane_id() == 0)
            chosen[j] = expert_of(last);
    }
    __syncwarp(); /* all lanes read the choice */
    write_gates(r, gate + t * ld_gate, chosen, l, lse);
    if (lane_id() == 0)
        seen[t] = make_float2(lse, max);
}

/* ---- statistics: a table of 2X+2 columns over tokens, added by chunks of tokens, then over chunks ---- */

static const int CHUNK = 64;

/* Columns: softmax of each expert, lse^2, the largest logit squared, assignments to each expert. Padding has
 * no part in them. */
static __device__ double statistic(int64_t c, const float *l, const int32_t *idx, int64_t k, float2 seen,
                                   int64_t experts)
{
    double n = 0;
    if (idx[0] < 0)
        return 0;
    if (c < experts)
        return (double)expf(l[c] - seen.x);
    if (c == experts)
        return (double)seen.x * (double)seen.x;
    if (c == experts + 1)
        return (double)seen.y * (double)seen.y;
    for (int64_t j = 0; j < k; j++)
        n += idx[j] == c - experts - 2;
    return n;
}

static __global__ void __launch_bounds__(BLOCK)
    add_statistics(double *part, const float *logits, int64_t ld, const int32_t *idx, int64_t ld_idx,
                   int64_t k, const float2 *seen, int64_t tokens, int64_t experts, int width)
{
    SHARED(double, sum, [BLOCK]); /* [group of tokens, column] */
    int64_t columns = 2 * experts + 2, c = (int64_t)blockIdx.y * width + threadIdx.x % width;
    int64_t from = (int64_t)blockIdx.x * CHUNK, to = from + CHUNK < tokens ? from + CHUNK : tokens;
    int groups = BLOCK / width, group = threadIdx.x / width;
    double s = 0;
    for (int64_t t = from + group; t < to && c < columns && group < groups; t += groups)
        s += statistic(c, logits + t * ld, idx + t * ld_idx, k, seen[t], experts);
    sum[threadIdx.x] = s;
    __syncthreads();
    if (group == 0 && c < columns) {
        double all = 0;
        for (int g = 0; g < groups; g++)
            all += sum[g * width + threadIdx.x];
        part[blockIdx.x * columns + c] = all;
    }
}

static __global__ void __launch_bounds__(BLOCK)
    end_statistics(float *stats, int32_t *counts, const double *part, int64_t chunks, int64_t experts)
{
    int64_t c = (int64_t)blockIdx.x * BLOCK + threadIdx.x, columns = 2 * experts + 2;
    if (c >= columns)
        return;
    double all = 0;
    for (int64_t i = 0; i < chunks; i++)
        all += part[i * columns + c];
    if (c < experts + 2)
        stats[c] = (float)all;
    else
        counts[c - experts - 2] = (int32_t)all; /* exact */
}

void cuda_router_choose(struct dev *dev, struct route r, view idx, view gate, view counts, view stats,
                        view logits, view bias)
{
    int64_t tokens = logits.n[1], experts = logits.n[2], columns = 2 * experts + 2;
    int64_t chunks = divide_up(tokens, CHUNK),
            seen_bytes = divide_up(tokens * (int64_t)sizeof(float2), 256) * 256;
    int width = (int)(columns < BLOCK ? columns : BLOCK);
    cudaStream_t stream = cuda_stream(dev);
    char *room = (char *)cuda_scratch(dev, seen_bytes + chunks * columns * (int64_t)sizeof(double));
    float2 *seen = (float2 *)room;
    double *part = (double *)(room + seen_bytes);
    if (tokens > 0) {
        LAUNCH(router_choose, (unsigned)divide_up(tokens, TOKENS), BLOCK, 0, stream, r, (int32_t *)idx.data,
               idx.ld, (float *)gate.data, gate.ld, seen, (const float *)logits.data, logits.ld,
               (const float *)bias.data, (const int32_t *)r.padding.data, tokens, experts);
        LAUNCH(add_statistics, dim3((unsigned)chunks, (unsigned)divide_up(columns, width)), BLOCK, 0, stream,
               part, (const float *)logits.data, logits.ld, (const int32_t *)idx.data, idx.ld, r.top_k,
               (const float2 *)seen, tokens, experts, width);
    }
    LAUNCH(end_statistics, (unsigned)divide_up(columns, BLOCK), BLOCK, 0, stream, (float *)stats.data,
           (int32_t *)counts.data, (const double *)part, chunks, experts);
}

/* ---- losses: one block; a domain after the other ---- */

struct loss_views {
    float *seeds;
    double *total, *loads;
    const int32_t *counts;
    const float *stats, *load;
    int64_t ld_seeds, ld_counts, ld_stats, domains, experts;
};

/* The tokens of a domain, by their assignments; 1 if there are none, whose sums are 0 then. */
static __device__ double tokens_of(const loss_views &v, int64_t domain, int64_t top_k)
{
    double sum = 0;
    for (int64_t e = threadIdx.x; e < v.experts; e += BLOCK)
        sum += (double)v.counts[domain * v.ld_counts + e]; /* integers: exact */
    sum = block_sum(sum);
    return sum > 0 ? sum / (double)top_k : 1.;
}

static __global__ void __launch_bounds__(BLOCK) add_losses(struct router_losses l, loss_views v)
{
    double tokens = 0;
    for (int64_t d = 0; d < v.domains; d++)
        tokens += tokens_of(v, d, l.top_k);
    for (int64_t d = 0; d < v.domains; d++) {
        const int32_t *count = v.counts + d * v.ld_counts;
        const float *stat = v.stats + d * v.ld_stats;
        double aux = 0, n = tokens_of(v, d, l.top_k);
        for (int64_t e = threadIdx.x; e < v.experts; e += BLOCK) {
            double own = (double)v.experts * (double)count[e] / (n * (double)l.top_k);
            double relative = v.load ? (double)v.load[e] : own; /* X*f_e */
            aux += relative * (double)stat[e] / n;
            v.seeds[d * v.ld_seeds + e] = (float)(l.coeff / (double)v.domains * relative / n);
            if (l.told)
                v.loads[e] += (double)count[e];
        }
        aux = block_sum(aux);
        if (l.told && threadIdx.x == 0) {
            v.total[0] += aux / (double)v.domains;
            v.total[1] += (double)stat[v.experts] / tokens;
            v.total[2] += (double)stat[v.experts + 1] / tokens;
        }
    }
}

void cuda_router_losses(struct dev *dev, struct router_losses l, view seeds, view total, view loads,
                        view counts, view stats, view load)
{
    loss_views v = {(float *)seeds.data,
                    (double *)total.data,
                    (double *)loads.data,
                    (const int32_t *)counts.data,
                    (const float *)stats.data,
                    (const float *)load.data,
                    seeds.ld,
                    counts.ld,
                    stats.ld,
                    seeds.n[1],
                    seeds.n[2]};
    LAUNCH(add_losses, 1, BLOCK, 0, cuda_stream(dev), l, v);
}

/* ---- how close the choice was ---- */

/* least[block]: the smallest distance of a token's k-th largest key to the next. */
static __global__ void __launch_bounds__(BLOCK)
    router_margin(double *least, int64_t k, const float *logits, int64_t ld, const float *bias,
                  int64_t tokens, int64_t experts)
{
    SHARED(double, part, [TOKENS]);
    int64_t t = token_id() < tokens ? token_id() : tokens - 1;
    order_key last = ~0ull, before = 0;
    for (int64_t j = 0; j <= k; j++) {
        before = last;
        last = next_choice(logits + t * ld, bias, experts, last);
    }
    if (lane_id() == 0)
        part[threadIdx.x / WARP] = (double)value_of(before) - (double)value_of(last);
    __syncthreads();
    if (threadIdx.x == 0) {
        double all = part[0];
        for (int w = 1; w < TOKENS; w++)
            all = fmin(all, part[w]);
        least[blockIdx.x] = all;
    }
}

static __global__ void __launch_bounds__(BLOCK) take_least(double *least, const double *part, int64_t parts)
{
    double all = INFINITY;
    for (int64_t i = threadIdx.x; i < parts; i += BLOCK)
        all = fmin(all, part[i]);
    all = -block_max(-all, -(double)INFINITY);
    if (threadIdx.x == 0)
        *least = fmin(*least, all);
}

void cuda_router_margin(struct dev *dev, view least, int64_t top_k, view logits, view bias)
{
    int64_t tokens = logits.n[1], blocks = divide_up(tokens, TOKENS);
    double *part = (double *)cuda_scratch(dev, blocks * (int64_t)sizeof *part);
    if (tokens == 0)
        return;
    LAUNCH(router_margin, (unsigned)blocks, BLOCK, 0, cuda_stream(dev), part, top_k,
           (const float *)logits.data, logits.ld, (const float *)bias.data, tokens, logits.n[2]);
    LAUNCH(take_least, 1, BLOCK, 0, cuda_stream(dev), (double *)least.data, (const double *)part, blocks);
}

/* ---- backward ---- */

struct bwd_views {
    float *d;
    const float *logits, *gate, *d_gate, *aux;
    const int32_t *idx;
    int64_t ld_d, ld_logits, ld_gate, ld_d_gate, ld_idx, tokens, experts;
};

/* Through the full softmax p: d_logit = p * (aux - sum p aux + z * lse). Through the gates, which are a
 * softmax over the chosen, or k of the values of the full softmax. At the largest logit: max_z times it. */
static __global__ void __launch_bounds__(BLOCK) router_bwd(struct route r, bwd_views v, float z, float max_z)
{
    int64_t t = token_id();
    if (t >= v.tokens)
        return; /* a whole warp; no barrier follows */
    const float *l = v.logits + t * v.ld_logits, *gate = v.gate + t * v.ld_gate;
    const float *d_gate = v.d_gate + t * v.ld_d_gate;
    const int32_t *idx = v.idx + t * v.ld_idx;
    if (idx[0] < 0) {
        for (int64_t e = lane_id(); e < v.experts; e += WARP)
            v.d[t * v.ld_d + e] = 0;
        return;
    }
    float max = row_max(l, v.experts), lse = row_lse(l, v.experts, max), dot = 0, gates = 0;
    bool over_all = r.softmax_first && !r.renormalise;
    int top = expert_of(next_choice(l, NULL, v.experts, ~0ull));
    for (int64_t e = lane_id(); e < v.experts; e += WARP)
        dot += expf(l[e] - lse) * v.aux[e];
    dot = warp_sum(dot);
    for (int64_t j = lane_id(); j < r.top_k; j += WARP)
        gates += gate[j] * d_gate[j];
    gates = warp_sum(gates);
    for (int64_t e = lane_id(); e < v.experts; e += WARP) {
        float p = expf(l[e] - lse), d = p * (v.aux[e] - dot + z * lse);
        d -= over_all ? p * gates : 0.f;
        for (int64_t j = 0; j < r.top_k; j++)
            d += idx[j] == e ? gate[j] * (d_gate[j] - (over_all ? 0.f : gates)) : 0.f;
        v.d[t * v.ld_d + e] = d + (e == top ? max_z * l[e] : 0.f);
    }
}

void cuda_router_bwd(struct dev *dev, struct route r, view d_logits, view logits, view idx, view gate,
                     view d_gate, view aux, float z, float max_z)
{
    bwd_views v = {(float *)d_logits.data,
                   (const float *)logits.data,
                   (const float *)gate.data,
                   (const float *)d_gate.data,
                   (const float *)aux.data,
                   (const int32_t *)idx.data,
                   d_logits.ld,
                   logits.ld,
                   gate.ld,
                   d_gate.ld,
                   idx.ld,
                   logits.n[1],
                   logits.n[2]};
    if (v.tokens > 0)
        LAUNCH(router_bwd, (unsigned)divide_up(v.tokens, TOKENS), BLOCK, 0, cuda_stream(dev), r, v, z, max_z);
}

/* ---- jitter of the router's input: column j has word j mod 4 of the Philox block (key, row, j/4), as a
 * signed fraction; a pack needs two blocks (base/rng.h) ---- */

static __device__ void philox(unsigned long long key, unsigned long long hi, unsigned long long lo,
                              unsigned out[4])
{
    unsigned c0 = (unsigned)lo, c1 = (unsigned)(lo >> 32), c2 = (unsigned)hi, c3 = (unsigned)(hi >> 32);
    unsigned k0 = (unsigned)key, k1 = (unsigned)(key >> 32);
#pragma unroll
    for (int round = 0; round < 10; round++) {
        unsigned long long p0 = 0xd2511f53ull * c0, p1 = 0xcd9e8d57ull * c2;
        c0 = (unsigned)(p1 >> 32) ^ c1 ^ k0;
        c2 = (unsigned)(p0 >> 32) ^ c3 ^ k1;
        c1 = (unsigned)p1;
        c3 = (unsigned)p0;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

template <class A>
static __global__ void __launch_bounds__(BLOCK)
    jitter(bool acc, rows y, rows x, float eps, unsigned long long key, int64_t row, int64_t tokens)
{
    int64_t t = plane_row();
    if (t >= tokens)
        return;
    for (int64_t i = first_column(); i < x.n; i += column_step()) {
        unsigned word[PACK];
        philox(key, (unsigned long long)(row + t), (unsigned long long)i / 4, word);
        philox(key, (unsigned long long)(row + t), (unsigned long long)i / 4 + 1, word + 4);
        pack a = A::load(x, t, i), b = {};
        if (acc)
            b = A::load(y, t, i);
#pragma unroll
        for (int j = 0; j < PACK; j++)
            b.v[j] += a.v[j] * (1.f + eps * ((float)(int)word[j] * 0x1p-31f));
        A::store(y, t, i, b);
    }
}

void cuda_jitter(struct dev *dev, bool acc, view yv, view xv, float eps, uint64_t key, int64_t row)
{
    rows y = rows_of(yv), x = rows_of(xv);
    plane p = plane_of(xv.n[1], x.n);
    if (view_size(xv) > 0)
        with_access({y, x}, {}, [&](auto how) {
            LAUNCH(jitter<decltype(how)>, p.grid, p.block, 0, cuda_stream(dev), acc, y, x, eps,
                   (unsigned long long)key, row, xv.n[1]);
        });
}
