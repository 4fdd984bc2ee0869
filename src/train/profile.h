/* run.profile: the device counts every op in the steps of a leg; the steps' times, and the GEMM ceiling
 * sampled between them, are kept here. The leg's first step warms up and does not count. Does nothing where
 * it is off. */
#ifndef TRAIN_PROFILE_H
#define TRAIN_PROFILE_H
#include "base/status.h"
#include "comm/comm.h"
#include "device/dev.h"

struct profile {
    bool on;
    dtype matrices;       /* what the ceiling is sampled with */
    int64_t steps, room;  /* steps seen, the first one too */
    double *step_seconds; /* [steps - 1] */
    double *ceiling;      /* GFLOP/s of this rank, 2 * (steps - 1) samples */
};

void profile_open(struct profile *, bool on, dtype matrices);
void profile_close(struct profile *);
/** Around a step. COLLECTIVE where it is on: between steps all ranks sample the ceiling together. */
void profile_step_begin(struct profile *, struct dev *);
void profile_step_end(struct profile *, struct comm *, struct dev *, double seconds);
double profile_median_step(const struct profile *); /* seconds; NAN before the second step */
double profile_ceiling(const struct profile *,
                       struct comm *); /* COLLECTIVE: median, GFLOP/s of all ranks; NAN */
/** COLLECTIVE: GFLOP/s of a hot 1024^3 GEMM of such matrices on all ranks at once, summed: medians of a few
 * samples. */
double ceiling_sample(struct comm *, struct dev *, dtype matrices);
/** "fp32 GEMM" or "bf16 GEMM". */
const char *ceiling_name(dtype matrices);
/** COLLECTIVE: the ceiling (GFLOP/s), or a higher one: a step of more FLOP/s than it allows shows that other
 *  work held the cores when it was sampled, so it is sampled again. Rank 0's `flops` (FLOP/s) decide. */
double ceiling_held(struct comm *, struct dev *, dtype matrices, double ceiling, double flops);
/** A share of the ceiling, which other work on the cores can make too small. NAN (not judged) above 1. */
double ceiling_share(double flops, double ceiling);

#endif
