/* The certificate of growth and upcycling: the model that the weights come from and the one that trains, on
 * the same tokens: their logits (definitions D9, D13) and, MoE layer by MoE layer, their outputs (gain.h).
 * Each net runs on a layout of its own on the same ranks; every rank keeps and compares a share of the
 * tokens. */
#ifndef WEIGHTS_CERTIFICATE_H
#define WEIGHTS_CERTIFICATE_H
#include "weights/gain.h"
#include "weights/grow.h"

enum { CERTIFICATE_TOKENS = 512 };

/* What theory promises, and so what is judged: nothing; each MoE layer's output, whose gain is known
 * (gain.h); that, where it applies, and equal logits. */
enum theory { THEORY_NONE, THEORY_APPROXIMATE, THEORY_EXACT };

struct certificate {
    int64_t tokens, sequence, vocab;
    int rank, ranks;
    float *source; /* [my tokens, V]: token n is rank n % ranks's */
    double max_difference, max_logit, kl_sum;
    double tolerance, kl; /* after certificate_target; kl: mean over tokens, nats */
    enum theory theory;
    struct gains gains;
    bool pass; /* true also where nothing is judged */
};

/** What theory promises (D9): growth that is exact; then topk-softmax, renormalised softmax-topk or k = X, if
 *  G = 1, or virtual groups with G | k and all of the weight scale on down, or m times as many experts of
 *  which m times as many are chosen; experts that are copies; the same norms and rotary positions. */
bool plan_is_exact(const struct config *target, const struct config *source, const struct grow *,
                   const struct upcycle *);
/** The most that a layer's output may differ from what is expected of it, relative to that (D13's
 * ||a-b||/||b||). */
extern const double certificate_deviation;
/** For `tokens` in windows of `sequence`. */
void certificate_open(struct certificate *, const struct comm *, int64_t tokens, int64_t sequence,
                      const struct config *target, const struct config *source, const struct grow *,
                      const struct upcycle *);
void certificate_close(struct certificate *);
/** COLLECTIVE: run all tokens [n] through the source's net, whose store is then of no more use. */
void certificate_source(struct certificate *, struct net *, const struct store *, const int32_t *ids,
                        struct comm *);
/** COLLECTIVE: then through the target's, and judge. */
void certificate_target(struct certificate *, struct net *, const struct store *, const int32_t *ids,
                        struct comm *);

#endif
