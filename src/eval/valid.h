/* Validation loss: the first windows of each set in file order, dropless (definitions D5, D11). */
#ifndef EVAL_VALID_H
#define EVAL_VALID_H
#include "comm/comm.h"
#include "data/data.h"
#include "model/net.h"

/** COLLECTIVE: mean loss per counted target of one validation set (set -1: the first training set).
 *  Windows are spread over the DP ranks in micro-batches of `micro` sequences. tokens: at most this
 *  many are used. *loss is equal on all ranks; NAN if the set has no window. */
status valid_loss(double *loss, struct comm *, struct net *, const struct layout *, int rank, struct data *,
                  int set, int64_t tokens, int64_t micro, int64_t sequence) MUST_USE;

#endif
