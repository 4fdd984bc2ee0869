/* Bars by precision. FP32: definitions D13.
 *
 * BF16 has 8 significant bits. Rounding to nearest is off by u = 2^-8 of the value at most, and by 0.42 u
 * in the root mean square (an error even within half a step, a mantissa even in its logarithm). Roundings
 * are independent and add in quadrature. L layers have so many of them on the way:
 *
 * - forward, 14 a layer: the norm, its W, q|k|v, rope, the attention's output, W of o, the residual sum;
 *   the norm, W of gate|up, gate|up, the activation, W of down, y, the residual sum. 4 outside: the
 *   embedding, the last norm, W of the head, the logits.
 * - backward, 10 a layer more and 4 outside: gradients of activations.
 *
 * This makes s = 0.42 u sqrt(14 L + 4) of a logit's root mean square (two layers: 9.3e-3), and g = 0.42 u
 * sqrt(24 L + 8) of a gradient's (two layers: 1.2e-2).
 *
 * - logits: 4 s. The largest of many errors is about four standard deviations, and the largest logit is
 *   about four too, which leaves s. The factor 4 is what layers amplify: a softmax multiplies a relative
 *   error of its scores by their size, some units. Measured on 15 cases: 1.5 s to 2.7 s.
 * - gradient: 5 g. The same, and an expert's array is a sum over few tokens. Measured for the worst array
 *   of a case: 1.5 g to 3.6 g.
 * - loss: 2 s / sqrt(C). A mean over C targets, four standard deviations of a logit, which is about half
 *   of the loss in size.
 * - norm: as gradient. Norms differ by no more than the norm of the difference.
 * - curve: twice loss and norm, as much again from parameters that drift apart.
 * - final: AdamW divides by the gradient's size, so that a step is about one learning rate. An element of
 *   the gradient that is smaller than its error may have the other sign, and its step is off by 2 rates.
 *   With a relative error e = 5 g these are e / pi of the elements: sqrt(4 e / pi) rates in the root mean
 *   square. At worst all steps are off to the same side. The parameters themselves are fp32.
 *
 * Routing. A gap between two logits of a router is off by sqrt(2) s of their size at most; four standard
 * deviations are less than 6 s. A choice that was decided by less may turn. Its token then goes through
 * another expert, and nothing bounds how far its logits and the gradients of two experts lie from the
 * reference. About s of all choices turn (the error of a gap over the usual distance of logits), t = s L C
 * of them, one at least. Each moves its token's part of a mean by about a quarter of it, to either side:
 * four standard deviations of their sum are sqrt(t) / C. */
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
