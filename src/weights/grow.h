/* Growth of a dense model as maps (definitions D9): wider by copying units (FPI) or by units of the next
 * layer (AKI), deeper by repeating layers. The grown model is the inner model of an upcycle. Pure. */
#ifndef WEIGHTS_GROW_H
#define WEIGHTS_GROW_H
#include "model/tensors.h"
#include "weights/map.h"

struct grow {
    enum grow_method method; /* not GROW_AKI_PRO */
    bool interpolate;        /* layer l comes from layer floor(l*L1/L2), not l mod L1 */
    bool neurons_only; /* AKI takes only new FFN neurons and heads from the next layer, not other rows */
};

/** Set it from the deck's choices. GROW_AKI_PRO becomes GROW_AKI that interpolates; else an unset depth
 * stacks. E_DECK if the choices contradict each other. */
status grow_choose(struct grow *, enum grow_method, enum grow_depth, enum grow_scope) MUST_USE;
/** Can `dense` become the trunk of `target`? E_DECK with the reason. */
status grow_check(const struct config *target, const struct config *dense, const struct grow *) MUST_USE;
/** Does growth leave the logits unchanged? It does for FPI of the hidden size by a whole factor without more
 * layers.
 */
bool grow_is_exact(const struct config *target, const struct config *dense, const struct grow *);
/** The grown source, from which `target` is upcycled: with the target's trunk and the source's experts. */
struct config grow_trunk(const struct config *target, const struct config *source);
/** The map of a tensor of the grown model over the tensors of `dense`; `array` in it is the index of a
 * tensor. */
struct map grow_map(const struct model *grown, const struct model *dense, int tensor, const struct grow *);

#endif
