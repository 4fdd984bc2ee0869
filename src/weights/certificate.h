/* The certificate of growth and upcycling. It runs the model that the weights come from and the model that
 * trains on the same tokens, and compares their logits (definitions D9, D13) and the outputs of each MoE
 * layer (gain.h). Each net has a layout of its own on the same ranks. Every rank keeps and compares a share
 * of the tokens. */
#ifndef WEIGHTS_CERTIFICATE_H
#define WEIGHTS_CERTIFICATE_H
#include "weights/gain.h"
#include "weights/grow.h"

enum { CERTIFICATE_TOKENS = 512 };

/* What theory promises, and is therefore judged. NONE: nothing. APPROXIMATE: each MoE layer's output, whose
 * gain is known (gain.h). EXACT: equal logits, and the layers' outputs if their gain is known. */
enum theory { THEORY_NONE, THEORY_APPROXIMATE, THEORY_EXACT };

struct certificate {
    int64_t tokens, sequence, vocab;
    int rank, ranks;
    float *source; /* logits of this rank's tokens [share, V]; token n belongs to rank n % ranks */
    double max_difference, max_logit, kl_sum;
    double tolerance, kl; /* set by certificate_target; kl: mean over tokens, in nats */
    enum theory theory;
    struct gains gains;
    bool pass; /* also true if nothing is judged */
};

/** Does theory promise equal logits (D9)? All of these conditions must hold:
 *  - the norms and rotary positions are the same;
 *  - growth is exact, if there is any (grow_is_exact);
 *  - the experts are copies (upcycle_is_copy);
 *  - a token's routing weights add up to 1: topk-softmax, renormalised softmax-topk, or k = X;
 *  - G = 1; or virtual groups with G | k and the whole weight scale on down; or the source has experts, and
 * the target has m times as many and chooses m times as many. */
bool plan_is_exact(const struct config *target, const struct config *source, const struct grow *,
                   const struct upcycle *);
/** The largest ||a-b||/||b|| (D13) of a layer's output a and the expected output b. */
extern const double certificate_deviation;
/** Open it for so many tokens, in windows of `sequence`. */
void certificate_open(struct certificate *, const struct comm *, int64_t tokens, int64_t sequence,
                      const struct config *target, const struct config *source, const struct grow *,
                      const struct upcycle *);
void certificate_close(struct certificate *);
/** COLLECTIVE: run all tokens through the source's net. Its store cannot be used any more after that. */
void certificate_source(struct certificate *, struct net *, const struct store *, const int32_t *ids,
                        struct comm *);
/** COLLECTIVE: then run them through the target's net, and judge. */
void certificate_target(struct certificate *, struct net *, const struct store *, const int32_t *ids,
                        struct comm *);

#endif
