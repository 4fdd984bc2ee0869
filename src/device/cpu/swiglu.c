/* SwiGLU with the routing weight: act = weight * silu(g) * u. gu holds the columns of g, then those of u.
 * Without weights, the weight is 1. */
#include "device/cpu/wide.h"
#include "device/cpu/vmath.h"

KERNEL static void fwd_row(float *act, const float *g, const float *u, float weight, int64_t n)
{
#pragma omp simd
    for (int64_t i = 0; i < n; i++) {
        float s = 1 / (1 + vm_exp(-g[i]));
        act[i] = weight * (g[i] * s) * u[i];
    }
}

/* Returns d(weight). d_g and d_u may be g and u, because each element is read before it is written. */
KERNEL static float bwd_row(float *d_g, float *d_u, float *act, const float *d_act, const float *g,
                            const float *u, float weight, int64_t n)
{
    float d_weight = 0;
#pragma omp simd reduction(+ : d_weight)
    for (int64_t i = 0; i < n; i++) {
        float gi = g[i], ui = u[i], d = d_act[i];
        float s = 1 / (1 + vm_exp(-gi)), silu = gi * s;
        d_weight += d * (silu * ui);
        act[i] = weight * silu * ui;
        d_u[i] = weight * d * silu;
        d_g[i] = weight * d * ui * (s + silu * (1 - s));
    }
    return d_weight;
}

void cpu_swiglu_fwd(struct dev *dev, view act, view gu, view weight)
{
    (void)dev;
    const float *w = weight.data;
    int64_t n = act.n[2];
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < act.n[1]; r++) {
        const float *g = wide_row(gu, r, 0);
        float *row = wide_room(act, r, 1);
        fwd_row(row, g, g + n, w ? w[r] : 1, n);
        wide_store(act, r, row);
    }
}

void cpu_swiglu_bwd(struct dev *dev, view d_gu, view act, view d_weight, view d_act, view gu, view weight)
{
    (void)dev;
    const float *w = weight.data;
    float *dw = d_weight.data;
    int64_t n = act.n[2];
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < act.n[1]; r++) {
        const float *g = wide_row(gu, r, 0);
        float *d_g = wide_room(d_gu, r, 1), *row = wide_room(act, r, 2);
        float d = bwd_row(d_g, d_g + n, row, wide_row(d_act, r, 3), g, g + n, w ? w[r] : 1, n);
        wide_store(d_gu, r, d_g);
        wide_store(act, r, row);
        if (dw)
            dw[r] = d;
    }
}
