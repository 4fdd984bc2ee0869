/* Routing state that balances the experts without a gradient: biases and loads, which follow the counts of a
 * step (definitions D1, D5). They are untrained tensors of the table, so checkpoints keep them. */
#ifndef TRAIN_BALANCE_H
#define TRAIN_BALANCE_H
#include "model/store.h"

/** Update the pieces of routing state that this rank owns from the counts of the global batch, F64 [MoE
 * layers * X] on the device, equal on all ranks. Bias: b_e += u*sign(mean - n_e). Load: n_e / mean, or 1 if
 * nothing was routed. Nothing changes if control says so (dev_clip). net_gather_weights then gives the
 * state to all ranks. Local. */
void balance_update(struct store *, view counts, view control);

#endif
