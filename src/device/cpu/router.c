/* The router, all in fp32 (definitions D1, D5, D6): logits, the choice with its statistics, backward. */
#include "base/rng.h"
#include "device/cpu/vmath.h"
#include "device/cpu/wide.h"
#include <math.h>
#include <omp.h>
#include <string.h>

/* ---- logits: the order of the sums depends on H alone, so that equal rows of x and w give equal bits ----
 */

enum { LANES = 16, EXPERTS_AT_ONCE = 4 };
typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

/* out[e] = x . w[e] for `count` experts. Product i goes to lane i mod 16, and the lanes are added pairwise.
 */
static inline __attribute__((always_inline)) void dots(float *out, int count, const float *x, const float *w,
                                                       int64_t ld, int64_t n)
{
    lanes sum[EXPERTS_AT_ONCE] = {{0}};
    int64_t whole = n / LANES * LANES;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int e = 0; e < count; e++)
            sum[e] += *(const lanes *)(x + i) * *(const lanes *)(w + e * ld + i);
    for (int e = 0; e < count; e++) {
        for (int64_t i = whole; i < n; i++)
            sum[e][i - whole] += x[i] * w[e * ld + i];
        for (int step = LANES / 2; step > 0; step /= 2)
            for (int i = 0; i < step; i++)
                sum[e][i] += sum[e][i + step];
        out[e] = sum[e][0];
    }
}

KERNEL static void logits_row(float *out, const float *x, view w)
{
    int64_t e = 0;
    for (; e + EXPERTS_AT_ONCE <= w.n[1]; e += EXPERTS_AT_ONCE)
        dots(out + e, EXPERTS_AT_ONCE, x, f32_row(w, e), w.ld, w.n[2]);
    for (; e < w.n[1]; e++)
        dots(out + e, 1, x, f32_row(w, e), w.ld, w.n[2]);
}

void cpu_router_logits(struct dev *dev, view logits, view x, view w)
{
    (void)dev;
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < logits.n[1]; t++)
        logits_row(f32_row(logits, t), wide_row(x, t, 0), w);
}

/* ---- the choice ---- */

static float row_lse(const float *l, int64_t n)
{
    float max = -INFINITY, sum = 0;
    for (int64_t e = 0; e < n; e++)
        max = l[e] > max ? l[e] : max;
#pragma omp simd reduction(+ : sum)
    for (int64_t e = 0; e < n; e++)
        sum += vm_exp(l[e] - max);
    return max + logf(sum);
}

/* Insert each expert into the best k so far. Only a strictly greater key moves ahead, so of equal ones the
 * lower expert wins, and the result is k different experts even if a logit is NaN. */
static void choose_row(int32_t *idx, int64_t k, const float *l, const float *bias, int64_t experts)
{
    for (int64_t e = 0; e < experts; e++) {
        float key = l[e] + (bias ? bias[e] : 0);
        int64_t at = e < k ? e : k;
        for (; at > 0 && key > l[idx[at - 1]] + (bias ? bias[idx[at - 1]] : 0); at--)
            if (at < k)
                idx[at] = idx[at - 1];
        if (at < k)
            idx[at] = (int32_t)e;
    }
}

/* Softmax over the chosen experts, or over all with their lse. If its k values are renormalised, both are the
 * same. */
static void gate_row(struct route r, float *gate, const int32_t *idx, const float *l, float lse)
{
    bool over_all = r.softmax_first && !r.renormalise;
    float max = -INFINITY, sum = 0;
    for (int64_t j = 0; j < r.top_k; j++)
        max = l[idx[j]] > max ? l[idx[j]] : max;
    for (int64_t j = 0; j < r.top_k; j++) {
        gate[j] = vm_exp(l[idx[j]] - (over_all ? lse : max));
        sum += gate[j];
    }
    for (int64_t j = 0; j < r.top_k && !over_all; j++)
        gate[j] /= sum;
}

static int64_t largest(const float *l, int64_t n)
{
    int64_t at = 0;
    for (int64_t e = 1; e < n; e++)
        if (l[e] > l[at])
            at = e;
    return at;
}

/* sums [2X+2] in double: the softmax of each expert, lse^2, the squared largest logit, the assignments of
 * each expert. */
static void add_stats(double *sums, const int32_t *idx, int64_t k, const float *l, float lse, int64_t experts)
{
    for (int64_t e = 0; e < experts; e++)
        sums[e] += (double)vm_exp(l[e] - lse);
    sums[experts] += (double)lse * (double)lse;
    double most = (double)l[largest(l, experts)];
    sums[experts + 1] += most * most;
    for (int64_t j = 0; j < k; j++)
        sums[experts + 2 + idx[j]]++;
}

