/* One training step. No status inside: tokens are fetched and agreed on before it, saving comes after. */
#ifndef TRAIN_STEP_H
#define TRAIN_STEP_H
#include "comm/comm.h"
#include "model/net.h"
#include "train/batch.h"
#include "train/optim.h"

/* What a step's time goes to. EXCHANGE: in groups within forward and backward, which NET does not count. */
enum phase { PHASE_NET, PHASE_EXCHANGE, PHASE_REDUCE, PHASE_NORM, PHASE_OPTIMIZER, PHASE_GATHER, PHASES };

/* What a step tells. Sums over the global batch, equal on all ranks. */
struct step_report {
    double loss, aux, z, max_z, grad_norm, rate, dropped_fraction, load_max_over_mean;
    double margin; /* smallest routing or capacity margin, if asked for */
    double *load;  /* [MoE layers * X] assignments of the batch; the net's */
    int64_t load_n;
    double load_worst;    /* max over mean of the layer with the largest */
    int load_worst_layer; /* which of the model's layers that is */
    double seconds[PHASES];
};

struct stepper {
    struct comm *comm;
    struct group *const *group;
    struct store *store;
    struct net *net;
    const struct optimizer_section *optimizer;
    bool want_margin;
    struct optim optim;
    struct step_report report;
};
status stepper_open(struct stepper *, struct comm *, struct group *const *, struct store *, struct net *,
                    const struct optimizer_section *) MUST_USE;
void stepper_close(struct stepper *);
/** COLLECTIVE: forward and backward of all micro-batches; gradients reduced (not scaled) and their norm, and
 *  what the net reports summed, all on the device. */
void step_gradients(struct stepper *, const struct batch *);
/** COLLECTIVE: clip, AdamW at update u with this rate, routing state, gather. Nothing is changed if the norm
 *  or the loss is not finite. */
void step_update(struct stepper *, int64_t update, double rate);
/** COLLECTIVE: fill the report of the batch. The host waits for the step here. False if the norm or the loss
 * is not finite. */
bool step_read(struct stepper *, const struct batch *);

#endif
