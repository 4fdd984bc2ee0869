/* A machine file by measurement, on every rank at once, as a step would load the machine. COLLECTIVE. */
#ifndef PLAN_MEASURE_H
#define PLAN_MEASURE_H
#include "comm/comm.h"
#include "deck/deck.h"
#include "device/dev.h"
#include "model/config.h"
#include "plan/machine.h"

/* The sizes at which it is measured: a deck's. */
struct measure_ask {
    int64_t hidden, width, heads, kv_heads, head_dim, sequence, tokens; /* of a micro-batch */
    dtype type;
    const char *folder; /* where a file is written and removed again */
};
struct measure_ask measure_of(const struct deck *, const struct config *);
struct measure_ask measure_default(void);

/** Products of three sizes, attention, elementwise ops, gaps; with several ranks gathering, sums and
 * all-to-all; a file. Takes some seconds. Equal on all ranks: means over them. E_SPACE: the file cannot be
 * written; E_RESOURCE. */
status measure_machine(struct machine *, struct comm *, struct dev *, const struct measure_ask *) MUST_USE;

#endif
