/* Bars by precision. Those of FP32 are in definitions D13.
 *
 * BF16 has 8 significant bits. The relative error of rounding to nearest is u = 2^-8 at most, and 0.42 u in
 * the root mean square (the error is uniform within half a step, the logarithm of the mantissa is uniform).
 * Roundings are independent, so their squares add up. A model of L layers has so many of them:
 *
 * - forward, 14 a layer: the norm, its W, q|k|v, rope, the attention's output, W of o, the residual
 *   sum; the norm, W of gate|up, gate|up, the activation, W of down, y, the residual sum. 4 outside:
 *   the embedding, the last norm, W of the head, the logits.
 * - backward, 10 more a layer and 4 outside: gradients of activations.
 *
 * So the relative error is s = 0.42 u sqrt(14 L + 4) in a logit (two layers: 9.3e-3), and g = 0.42 u sqrt(24
 * L + 8) in a gradient (two layers: 1.2e-2), both in the root mean square.
 *
 * - logits: 4 s. The largest of many errors is about four standard deviations; so is the largest logit,
 *   so s remains. The factor 4 is for amplification by layers: a softmax multiplies the relative error
 *   of its scores by their size, which is a few units. Measured on 15 cases: 1.5 s to 2.7 s.
 * - gradient: 5 g, for the same reason, and because an expert's array is a sum over few tokens.
 *   Measured for the worst array of a case: 1.5 g to 3.6 g.
 * - loss: 2 s / sqrt(C). It is a mean over C targets; the bar is four standard deviations of a logit,
 *   whose size is about half of the loss.
 * - norm: as gradient, because norms differ by no more than the norm of the difference.
 * - curve: twice the bars of loss and norm, because the parameters drift apart, too.
 * - final: AdamW divides by the gradient's size, so an update is about one learning rate. An element of
 *   the gradient that is smaller than its error may have the wrong sign; its update is then off by 2
 *   rates. With a relative error e = 5 g this concerns e / pi of the elements, which makes sqrt(4 e /
 *   pi) rates in the root mean square. In the worst case all updates are off in the same direction. The
 *   parameters themselves are fp32.
 *
 * Routing: the gap between two logits of a router has a relative error of sqrt(2) s; four standard deviations
 * are less than 6 s. A choice that was decided by less may turn out otherwise. Its token then goes through
 * another expert, and there is no bound for its logits and for the gradients of the two experts. About s of
 * all choices turn (the error of a gap over the usual distance of logits): t = s L C of them, but at least
 * one. Each changes its token's part of a mean by about a quarter of it, up or down; four standard deviations
 * of their sum are sqrt(t) / C. */
#include "cmd/bars.h"

#include <math.h>

static struct bars bars_fp32(void)
{
    return (struct bars){.logits = 1e-5,
                         .gradient = 1e-4,
                         .loss = 1e-5,
                         .norm = 1e-4,
                         .curve = 1e-4,
                         .curve_norm = 1e-4,
                         .final = 1e-4};
}

struct bars bars_of(const struct judged *j)
{
    if (j->stored == F32)
        return bars_fp32();
    const double rounding = 0.42 / 256, layers = (double)j->layers, targets = fmax((double)j->targets, 1);
    double s = rounding * sqrt(14 * layers + 4), g = rounding * sqrt(24 * layers + 8);
    struct bars b = {.logits = 4 * s, .gradient = 5 * g, .turns = j->margin < 6 * s * j->max_logit};
    double turned = b.turns ? sqrt(fmax(s * layers * targets, 1)) / targets : 0;
    b.loss = 2 * s / sqrt(targets) + turned;
    b.norm = b.gradient + turned;
    b.curve = 2 * b.loss;
    b.curve_norm = 2 * b.norm;
    b.final = rounding;
    b.turned = sqrt(4 * b.gradient / acos(-1));
    return b;
}
