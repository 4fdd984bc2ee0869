/* Each MoE layer by itself: its feed-forward and the source's are given the same residual stream, which
 * the source's forward pass left, so that no layer is blamed for what earlier ones changed. With h the
 * normed input, D(h) what the source's layer gives and y what the target's does, over all tokens
 *
 *   gain = <y, D(h)> / <D(h), D(h)>,   error = |y - D(h)| / |D(h)|.
 *
 * Where a token's experts are whole copies of the dense FFN (upcycle_is_copy) theory says more. Expert
 * e*G+g has s_u times shard g of gate and up, and s_d times shard g of down. SwiGLU with s_u*W at h is
 * SwiGLU with W at s_u*h; the outputs of the G shards add up to D; the G experts of a group, which share a
 * router row, are chosen together with equal weights. So with w(h) = the sum of the k chosen weights
 *
 *   y = s_d * w(h)/G * D(s_u*h)      whatever the scales.      (*)
 *
 * w = 1 for topk-softmax and renormalised weights. Else it is the sum of the k largest of X probabilities:
 * k/X <= w <= 1, and little above k/X for a router of small weights. The gain follows.
 *
 * s_u = 1 (all of a on down, or no scale): it is a mean of s_d*w/G, hence from s_d*k/(X*G) to s_d/G. For
 * softmax-topk that is k/(X*G) to 1/G unscaled, and 1 to X/k with a = X*G/k on down.
 *
 * s_u = s_d = s = a^(1/3): D(s*h) is only about s^2*D(h), as silu(s*z)/silu(z) = s*sigmoid(s*z)/sigmoid(z).
 * Nothing bounds it for arbitrary weights, so no bounds are given; (*) itself gives the gain of this model
 * on these tokens (methods B4: 1.05 to 1.25 for softmax-topk, about 1 for topk-softmax).
 *
 * (*) is checked to rounding: w in double from norm and router, D(s_u*h) by the source's net. */
#ifndef WEIGHTS_GAIN_H
#define WEIGHTS_GAIN_H
#include "comm/comm.h"
#include "model/net.h"
#include "weights/upcycle.h"

/* Per layer; expected: the gain by (*); deviation: |y - (*)| / |(*)|. */
enum figure { GAIN, EXPECTED, ERROR, DEVIATION, FIGURES };

struct gains {
    struct config target;
    int64_t tokens, sequence, share; /* share: room for the tokens of a rank: n is rank n % ranks's */
    int rank, ranks, n;              /* n: the layers that are MoE in the target */
    bool derived;                    /* (*) holds for them */
    double scale_gate_up, scale_down;
    int *layer;                /* [n] in model.layer */
    float *x, *dense, *scaled; /* [n, share, H]: residual stream, D(h), D(s_u*h) */
    double *figure[FIGURES];   /* [n] */
};

struct spread {
    double min, mean, max;
};

/** For same trunks only (else n = 0). */
void gains_open(struct gains *, const struct comm *, const struct config *target, const struct config *source,
                const struct upcycle *, int64_t tokens, int64_t sequence);
void gains_close(struct gains *);
/** Of the window of tokens that begins at `first`: what a sink's `stream` is given of the source. */
void gains_keep(struct gains *, int64_t first, int layer, const float *x);
/** COLLECTIVE: D of all that was kept. The store's norms are changed: the source is not needed any more. */
void gains_source(struct gains *, struct net *, const struct store *, struct comm *);
/** COLLECTIVE: fill the figures. */
void gains_target(struct gains *, struct net *, const struct store *, struct comm *);
/** Over the layers; NAN if there are none, or one is not finite. */
struct spread gains_spread(const struct gains *, enum figure);
/** What bounds the gain by theory; false if nothing does. */
bool gains_bounds(const struct gains *, double *lo, double *hi);

#endif
