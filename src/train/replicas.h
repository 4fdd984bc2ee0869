/* Ranks that hold equal slabs must hold equal bits: hashes of all working weights are compared. What differs
 * has changed in one rank's memory by itself. */
#ifndef TRAIN_REPLICAS_H
#define TRAIN_REPLICAS_H
#include "comm/comm.h"
#include "model/store.h"

/** COLLECTIVE: E_NAN names the tensor that differs, and the ranks that hold the rarer value (of two, both).
 */
status replicas_check(struct comm *, const struct store *) MUST_USE;

#endif
