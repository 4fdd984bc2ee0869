/* What a training run says and proves before its first step: machine, layout, model, data; the
 * source model's loss on the user's own data; the read; the certificate. COLLECTIVE. */
#ifndef CMD_STARTUP_H
#define CMD_STARTUP_H
#include "cmd/session.h"
#include "train/folder.h"
#include "weights/certificate.h"

/* Carried from the source model's phase to the target's. */
struct origin {
    double valid; /* mean validation loss of the source, NAN if unknown */
    bool certify; /* an upcycle or growth: logits are compared */
    struct certificate certificate;
    int32_t *ids; /* [certificate.tokens] */
};

void startup_banner(const struct session *, int64_t leg);
/** Machine, layout with its map, warnings, model and data. */
status startup_machine(const struct session *, double ceiling) MUST_USE;
/** Of an upcycle or growth: the source model, weights only, on a layout of its own; its validation loss and
 *  logits; freed again. Otherwise nothing. */
status startup_source(struct session *, struct origin *) MUST_USE;
/** Fill the target's store and say what was read. */
status startup_fill(struct session *) MUST_USE;
/** Of an upcycle or growth: the certificate, written to the run folder; E_DATA if it fails where theory says
 *  equal. Frees what the source phase kept. */
status startup_certify(struct session *, const struct folder *, struct origin *) MUST_USE;
void startup_close(struct origin *);

#endif
