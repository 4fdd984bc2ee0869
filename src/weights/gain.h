/* Each MoE layer is compared by itself: its feed-forward and that of the source's layer are given the same
 * residual stream, that of the source's forward pass, so that changes of earlier layers do not count. Let h
 * be the normed input, D(h) the output of the source's layer and y that of the target's. Over all tokens
 *
 *   gain = <y, D(h)> / <D(h), D(h)>,   error = |y - D(h)| / |D(h)|.
 *
 * If a token's experts are whole copies of the dense FFN (upcycle_is_copy), theory says more. Expert e*G+g
 * has s_u times shard g of gate and up, and s_d times shard g of down. SwiGLU with s_u*W at h is SwiGLU with
 * W at s_u*h. The outputs of the G shards add up to D. The G experts of a group share a router row, so they
 * are chosen together with equal weights. With w(h), the sum of the k chosen weights, it follows that
 *
 *   y = s_d * w(h)/G * D(s_u*h)      whatever the scales.      (*)
 *
 * w = 1 for topk-softmax and renormalised weights. Else w is the sum of the k largest of X probabilities:
 * k/X <= w <= 1, and w is little above k/X for a router of small weights. This bounds the gain:
 *
 * s_u = 1 (the whole scale a on down, or no scale): the gain is a mean of s_d*w/G, so it lies between
 * s_d*k/(X*G) and s_d/G. For softmax-topk these are k/(X*G) and 1/G without a scale, and 1 and X/k with a =
 * X*G/k on down.
 *
 * s_u = s_d = s = a^(1/3): D(s*h) is about s^2*D(h), because silu(s*z)/silu(z) = s*sigmoid(s*z)/sigmoid(z).
 * There are no bounds for arbitrary weights; (*) itself gives the gain of this model on these tokens. Usual
 * gains are 1.05 to 1.25 for softmax-topk, and about 1 for topk-softmax.
 *
 * (*) is checked up to rounding: w in double from norm and router, D(s_u*h) by the source's net. */
#ifndef WEIGHTS_GAIN_H
#define WEIGHTS_GAIN_H
#include "comm/comm.h"
#include "model/net.h"
#include "weights/upcycle.h"

/* The figures of a layer. EXPECTED is the gain by (*); DEVIATION is |y - (*)| / |(*)|. */
enum figure { GAIN, EXPECTED, ERROR, DEVIATION, FIGURES };

struct gains {
    struct config target;
    int64_t tokens, sequence, share; /* share: room for a rank's tokens; token t belongs to rank t % ranks */
    int rank, ranks, n;              /* n: the number of layers that are MoE in the target */
    bool derived;                    /* (*) holds */
    double scale_gate_up, scale_down;
    int *layer;                /* [n] indices into model.layer */
    float *x, *dense, *scaled; /* [n, share, H]: residual stream, D(h), D(s_u*h) */
    double *figure[FIGURES];   /* [n] */
};

struct spread {
    double min, mean, max;
};

/** Models with different trunks are not compared: n = 0. */
void gains_open(struct gains *, const struct comm *, const struct config *target, const struct config *source,
                const struct upcycle *, int64_t tokens, int64_t sequence);
void gains_close(struct gains *);
/** Keep the source's residual stream x of the window that begins at token `first`, as a sink's `stream` is
 * given it.
 */
void gains_keep(struct gains *, int64_t first, int layer, const float *x);
/** COLLECTIVE: compute D for all that was kept. It changes the store's norms, so the source cannot be used
 * after it.
 */
void gains_source(struct gains *, struct net *, const struct store *, struct comm *);
/** COLLECTIVE: compute y and the figures. */
void gains_target(struct gains *, struct net *, const struct store *, struct comm *);
/** A figure's spread over the layers; NAN if there are no layers, or one figure is not finite. */
struct spread gains_spread(const struct gains *, enum figure);
/** The bounds of the gain by theory; false if there are none. */
bool gains_bounds(const struct gains *, double *lo, double *hi);

#endif
