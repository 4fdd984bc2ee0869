/* Measuring a machine file, on every rank at once, because a step loads the machine in the same way.
 * COLLECTIVE. */
#ifndef PLAN_MEASURE_H
#define PLAN_MEASURE_H
#include "comm/comm.h"
#include "deck/deck.h"
#include "device/dev.h"
#include "model/config.h"
#include "plan/machine.h"

/* The sizes at which the machine is measured, those of a deck. */
struct measure_ask {
    int64_t hidden, width, heads, kv_heads, head_dim, sequence, tokens; /* of a micro-batch */
    dtype type;
    const char *folder; /* where a file is written and removed again */
};
struct measure_ask measure_of(const struct deck *, const struct config *);
struct measure_ask measure_default(void);

/** Measure products of three sizes, attention, elementwise ops and gaps; with several ranks also gathering,
 * sums and all-to-all; and writing a file. It takes some seconds. The result is the mean over ranks, equal on
 * all. E_SPACE: the file cannot be written. E_RESOURCE. */
status measure_machine(struct machine *, struct comm *, struct dev *, const struct measure_ask *) MUST_USE;

#endif
