/* A rehearsal is the real step of one rank of any layout on the null device and null links, so that it needs
 * neither computing, nor memory, nor the other ranks. It counts what training will do with balanced experts.
 * Its memory is that of training, with the rows that model.moe.imbalance plans for. Local. */
#ifndef TRAIN_REHEARSAL_H
#define TRAIN_REHEARSAL_H
#include "comm/group.h"
#include "deck/deck.h"
#include "model/config.h"
#include "model/tensors.h"

/* The traffic of a group in a step: calls, and bytes that this rank sends. */
struct rehearsed_group {
    int size;
    double calls, bytes;
};

struct rehearsal {
    int64_t store[KINDS];   /* bytes of the store */
    int64_t saved, scratch; /* bytes of the arena at its peak */
    int64_t routed, beyond; /* bytes of rows at the experts: as planned, and what a routing may need more */
    int64_t exchange;       /* scratch of groups */
    int64_t small;          /* tables, reports, scalars */
    int64_t snapshot;       /* copies for checkpoints that are written beside the steps */
    struct dev_profile_row *row; /* ops of a step, by shape; owned */
    int rows;
    struct rehearsed_group group[GROUPS];
};

/** Rehearse a rank of a layout. The deck sets batch, precision and device; if this program lacks the device,
 * memory is laid out as on the CPU. E_RESOURCE. The caller calls rehearsal_free in any case. */
status rehearse(struct rehearsal *, const struct deck *, const struct config *, const struct layout *,
                int rank) MUST_USE;
/** The same for memory alone, without counting ops and messages. */
status rehearse_memory(struct rehearsal *, const struct deck *, const struct config *, const struct layout *,
                       int rank) MUST_USE;
/** The null device in the place of the deck's device. */
status rehearsal_device(struct dev **, const struct deck *) MUST_USE;
void rehearsal_free(struct rehearsal *);
int64_t rehearsal_bytes(const struct rehearsal *); /* of all kinds of memory */

#endif
