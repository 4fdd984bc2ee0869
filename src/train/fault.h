/* Planned faults of numbers, for tests: COPPICE_FAULT=KIND:RANK:SAMPLE:TENSOR. Whenever a step trains on that
 * sample, rank RANK changes what it holds of a tensor (named as in a checkpoint). nan, spike: its gradient
 * becomes NaN, or large; once: NaN, but only the first time; flip: its first weight
 * changes after the step, once.
 * Each is told on stderr. */
#ifndef TRAIN_FAULT_H
#define TRAIN_FAULT_H
#include "model/store.h"

/** Is there one? Then gradients are summed after backward, not beside it. */
bool fault_planned(void);
/** After backward, before gradients are summed. Samples first to first + n - 1. Local. */
void fault_gradient(const struct store *, int64_t first, int64_t n);
/** After the update. Local. */
void fault_weight(const struct store *, int64_t first, int64_t n);

#endif
