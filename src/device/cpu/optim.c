/* AdamW (definitions D4) on a contiguous piece: elementwise, so threads do not matter for bits. */
#include "device/cpu/cpu.h"
#include <math.h>

KERNEL void cpu_adamw(struct dev *dev, struct adamw a, view pv, view mv, view vv, view gv, float scale)
{
    (void)dev;
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
}
