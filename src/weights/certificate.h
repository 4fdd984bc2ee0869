/* The certificate of growth and upcycling: logits of the model that the weights come from and of the one that
 * trains, on the same tokens (definitions D9, D13). Each net runs on a layout of its own on the same
 * ranks; every rank keeps and compares a share of the tokens. */
#ifndef WEIGHTS_CERTIFICATE_H
#define WEIGHTS_CERTIFICATE_H
#include "comm/comm.h"
#include "model/net.h"
#include "weights/grow.h"
#include "weights/upcycle.h"

enum { CERTIFICATE_TOKENS = 512 };

struct certificate {
    int64_t tokens, sequence, vocab;
    int rank, ranks;
    float *source; /* [my tokens, V]: token n is rank n % ranks's */
    double max_difference, max_logit, kl_sum;
    double tolerance, kl; /* after certificate_finish; kl: mean over tokens, nats */
    bool equal;           /* theory promises equal logits */
    bool pass;
};

/** What theory promises (D9): growth that is exact; then topk-softmax, renormalised softmax-topk or k = X, if
 *  G = 1, or virtual groups with G | k and all of the weight scale on down, or m times as many experts of
 *  which m times as many are chosen; experts that are copies; the same norms and rotary positions. */
bool plan_is_exact(const struct config *target, const struct config *source, const struct grow *,
                   const struct upcycle *);
void certificate_open(struct certificate *, const struct comm *, int64_t tokens, int64_t sequence,
                      int64_t vocab, bool equal);
void certificate_close(struct certificate *);
/** COLLECTIVE: run all tokens [n] through the source's net, then the target's. */
void certificate_source(struct certificate *, struct net *, const int32_t *ids);
void certificate_target(struct certificate *, struct net *, const int32_t *ids, struct comm *);

#endif
