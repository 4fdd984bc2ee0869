/* AdamW (definitions D4), and before it the decision whether to update and how to scale the gradient. AdamW
 * works element by element, so the bits do not depend on threads. */
#include "device/cpu/wide.h"
#include <math.h>

void cpu_clip(struct dev *dev, view control, view squares, view loss, struct clip most)
{
    double norm = sqrt(*(double *)squares.data), nll = *(double *)loss.data;
    double scale = most.limit > 0 ? fmin(1, most.limit / (norm + 1e-6)) : 1;
    float *went = control.data;
    bool go = went[1] != 0 && isfinite(norm) && isfinite(nll) && norm <= most.norm && nll <= most.loss;
    (void)dev;
    went[0] = go ? (float)scale : 0;
    went[1] = go;
}

KERNEL void cpu_adamw(struct dev *dev, struct adamw a, view pv, view mv, view vv, view gv, view wv,
                      view control)
{
    (void)dev;
    float scale = ((const float *)control.data)[0];
    if (((const float *)control.data)[1] == 0)
        return;
    float *p = pv.data, *m = mv.data, *v = vv.data;
    const float *g = gv.data;
    float keep = 1 - a.lr * a.decay, rate = a.lr / a.bias1, correct = 1 / a.bias2;
    float new1 = 1 - a.beta1, new2 = 1 - a.beta2;
    int64_t n = view_size(pv);
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < n; i++) {
        float gi = g[i] * scale;
        m[i] = a.beta1 * m[i] + new1 * gi;
        v[i] = a.beta2 * v[i] + new2 * gi * gi;
        p[i] = p[i] * keep - rate * m[i] / (sqrtf(v[i] * correct) + a.eps);
    }
    if (view_is_none(wv))
        return;
    enum { BLOCK = 4096 };
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < n; i += BLOCK)
        wide_round((uint16_t *)wv.data + i, p + i, n - i < BLOCK ? n - i : BLOCK);
}
