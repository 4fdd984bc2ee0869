/* The inside of coppice probe. Arrays have the names of the golden references (validation/reference). */
#ifndef CMD_PROBE_H
#define CMD_PROBE_H
#include "cmd/bars.h"
#include "cmd/session.h"
#include "format/safetensors.h"
#include "train/step.h"

enum { CURVES = 3, SCALARS = 5 };
extern const char *const probe_curve_name[CURVES];   /* a training curve: arrays [steps] */
extern const char *const probe_scalar_name[SCALARS]; /* the losses of a batch: arrays [1] */

struct probe {
    struct session s;
    struct batch batch;
    struct stepper stepper;
    struct st_file expect;
    bool opened_expect;
    float *logits; /* [this rank's micro-batches, N, V] */
    float *curve;  /* [CURVES, steps] */
    double rates;  /* sum of the learning rates of a curve */
    struct judged judged;
    struct bars bars;
    int worse; /* rows of the comparison that are beyond their bar */
};

/** Numbers in the logits of a micro-batch. */
int64_t probe_micro_logits(const struct probe *);
/** The losses of the batch in the order of probe_scalar_name. */
void probe_scalars(const struct probe *, double value[SCALARS]);

/* ---- probe_expect.c ---- */
/** Check that the reference has the arrays that are compared. Local. E_DATA. */
status probe_check_expected(const struct probe *) MUST_USE;
/** COLLECTIVE: print a table of differences from the reference, and count in p->worse. */
status probe_expect(struct probe *) MUST_USE;

/* ---- probe_write.c ---- */
/** COLLECTIVE: write a reference to the file of --out. */
status probe_write(struct probe *) MUST_USE;

#endif
