/* RMSNorm: y = x * rstd * w with rstd = 1/sqrt(mean(x^2) + eps). Only dw is a sum over rows: in each thread,
 * then in the order of threads. */
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
    float *r = rstd.data;
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < x.n[1]; t++) {
        float *row = wide_room(y, t, 0);
        r[t] = fwd_row(row, wide_row(x, t, 1), w.data, x.n[2], eps);
        wide_store(y, t, row);
    }
}

void cpu_rmsnorm_bwd(struct dev *dev, bool acc_dx, view dx, bool acc_dw, view dw, view dy, view x, view rstd,
                     view w)
{
    int64_t h = x.n[2], threads = omp_get_max_threads();
    float *partial = cpu_scratch(dev, threads * h * (int64_t)sizeof(float)), *sum = dw.data;
    const float *r = rstd.data;
    memset(partial, 0, (size_t)(threads * h) * sizeof *partial);
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < x.n[1]; t++) {
        float *row = acc_dx ? wide_row(dx, t, 0) : wide_room(dx, t, 0);
        bwd_row(acc_dx, row, partial + omp_get_thread_num() * h, wide_row(dy, t, 1), wide_row(x, t, 2), r[t],
                w.data, h);
        wide_store(dx, t, row);
    }
    for (int64_t i = 0; i < h; i++) {
        float s = acc_dw ? sum[i] : 0;
        for (int64_t p = 0; p < threads; p++)
            s += partial[p * h + i];
        sum[i] = s;
    }
}