static void route_padding(int64_t k, int32_t *idx, float *gate)
{
    for (int64_t j = 0; j < k; j++) {
        idx[j] = -1;
        gate[j] = 0;
    }
}

KERNEL static void route_row(struct route r, int32_t *idx, float *gate, double *sums, const float *l,
                             const float *bias, int64_t experts)
{
    float lse = row_lse(l, experts);
    choose_row(idx, r.top_k, l, bias, experts);
    gate_row(r, gate, idx, l, lse);
    add_stats(sums, idx, r.top_k, l, lse, experts);
}

void cpu_router_choose(struct dev *dev, struct route r, view idx, view gate, view counts, view stats,
                       view logits, view bias)
{
    int64_t experts = logits.n[2], n = 2 * experts + 2, threads = omp_get_max_threads();
    double *partial = cpu_scratch(dev, threads * n * (int64_t)sizeof(double));
    const int32_t *padding = r.padding.data;
    memset(partial, 0, (size_t)(threads * n) * sizeof *partial);
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < logits.n[1]; t++)
        if (padding && padding[t] < 0)
            route_padding(r.top_k, i32_row(idx, t), f32_row(gate, t));
        else
            route_row(r, i32_row(idx, t), f32_row(gate, t), partial + omp_get_thread_num() * n,
                      f32_row(logits, t), bias.data, experts);
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t p = 0; p < threads; p++)
            sum += partial[p * n + i];
        if (i < experts + 2)
            ((float *)stats.data)[i] = (float)sum;
        else
            ((int32_t *)counts.data)[i - experts - 2] = (int32_t)sum; /* exact */
    }
}

/* ---- losses ---- */

/* The tokens of a domain, by their assignments; 1 if there are none, whose sums are 0 then. */
static double tokens_of(const int32_t *counts, int64_t top_k, int64_t experts)
{
    int64_t sum = 0;
    for (int64_t e = 0; e < experts; e++)
        sum += counts[e];
    return sum > 0 ? (double)sum / (double)top_k : 1;
}

/* The aux loss A of a domain from its statistics, and its gradient by every token's softmax. */
static double aux_loss(const struct router_losses *l, float *seed, const int32_t *counts, const float *stats,
                       const float *load, int64_t domains, int64_t experts)
{
    double aux = 0, n = tokens_of(counts, l->top_k, experts);
    for (int64_t e = 0; e < experts; e++) {
        double own = (double)experts * (double)counts[e] / (n * (double)l->top_k);
        double relative = load ? (double)load[e] : own; /* X*f_e */
        aux += relative * (double)stats[e] / n;
        seed[e] = (float)(l->coeff / (double)domains * relative / n);
    }
    return aux;
}

void cpu_router_losses(struct dev *dev, struct router_losses l, view seeds, view total, view loads,
                       view counts, view stats, view load)
{
    int64_t domains = seeds.n[1], experts = seeds.n[2];
    double *sum = total.data, *each = loads.data, tokens = 0;
    (void)dev;
    for (int64_t i = 0; i < domains; i++)
        tokens += tokens_of(i32_row(counts, i), l.top_k, experts);
    for (int64_t i = 0; i < domains; i++) {
        const int32_t *count = i32_row(counts, i);
        const float *stat = f32_row(stats, i);
        double aux = aux_loss(&l, f32_row(seeds, i), count, stat, load.data, domains, experts);
        if (!l.told)
            continue;
        sum[0] += aux / (double)domains;
        sum[1] += (double)stat[experts] / tokens;
        sum[2] += (double)stat[experts + 1] / tokens;
        for (int64_t e = 0; e < experts; e++)
            each[e] += (double)count[e];
    }
}

/* ---- how close the choice was ---- */

/* The k-th largest key minus the next one. */
static double row_margin(float *best, int64_t k, const float *l, const float *bias, int64_t experts)
{
    for (int64_t e = 0; e < experts; e++) {
        float key = l[e] + (bias ? bias[e] : 0);
        int64_t at = e < k + 1 ? e : k + 1;
        for (; at > 0 && key > best[at - 1]; at--)
            if (at < k + 1)
                best[at] = best[at - 1];
        if (at < k + 1)
            best[at] = key;
    }
    return (double)best[k - 1] - (double)best[k];
}

