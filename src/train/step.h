/* One training step. Nothing in it can fail: tokens are fetched and agreed on before it, and saving comes
 * after it. */
#ifndef TRAIN_STEP_H
#define TRAIN_STEP_H
#include "comm/comm.h"
#include "model/net.h"
#include "train/batch.h"
#include "train/optim.h"

/* The phases of a step. EXCHANGE is the time in groups within forward and backward; NET is the rest of that.
 */
enum phase { PHASE_NET, PHASE_EXCHANGE, PHASE_REDUCE, PHASE_NORM, PHASE_OPTIMIZER, PHASE_GATHER, PHASES };
extern const char *const phase_name[PHASES]; /* in metrics.jsonl and plan.json */

/* The report of a step, over the global batch, equal on all ranks. */
struct step_report {
    int64_t counted, micros; /* targets and micro-batches of the global batch */
    double assignments;      /* of its tokens to experts, all layers together */
    double loss, aux, z, max_z, grad_norm, rate, dropped_fraction, load_max_over_mean;
    double margin; /* the smallest routing or capacity margin, if asked for */
    double
        *load; /* [MoE layers * X] assignments of the batch; owned by the net, until the next step is read */
    int64_t load_n;
    double load_worst;    /* the largest ratio of the largest load to the mean load of a layer */
    int load_worst_layer; /* the model's layer with this ratio */
    double seconds[PHASES];
    struct clip most; /* what loss and norm might reach */
};

struct stepper {
    struct comm *comm;
    struct group *const *group;
    struct store *store;
    struct net *net;
    const struct optimizer_section *optimizer;
    bool want_margin;
    struct optim optim;
    struct clip most;            /* of the next step */
    struct step_report report;   /* of the last step that was read */
    struct step_report begun[2]; /* of steps that were begun and not read: step i at i % 2 */
    int64_t steps, reads;        /* so many were begun, and read */
};
status stepper_open(struct stepper *, struct comm *, struct group *const *, struct store *, struct net *,
                    const struct optimizer_section *) MUST_USE;
void stepper_close(struct stepper *);
/** COLLECTIVE: begin a step: forward and backward of all micro-batches, the sum of gradients over ranks,
 * their norm, and the sum of the net's report; all on the device. False: given up between two micro-batches,
 * because a second signal hurries; then it has not begun. */
bool step_gradients(struct stepper *, const struct batch *);
/** COLLECTIVE: clip, AdamW as this update with this rate, routing state, gathering of weights. Nothing
 * changes if the norm or the loss is not finite, nor in any later step. */
void step_update(struct stepper *, int64_t update, double rate);
/** How many steps were begun and not read: two at most. */
int64_t step_unread(const struct stepper *);
/** COLLECTIVE: fill the report of the oldest step that was not read. Here the host waits for it. False if the
 * norm or the loss is not finite or above `most`; then this step and those after it changed nothing. */
bool step_read(struct stepper *);

#endif
