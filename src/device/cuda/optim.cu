/* AdamW (definitions D4) on a contiguous piece, and before it the decision whether, and how much of the
 * gradient. p, m, v, g fp32, w bf16: reads 16 bytes an element and writes 12, 14 with w. */
#include <float.h>
#include "device/cuda/kernel.cuh"

static __global__ void clip(float *control, const double *squares, const double *loss, struct clip most)
{
    double norm = sqrt(*squares), scale = most.limit > 0 ? fmin(1.0, most.limit / (norm + 1e-6)) : 1.0;
    bool go = control[1] != 0.f && norm <= DBL_MAX && fabs(*loss) <= DBL_MAX && norm <= most.norm &&
              *loss <= most.loss;
    control[0] = go ? (float)scale : 0.f;
    control[1] = go ? 1.f : 0.f;
}

void cuda_clip(struct dev *dev, view control, view squares, view loss, struct clip most)
{
    LAUNCH(clip, 1, 1, 0, cuda_stream(dev), (float *)control.data, (const double *)squares.data,
           (const double *)loss.data, most);
}

static const int SPAN = 2048;

/* Rows of SPAN elements. keep = 1 - lr*decay, rate = lr/bias1, correct = 1/bias2. */
struct step {
    float keep, rate, correct, beta1, beta2, eps;
};

template <class F, class W>
static __global__ void __launch_bounds__(BLOCK)
    adamw(rows p, rows m, rows v, rows g, rows w, step a, const float *control, int64_t total)
{
    int64_t r = plane_row(), left = total - r * SPAN;
    float scale = control[0];
    if (left <= 0 || control[1] == 0)
        return;
    p.n = m.n = v.n = g.n = w.n = left < SPAN ? left : SPAN;
    for (int64_t i = first_column(); i < p.n; i += column_step()) {
        pack weight = F::load(p, r, i), first = F::load(m, r, i), second = F::load(v, r, i),
             d = F::load(g, r, i);
#pragma unroll
        for (int j = 0; j < PACK; j++) {
            float gradient = d.v[j] * scale;
            first.v[j] = a.beta1 * first.v[j] + (1.f - a.beta1) * gradient;
            second.v[j] = a.beta2 * second.v[j] + (1.f - a.beta2) * gradient * gradient;
            weight.v[j] =
                weight.v[j] * a.keep - a.rate * first.v[j] / (sqrtf(second.v[j] * a.correct) + a.eps);
        }
        F::store(p, r, i, weight);
        F::store(m, r, i, first);
        F::store(v, r, i, second);
        if (w.at)
            W::store(w, r, i, weight);
    }
}

static rows spans(view v)
{
    rows x = row_of(v);
    x.ld = SPAN;
    return x;
}

void cuda_adamw(struct dev *dev, struct adamw a, view pv, view mv, view vv, view gv, view wv, view control)
{
    int64_t n = view_size(pv);
    rows p = spans(pv), m = spans(mv), v = spans(vv), g = spans(gv), w = spans(wv);
    step s = {1 - a.lr * a.decay, a.lr / a.bias1, 1 / a.bias2, a.beta1, a.beta2, a.eps};
    plane over = plane_of(divide_up(n, SPAN), SPAN);
    bool packs =
        whole_packs(p) && whole_packs(m) && whole_packs(v) && whole_packs(g) && (!w.at || whole_packs(w));
    auto *adamw_kernel = packs ? adamw<by_f32, by_bf16> : adamw<by_element, by_element>;
    if (n > 0)
        LAUNCH(adamw_kernel, over.grid, over.block, 0, cuda_stream(dev), p, m, v, g, w, s,
               (const float *)control.data, n);
}
