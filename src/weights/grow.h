/* Growth of a dense model as maps (definitions D9): wider by copying units (FPI) or by units of the next
 * layer (AKI), deeper by repeating layers. The grown model is the inner model of an upcycle. Pure. */
#ifndef WEIGHTS_GROW_H
#define WEIGHTS_GROW_H
#include "model/tensors.h"
#include "weights/map.h"

struct grow {
    enum grow_method method; /* not GROW_AKI_PRO */
    bool interpolate;        /* layer l takes floor(l*L1/L2), not l mod L1 */
    bool
        neurons_only; /* AKI: FFN neurons and heads take the next layer, rows of the residual stream do not */
};

/** From the deck's choices: GROW_AKI_PRO is GROW_AKI that interpolates; an unset depth stacks otherwise.
 * E_DECK if they contradict each other. */
status grow_choose(struct grow *, enum grow_method, enum grow_depth, enum grow_scope) MUST_USE;
/** Can `dense` become the trunk of `target`? E_DECK with the reason. */
status grow_check(const struct config *target, const struct config *dense, const struct grow *) MUST_USE;
/** Does growth leave the logits as they are? FPI of the hidden size by a whole factor, no layers added. */
bool grow_is_exact(const struct config *target, const struct config *dense, const struct grow *);
/** The model that `target` is upcycled from: the source grown. Its trunk is the target's, its experts are
 *  the source's. */
struct config grow_trunk(const struct config *target, const struct config *source);
/** Map of a tensor of the grown dense model over the tensors of `dense` (`array` = index of a tensor). */
struct map grow_map(const struct model *grown, const struct model *dense, int tensor, const struct grow *);

#endif
