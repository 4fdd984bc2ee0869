/* Cross-entropy with the vocabulary cut over ranks. Each rank computes statistics of its columns, which are
 * merged to lse and nll = lse - logit of the target. The gradient is softmax - onehot. */
#include "device/cpu/vmath.h"
#include "device/cpu/wide.h"
#include <float.h>
#include <math.h>
#include <string.h>

enum { CHUNK = 512 }; /* so many exponentials are summed in float before they are added in double */

/* Without columns the maximum is finite, so that merging gives 0 * exp(max - max of all) = 0. */
KERNEL static float row_max(const float *x, int64_t n)
{
    float max = -FLT_MAX;
#pragma omp simd reduction(max : max)
    for (int64_t i = 0; i < n; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

KERNEL static double row_sum_exp(const float *x, int64_t n, float max)
{
    double sum = 0;
    for (int64_t from = 0; from < n; from += CHUNK) {
        int64_t to = from + CHUNK < n ? from + CHUNK : n;
        float part = 0;
#pragma omp simd reduction(+ : part)
        for (int64_t i = from; i < to; i++)
            part += vm_exp(x[i] - max);
        sum += (double)part;
    }
    return sum;
}

KERNEL static void grad_row(float *x, int64_t n, float lse, float scale)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        x[i] = scale * vm_exp(x[i] - lse);
}

void cpu_ce_stats(struct dev *dev, view stats, view logits, view target, int64_t v0)
{
    (void)dev;
    const int32_t *tgt = target.data;
    float *max = stats.data, *sum = max + stats.ld, *hit = sum + stats.ld;
    int64_t n = logits.n[2];
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < logits.n[1]; t++) {
        const float *x = wide_row(logits, t, 0);
        int64_t v = tgt[t] - v0;
        max[t] = row_max(x, n);
        sum[t] = (float)row_sum_exp(x, n, max[t]);
        hit[t] = tgt[t] >= 0 && v >= 0 && v < n ? x[v] : 0;
    }
}

void cpu_ce_merge(struct dev *dev, view lse, view nll, view stats, view target)
{
    (void)dev;
    const int32_t *tgt = target.data;
    const float *s = stats.data;
    int64_t ld = stats.ld, ranks = stats.n[0];
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < stats.n[2]; t++) {
        double max = -(double)INFINITY, sum = 0, hit = 0;
        for (int64_t r = 0; r < ranks; r++)
            max = fmax(max, (double)s[3 * r * ld + t]);
        for (int64_t r = 0; r < ranks; r++) {
            const float *of = s + 3 * r * ld + t;
            sum += (double)of[ld] * exp((double)of[0] - max);
            hit += (double)of[2 * ld];
        }
        double total = max + log(sum);
        ((float *)lse.data)[t] = (float)total;
        ((float *)nll.data)[t] = tgt[t] >= 0 ? (float)(total - hit) : 0;
    }
}

void cpu_ce_grad(struct dev *dev, view logits, view lse, view target, int64_t v0, float scale)
{
    (void)dev;
    const int32_t *tgt = target.data;
    const float *total = lse.data;
    int64_t n = logits.n[2];
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < logits.n[1]; t++) {
        float *x = wide_row(logits, t, 0);
        int64_t v = tgt[t] - v0;
        if (tgt[t] < 0)
            memset(x, 0, (size_t)n * sizeof *x);
        else
            grad_row(x, n, total[t], scale);
        if (v >= 0 && v < n) /* false for a target below 0 */
            x[v] -= scale;
        wide_store(logits, t, x);
    }
}
