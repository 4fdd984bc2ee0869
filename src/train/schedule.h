/* Learning rates (definitions D4). Pure. */
#ifndef TRAIN_SCHEDULE_H
#define TRAIN_SCHEDULE_H
#include <stdint.h>
#include "deck/deck.h"

/** The rate of update u = 1, 2, ... Up to warmup it is peak*u/warmup. Then with r = min(1,
 * (u-warmup)/(horizon-warmup)) it is, cosine: min + (peak-min)(1+cos(pi r))/2; linear: peak + (min-peak) r;
 * constant: peak. */
double schedule_rate(const struct optimizer_section *, int64_t horizon, int64_t update);

#endif
