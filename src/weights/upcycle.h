/* Upcycling as maps (definitions D9): each expert starts as a shard of the dense FFN, with virtual
 * groups when G > 1: expert e*G+g holds shard g, and the G experts of a group share a router row. A model
 * that has experts gets more: expert e is a copy of e mod X0. */
#ifndef WEIGHTS_UPCYCLE_H
#define WEIGHTS_UPCYCLE_H
#include "model/tensors.h"
#include "weights/map.h"

struct upcycle {
    double scale_gate_up, scale_down;
    enum router_init router;
    double router_std;
    int parents;               /* models behind the source that the experts come from in turn; 0: from it */
    double noise;              /* standard deviation of what is added to the new experts; 0 = nothing */
    double reinit, reinit_std; /* share of a new expert's neurons that are drawn from N(0, reinit_std) */
};

/** The scales that start.upcycle.weight_scale asks for. With a = X*G/k for softmax-topk without
 * renormalisation, else G: SCALE_AUTO is a^(1/3) on gate, up and down; SCALE_DOWN is a on down alone;
 * SCALE_NONE is 1; a number stands for a, as in SCALE_AUTO. A dense target gets 1. The other members stay. */
void upcycle_scales(const struct config *target, const struct decimal *, struct upcycle *);
/** Can `target` be made from `source`, whose trunk has or will have its sizes? E_DECK with the reason. */
status upcycle_check(const struct config *target, const struct config *source,
                     const struct upcycle *) MUST_USE;
/** Do the k routing weights of a token add up to 1: topk-softmax, renormalised, or k = X? */
bool upcycle_weights_sum_to_one(const struct moe *);
/** Are each token's experts whole copies of a dense FFN, but for the weight scales: nothing added, drawn or
 * from other models, no shared experts, G = 1 or virtual groups with G | k? */
bool upcycle_is_copy(const struct config *target, const struct config *source, const struct upcycle *);
/** Are the logits those of the source? (D9) */
bool upcycle_is_exact(const struct config *target, const struct config *source, const struct upcycle *);
/** Experts that `source` has already: those of `target` from there on are new. */
int64_t upcycle_first_new(const struct config *source);

/** Is the tensor not made from the source's: state of the routing, routers (unless copied from experts that
 *  the source has), gates of shared experts? */
bool upcycle_is_drawn(const struct model *target, int tensor, const struct config *source,
                      const struct upcycle *);
/** Map of any other target tensor over those of `source`, a model of the same trunk (`array` = index of
 *  its tensor; of parent p = 0, 1, ... : (1 + p) * source->n_tensors behind that). */
struct map upcycle_map(const struct model *target, const struct model *source, int tensor,
                       const struct upcycle *);
/** Router rows e*G .. e*G+G-1 = base row e of array `array` of source `from`. */
struct map upcycle_router(const struct config *target, int from, int array);
/** Which neurons of an expert are drawn anew: picks of [0, F) that stay where they are. `key` is the layer's
 *  and the expert's. */
struct axis upcycle_redrawn(const struct config *target, double share, uint64_t key);
/** What a tensor is for: its slot in its layer. */
enum slot upcycle_slot(const struct model *, int tensor);

#endif
