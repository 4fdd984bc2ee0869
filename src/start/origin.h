/* The model that the weights come from, on the ranks of the run: it is filled, its loss on the user's own
 * data is measured, its logits are kept for the certificate, and it is freed before the target is made.
 * COLLECTIVE. */
#ifndef START_ORIGIN_H
#define START_ORIGIN_H
#include "comm/group.h"
#include "data/data.h"
#include "start/shape.h"
#include "weights/certificate.h"

/* What is open by then; all borrowed. */
struct opened {
    struct comm *comm;
    struct dev *dev;
    int rank;
    const struct layout *layout; /* of the target */
    const struct deck *deck;
    const struct shapes *shapes;
    struct data *data;
};

/* Carried from the source model's phase to the target's. */
struct origin {
    double valid; /* mean validation loss of the source, NAN if unknown */
    bool certify; /* an upcycle or growth: logits are compared */
    struct certificate certificate;
    int32_t *ids; /* [certificate.tokens] */
};

/** Of an upcycle or growth: run the source model, weights only, on a layout of its own; its loss is said, its
 *  logits are kept, the model is freed. Otherwise nothing. origin_close in any case. */
status origin_open(struct origin *, const struct opened *) MUST_USE;
/** The target's logits beside them: fills the certificate. */
status origin_compare(struct origin *, const struct opened *, const struct store *,
                      struct group *const *) MUST_USE;
void origin_close(struct origin *);

#endif
