/* Upcycling as maps (definitions D9). Each expert starts as a shard of the dense FFN. With G > 1 there are
 * virtual groups: expert e*G+g holds shard g, and the G experts of a group share a router row. A model with
 * X0 experts can get more: expert e is a copy of expert e mod X0. */
#ifndef WEIGHTS_UPCYCLE_H
#define WEIGHTS_UPCYCLE_H
#include "model/tensors.h"
#include "weights/map.h"

struct upcycle {
    double scale_gate_up, scale_down;
    enum router_init router;
    double router_std;
    int parents;               /* number of models that experts come from in turn; 0: only the source */
    double noise;              /* standard deviation of noise added to new experts; 0 = none */
    double reinit, reinit_std; /* the share of a new expert's neurons drawn from N(0, reinit_std) */
};

/** Set the scales by start.upcycle.weight_scale. With a = X*G/k for softmax-topk without renormalisation,
 * else a = G: SCALE_AUTO is a^(1/3) on gate, up and down; SCALE_DOWN is a on down; SCALE_NONE is 1; a number
 * is used for a as in SCALE_AUTO. A dense target gets 1. */
void upcycle_scales(const struct config *target, const struct decimal *, struct upcycle *);
/** E_DECK with the reason if `target` cannot be made from `source`, whose trunk has its sizes or will have
 * them. */
status upcycle_check(const struct config *target, const struct config *source,
                     const struct upcycle *) MUST_USE;
/** Do the k routing weights of a token add up to 1? They do for topk-softmax, renormalised weights, and k =
 * X. */
bool upcycle_weights_sum_to_one(const struct moe *);
/** Are each token's experts whole copies of a dense FFN, but for the weight scales? They are if nothing is
 * added, drawn or from other models, there are no shared experts, and G = 1 or there are virtual groups with
 * G | k. */
bool upcycle_is_copy(const struct config *target, const struct config *source, const struct upcycle *);
/** Are the logits equal to those of the source (D9)? */
bool upcycle_is_exact(const struct config *target, const struct config *source, const struct upcycle *);
/** The number of experts that `source` has. Those of `target` from there on are new. */
int64_t upcycle_first_new(const struct config *source);

/** Is the tensor not made from the source: routing state, gates of shared experts, and routers, unless they
 * are copied from experts that the source has? */
bool upcycle_is_drawn(const struct model *target, int tensor, const struct config *source,
                      const struct upcycle *);
/** The map of any other target tensor over those of `source`, a model with the same trunk. `array` in it is
 * the index of the source's tensor; (1 + p) * source->n_tensors more for parent p = 0, 1, ... */
struct map upcycle_map(const struct model *target, const struct model *source, int tensor,
                       const struct upcycle *);
/** The map of a router: its rows e*G .. e*G+G-1 are row e of array `array` of source `from`. */
struct map upcycle_router(const struct config *target, int from, int array);
/** The neurons of an expert that are drawn anew, as an axis from each to itself. `key` belongs to layer and
 * expert. */
struct axis upcycle_redrawn(const struct config *target, double share, uint64_t key);
/** The slot of a tensor in its layer. */
enum slot upcycle_slot(const struct model *, int tensor);

#endif
