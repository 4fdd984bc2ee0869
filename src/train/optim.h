/* ZeRO-1 AdamW (definitions D4): each rank updates the pieces it owns. Store and layout hold the
 * state; there is none here. */
#ifndef TRAIN_OPTIM_H
#define TRAIN_OPTIM_H
#include "comm/comm.h"
#include "deck/deck.h"
#include "model/store.h"

/** COLLECTIVE: norm of the reduced gradient, each logical element counted once (double). */
double optim_norm(const struct store *, struct comm *);
/** Local: p, m, v of my pieces from the reduced gradient times `scale`, at update u. */
void optim_update(struct store *, const struct optimizer_section *, double rate, int64_t update,
                  double scale);

#endif