void cpu_router_margin(struct dev *dev, view least, int64_t top_k, view logits, view bias)
{
    float *best = cpu_scratch(dev, (top_k + 1) * (int64_t)sizeof *best);
    double *smallest = least.data;
    for (int64_t t = 0; t < logits.n[1]; t++)
        *smallest = fmin(*smallest, row_margin(best, top_k, f32_row(logits, t), bias.data, logits.n[2]));
}

/* ---- backward ---- */

/* The gradient through the full softmax p: d_logit = p * (d_p - sum p d_p) + z * lse * p, with d_p = aux. */
static void softmax_bwd(float *d, const float *l, const float *aux, float z, int64_t experts)
{
    float lse = row_lse(l, experts), dot = 0;
    for (int64_t e = 0; e < experts; e++)
        d[e] = vm_exp(l[e] - lse);
    for (int64_t e = 0; e < experts && aux; e++)
        dot += d[e] * aux[e];
    for (int64_t e = 0; e < experts; e++)
        d[e] *= (aux ? aux[e] : 0) - dot + z * lse;
}

/* The gradient through the gates, which are a softmax over the chosen experts, or k values of the full
 * softmax. */
static void gate_bwd(struct route r, float *d, const float *l, const int32_t *idx, const float *gate,
                     const float *d_gate, int64_t experts)
{
    float dot = 0;
    for (int64_t j = 0; j < r.top_k; j++)
        dot += gate[j] * d_gate[j];
    if (r.softmax_first && !r.renormalise) {
        float lse = row_lse(l, experts);
        for (int64_t e = 0; e < experts; e++)
            d[e] -= vm_exp(l[e] - lse) * dot;
        dot = 0;
    }
    for (int64_t j = 0; j < r.top_k; j++)
        d[idx[j]] += gate[j] * (d_gate[j] - dot);
}

KERNEL static void bwd_row(struct route r, float *d, const float *l, const int32_t *idx, const float *gate,
                           const float *d_gate, const float *aux, float z, float max_z, int64_t experts)
{
    if (idx[0] < 0) {
        memset(d, 0, (size_t)experts * sizeof *d);
        return;
    }
    softmax_bwd(d, l, aux, z, experts);
    gate_bwd(r, d, l, idx, gate, d_gate, experts);
    int64_t top = largest(l, experts);
    d[top] += max_z * l[top];
}

void cpu_router_bwd(struct dev *dev, struct route r, view d_logits, view logits, view idx, view gate,
                    view d_gate, view aux, float z, float max_z)
{
    (void)dev;
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < logits.n[1]; t++)
        bwd_row(r, f32_row(d_logits, t), f32_row(logits, t), i32_row(idx, t), f32_row(gate, t),
                f32_row(d_gate, t), aux.data, z, max_z, logits.n[2]);
}

/* ---- jitter of the router's input ---- */

/* The factor of column j comes from word j mod 4 of the random block (key, row, j/4), as a signed fraction.
 */
static void jitter_row(bool acc, float *y, const float *x, int64_t n, float eps, uint64_t key, int64_t row)
{
    uint32_t word[4];
    for (int64_t j = 0; j < n; j++) {
        if (j % 4 == 0)
            rng_block(key, (uint64_t)row, (uint64_t)j / 4, word);
        float factor = 1 + eps * ((float)(int32_t)word[j % 4] * 0x1p-31f);
        y[j] = (acc ? y[j] : 0) + x[j] * factor;
    }
}

void cpu_jitter(struct dev *dev, bool acc, view y, view x, float eps, uint64_t key, int64_t row)
{
    (void)dev;
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < x.n[1]; t++) {
        float *to = acc ? wide_row(y, t, 0) : wide_room(y, t, 0);
        jitter_row(acc, to, wide_row(x, t, 1), x.n[2], eps, key, row + t);
        wide_store(y, t, to);
    }
}

/* ---- gate of the shared experts, one number for each token ---- */

void cpu_sigmoid_fwd(struct dev *dev, view y, view x)
{
    (void)dev;
    for (int64_t r = 0; r < view_rows_all(x); r++)
        for (int64_t j = 0; j < x.n[2]; j++)
            f32_row(y, r)[j] = 1 / (1 + vm_exp(-f32_row(x, r)[j]));
}

void cpu_sigmoid_bwd(struct dev *dev, view dx, view dy, view y)
{
    (void)dev;
    for (int64_t r = 0; r < view_rows_all(y); r++)
        for (int64_t j = 0; j < y.n[2]; j++) {
            float s = f32_row(y, r)[j];
            f32_row(dx, r)[j] = f32_row(dy, r)[j] * s * (1 - s);
        }
}
