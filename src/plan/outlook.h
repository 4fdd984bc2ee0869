/* What a plan means for a whole run: time, node-hours, energy, checkpoints. Pure. */
#ifndef PLAN_OUTLOOK_H
#define PLAN_OUTLOOK_H
#include "plan/plan.h"

struct outlook {
    double nodes;
    double tokens_a_day;
    double run_seconds, node_hours, energy; /* of the tokens asked for: s, h, J (0: unknown) */
    double checkpoint_bytes, checkpoint_seconds;
    double mtbf; /* mean seconds between failures of the job; 0: unknown */
    double young, daly,
        lost; /* seconds between checkpoints by both; share of time that saving and failures take */
};

/** tokens: of the whole run. checkpoint: its bytes, which all nodes write at once. */
struct outlook plan_outlook(const struct plan *, const struct machine *, double ranks, double tokens,
                            double checkpoint);

#endif
