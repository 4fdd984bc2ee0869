/* The closed form of this program's own step: every op by shape and every message of one rank, from sizes
 * alone, with balanced experts. It gives the same counts as train/rehearsal.h, and a test compares the two.
 * Pure. */
#ifndef PLAN_CLOSED_H
#define PLAN_CLOSED_H
#include "deck/deck.h"
#include "device/dev.h"
#include "train/rehearsal.h"

struct closed {
    struct dev_profile_row *row; /* owned; names are those of the device's ops */
    int rows, room;
    struct rehearsed_group group[GROUPS];
};

/** Count a step of a rank that has a micro-batch in every round. `dev` says how its kernels divide the work:
 * chunks of the head, blocks of expert rows. */
void plan_closed(struct closed *, const struct dev *, const struct deck *, const struct config *,
                 const struct layout *, int rank);
void closed_free(struct closed *);

#endif
