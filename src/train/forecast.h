/* What was predicted of a run, beside what it did: RUN/plan.json and a line of the summary. The prediction
 * itself is the plan room's. */
#ifndef TRAIN_FORECAST_H
#define TRAIN_FORECAST_H
#include "train/step.h"

struct forecast {
    char machine[80];     /* "" = nothing was predicted */
    double step;          /* seconds */
    double phase[PHASES]; /* of a step */
    double memory;        /* bytes of the fullest rank with all allowances, by the machine file */
    double peak;          /* bytes of this rank, by what was resident before the first step */
    double band;          /* relative error to expect of the step */
};

struct report;
struct trainer;
/** Rank 0: the term that was predicted worst, and plan.json. `peak`: bytes of the fullest rank. */
void forecast_show(const struct forecast *, const struct report *, const struct trainer *, double peak);

#endif
