/* The training loop: steps, and between them what can fail: fetching tokens, reports, validation,
 * checkpoints, stop requests. COLLECTIVE. */
#ifndef TRAIN_LOOP_H
#define TRAIN_LOOP_H
#include "ckpt/ckpt.h"
#include "eval/exam.h"
#include "train/folder.h"
#include "train/forecast.h"
#include "train/limit.h"
#include "train/guard.h"
#include "train/step.h"
#include "train/watchdog.h"

struct trainer {
    /* borrowed */
    struct comm *comm;
    struct dev *dev;
    struct group *const *group;
    struct store *store;
    struct net *net;
    struct data *data;
    struct folder *folder;
    struct watchdog *watchdog;
    const struct run_section *run;
    const struct batch_section *batch;
    const struct optimizer_section *optimizer;
    const struct checkpoint_section *checkpoint;
    const struct eval_section *eval;
    const struct log_section *log;
    const struct guard_section *guards;
    struct exam *exam; /* eval.tasks; NULL: none */
    int64_t sequence;
    bool watched;             /* not --quiet: progress in place if stdout is a terminal */
    double ceiling;           /* GFLOP/s of all ranks' GEMMs together; it only rises */
    struct limit limit;       /* when the job ends, on rank 0 */
    struct forecast forecast; /* of this leg; on rank 0, but for this rank's peak */
    double start_valid;       /* validation loss before the first step of the first leg; NAN if unknown */
    /* state */
    struct ckpt_state state;
    int64_t steps;             /* the run ends after this step */
    double valid;              /* last validation loss, NAN */
    struct ckpt_state done[3]; /* after step i: done[i % 3], for the steps that are not read and the one
                                * before; texts borrowed */
    bool late; /* a step is read when the next one has begun, so that the device never waits */
    struct stepper stepper;
    struct batch fetched;
    struct saver *saver;
    struct pruning *pruning; /* on rank 0, older checkpoints being removed */
    struct guard guard;
};

/** The step at which a run ends: run.steps, or the first one that reaches run.tokens with this batch from
 * what is done on. */
int64_t loop_steps(const struct run_section *, const struct batch_section *, int64_t sequence,
                   const struct ckpt_state *done);
/** COLLECTIVE: mean validation loss of all sets (each reported), NAN without any; then the tasks. */
status loop_validate(struct trainer *, double *loss) MUST_USE;
/** COLLECTIVE: from state.step to steps. OK: finished; E_STOP, E_ASKED: stopped on request, saved; E_SPACE:
 * finished or stopped, and the last save failed. */
status loop_run(struct trainer *) MUST_USE;

#endif
