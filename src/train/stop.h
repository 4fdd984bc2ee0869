/* Why a leg ends before its last step: RUN/stop (the user's wish: no requeue), the end of the job, or a
 * signal, which Slurm also sends to a job that it preempts. */
#ifndef TRAIN_STOP_H
#define TRAIN_STOP_H
#include <stdint.h>
#include "train/loop.h"

struct report;

/* 0: go on. Else the gravest of the ranks' reasons; STOP_SIGNAL + its number names a signal. */
enum { STOP_NOT, STOP_LIMIT, STOP_SIGNAL, STOP_USER = STOP_SIGNAL + 1000 };

/** Local: this rank's reason; any rank's counts. Only rank 0 looks at the clock and at the file. */
int64_t stop_asked(const struct trainer *, const struct report *);
/** What people read: "the time limit", "RUN/stop", "the signal TERM". Caller frees. */
char *stop_text(int64_t why);
/** What programs read: "limit", "user", "signal", or "preemption" where Slurm says that it is one. Asks
 *  Slurm, which may take some seconds: after the save. */
const char *stop_kind(int64_t why);

#endif
