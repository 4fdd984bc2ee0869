/* RMSNorm: y = x * rstd * w, rstd = 1/sqrt(mean(x^2) + eps). Groups of columns are independent; only dw sums
 * over rows: per thread, then in thread order. */
#include "device/cpu/wide.h"
#include <math.h>
#include <omp.h>
#include <string.h>

KERNEL static float fwd_row(float *y, const float *x, const float *w, int64_t n, float eps)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    float rstd = 1 / sqrtf(sum / (float)n + eps);
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] * rstd * w[i];
    return rstd;
}

/* With u = x * rstd:  dx = rstd * (dy w - u * mean(dy w u)),  dw += dy u. */
KERNEL static void bwd_row(bool acc, float *dx, float *dw, const float *dy, const float *x, float rstd,
                           const float *w, int64_t n)
{
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t i = 0; i < n; i++)
        dot += dy[i] * w[i] * x[i];
    float mean = dot * rstd / (float)n;
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float u = x[i] * rstd;
        float d = rstd * (dy[i] * w[i] - u * mean);
        dw[i] += dy[i] * u;
        dx[i] = acc ? dx[i] + d : d;
    }
}

void cpu_rmsnorm_fwd(struct dev *dev, view y, view rstd, view x, view w, float eps)
{
    (void)dev;
    int64_t n = view_size(w), groups = x.n[2] / n;
    float *r = rstd.data;
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < x.n[1]; t++) {
        float *to = wide_room(y, t, 0);
        const float *from = wide_row(x, t, 1);
        for (int64_t g = 0; g < groups; g++)
            r[t * groups + g] = fwd_row(to + g * n, from + g * n, w.data, n, eps);
        wide_store(y, t, to);
    }
}

void cpu_rmsnorm_bwd(struct dev *dev, bool acc_dx, view dx, bool acc_dw, view dw, view dy, view x, view rstd,
                     view w)
{
    int64_t n = view_size(w), groups = x.n[2] / n, threads = omp_get_max_threads();
    float *partial = cpu_scratch(dev, threads * n * (int64_t)sizeof(float)), *sum = dw.data;
    const float *r = rstd.data;
    memset(partial, 0, (size_t)(threads * n) * sizeof *partial);
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < x.n[1]; t++) {
        float *to = acc_dx ? wide_row(dx, t, 0) : wide_room(dx, t, 0),
              *mine = partial + omp_get_thread_num() * n;
        const float *d = wide_row(dy, t, 1), *from = wide_row(x, t, 2);
        for (int64_t g = 0; g < groups; g++)
            bwd_row(acc_dx, to + g * n, mine, d + g * n, from + g * n, r[t * groups + g], w.data, n);
        wide_store(dx, t, to);
    }
    for (int64_t i = 0; i < n; i++) {
        float s = acc_dw ? sum[i] : 0;
        for (int64_t p = 0; p < threads; p++)
            s += partial[p * n + i];
        sum[i] = s;
    }
}
