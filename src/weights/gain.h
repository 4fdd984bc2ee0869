/* Each MoE layer by itself: its feed-forward and the source's are given the same residual stream, which the
 * source's forward pass left, so that no layer is blamed for what earlier ones changed. With h the normed
 * input and D(h) what the source's layer gives, over all tokens gain = <y, D(h)> / <D(h), D(h)>,   error = |y
 * - D(h)| / |D(h)|.
 *
 * Where a token's experts are whole copies of the dense FFN (upcycle_is_copy) theory says more. Expert e*G+g
 * has s_u times shard g of gate and up and s_d times shard g of down. SwiGLU of s_u*W and h is that of W and
 * s_u*h; the outputs of the G shards add up to D; and the G experts of a group, which share a router row, are
 * chosen together with equal weights. So with w(h) the sum of the k chosen weights, whatever the scales, y =
 * s_d * w(h)/G * D(s_u*h).                                                                             (*) w
 * = 1 for topk-softmax and renormalised weights. Else they are the k largest of X probabilities: k/X <= w <=
 * 1, and little above k/X for a router of small weights. The gain follows: s_u = 1 (a on down alone, or no
 * scale): a mean of s_d*w/G, hence between s_d*k/(X*G) and s_d/G: for softmax-topk k/(X*G) to 1/G as it is, 1
 * to X/k with a = X*G/k; 1 for topk-softmax with a = G, the exact case; s_u = s_d = a^(1/3): D(s*h) is about
 * s^2*D(h), not just that, as silu(s*z) = s*silu(z)*sigmoid(s*z)/sigmoid(z); for arbitrary weights nothing
 * bounds it, so no bounds are given, but (*) itself gives the gain of this model on these tokens
 * (methods: 1.05 to 1.25 for softmax-topk, about 1 for topk-softmax).
 * (*) is checked to rounding: w in double from router and norm, D(s_u*h) by the source's net. */
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
