/* Validation loss over the first windows of a set in file order, without capacity (definitions D5, D11). */
#ifndef EVAL_VALID_H
#define EVAL_VALID_H
#include "comm/comm.h"
#include "data/data.h"
#include "model/net.h"

/** COLLECTIVE: *loss is the mean loss per counted target of a validation set (set -1: the first training
 * set), the same on all ranks; NAN if the set has no window. Its first `tokens` tokens are used, in
 * micro-batches of `micro` sequences that are spread over the DP ranks. */
status valid_loss(double *loss, struct comm *, struct net *, const struct layout *, int rank, struct data *,
                  int set, int64_t tokens, int64_t micro, int64_t sequence) MUST_USE;

#endif
