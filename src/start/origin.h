/* The source model of an upcycle or growth runs on the ranks of the run: it is filled, its loss on the user's
 * data is measured, its logits are kept for the certificate, and it is freed before the target is made.
 * COLLECTIVE. */
#ifndef START_ORIGIN_H
#define START_ORIGIN_H
#include "comm/group.h"
#include "data/data.h"
#include "start/shape.h"
#include "weights/certificate.h"

/* What must be open; all borrowed. */
struct opened {
    struct comm *comm;
    struct dev *dev;
    int rank;
    const struct layout *layout; /* of the target */
    const struct deck *deck;
    const struct shapes *shapes;
    struct data *data;
};

/* What the source model leaves for the target. */
struct origin {
    double valid; /* mean validation loss of the source, NAN if unknown */
    bool certify; /* it is an upcycle or growth, so logits are compared */
    struct certificate certificate;
    int32_t *ids; /* [certificate.tokens] */
};

/** For an upcycle or growth: run the source model on a layout of its own, report its loss, keep its logits,
 * free it. Else do nothing. The caller calls origin_close in any case. */
status origin_open(struct origin *, const struct opened *) MUST_USE;
/** Run the target and fill the certificate. */
status origin_compare(struct origin *, const struct opened *, const struct store *,
                      struct group *const *) MUST_USE;
void origin_close(struct origin *);

#endif
