/* The certificate of growth and upcycling: the model that the weights come from and the one that trains, on
 * the same tokens: their logits (definitions D9, D13) and, MoE layer by MoE layer, their outputs (gain.h).
 * Each net runs on a layout of its own on the same ranks; every rank keeps and compares a share of the
 * tokens. */
#ifndef WEIGHTS_CERTIFICATE_H
#define WEIGHTS_CERTIFICATE_H
#include "weights/gain.h"
#include "weights/grow.h"

enum { CERTIFICATE_TOKENS = 512 };

/* What theory promises is what is judged. NONE: nothing. APPROXIMATE: each MoE layer's output, whose gain is
 * known (gain.h). EXACT: equal logits, and the layers' outputs where their gain is known. */
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

/** Does theory promise equal logits (D9)? All of these must hold:
 *  - the norms and rotary positions are the same;
 *  - growth is exact, if there is any (grow_is_exact);
 *  - the experts are copies (upcycle_is_copy);
 *  - a token's routing weights add up to 1: topk-softmax, renormalised softmax-topk, or k = X;
 *  - G = 1; or virtual groups with G | k and all of the weight scale on down; or, from a model with experts,
 * m times as many of which m times as many are chosen. */
bool plan_is_exact(const struct config *target, const struct config *source, const struct grow *,
                   const struct upcycle *);
/** The largest ||a-b||/||b|| (D13) of a layer's output a and the expected output b. */
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
