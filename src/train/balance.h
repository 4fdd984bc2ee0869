/* What balances the experts without a gradient: biases and loads that follow the step's counts
 * (definitions D1, D5). They are untrained tensors of the table, so checkpoints keep them. */
#ifndef TRAIN_BALANCE_H
#define TRAIN_BALANCE_H
#include "model/store.h"

/** Local: the pieces of routing state that this rank owns, from the counts of the step's global batch F64
 *  [MoE layers * X] on the device, equal on all ranks. Bias: b_e += u*sign(mean - n_e). Load: n_e / mean, or
 * 1 where nothing was routed. Nothing where control says so (dev_clip). store_gather_weights then gives them
 * to all. */
void balance_update(struct store *, view counts, view control);

#endif
