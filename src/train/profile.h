/* run.profile: the device counts every op in the steps of a leg. The times of steps, and samples of the GEMM
 * ceiling between them, are kept here. The first step of a leg does not count, because it warms up. If
 * run.profile is off, nothing is done. */
#ifndef TRAIN_PROFILE_H
#define TRAIN_PROFILE_H
#include "base/status.h"
#include "comm/comm.h"
#include "device/dev.h"

struct profile {
    bool on;
    dtype matrices;       /* the type of matrices for the ceiling */
    int64_t steps, room;  /* steps so far, with the first one */
    double *step_seconds; /* [steps - 1] */
    double *ceiling;      /* GFLOP/s of this rank, 2 * (steps - 1) samples */
};

void profile_open(struct profile *, bool on, dtype matrices);
void profile_close(struct profile *);
/** Called around each step. COLLECTIVE if it is on, because all ranks sample the ceiling together. */
void profile_step_begin(struct profile *, struct dev *);
void profile_step_end(struct profile *, struct comm *, struct dev *, double seconds);
double profile_median_step(const struct profile *); /* seconds; NAN before the second step */
double profile_ceiling(const struct profile *,
                       struct comm *); /* COLLECTIVE: median, GFLOP/s of all ranks; NAN */
/** COLLECTIVE: the GEMM ceiling, the sum over ranks of the GFLOP/s of a 1024^3 GEMM of such matrices on all
 * ranks at once; of each rank the median of a few samples. */
double ceiling_sample(struct comm *, struct dev *, dtype matrices);
/** "fp32 GEMM" or "bf16 GEMM". */
const char *ceiling_name(dtype matrices);
/** COLLECTIVE: the ceiling (GFLOP/s), or a higher one. If a step reaches more FLOP/s than the ceiling, other
 * work used the cores when it was sampled, so it is sampled again. Rank 0's `flops` (FLOP/s) decide. */
double ceiling_held(struct comm *, struct dev *, dtype matrices, double ceiling, double flops);
/** flops as a share of the ceiling. NAN if it is above 1, because the ceiling was then measured too low. */
double ceiling_share(double flops, double ceiling);

#endif
