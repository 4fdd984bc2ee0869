/* What follows from a plan for a whole run: days, node-hours, energy, checkpoints. Pure. */
#ifndef PLAN_OUTLOOK_H
#define PLAN_OUTLOOK_H
#include "plan/plan.h"

struct outlook {
    double nodes;
    double tokens_a_day;
    double run_seconds, node_hours, energy; /* of the tokens asked for: s, h, J (0: unknown) */
    double checkpoint_bytes, checkpoint_seconds;
    double mtbf; /* of the job, s; 0: unknown */
    double young, daly,
        lost; /* seconds between checkpoints by both; share of time that saving and failures take */
};

/** tokens: that the run takes in all. checkpoint: bytes, written by all nodes at once. */
struct outlook plan_outlook(const struct plan *, const struct machine *, double ranks, double tokens,
                            double checkpoint);

#endif
