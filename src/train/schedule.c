#include "train/schedule.h"

#include <math.h>

double schedule_rate(const struct optimizer_section *o, int64_t horizon, int64_t u)
{
    if (u <= o->warmup)
        return o->lr * (double)u / (double)o->warmup;
    if (o->schedule == SCHEDULE_CONSTANT)
        return o->lr;
    double r = horizon > o->warmup ? (double)(u - o->warmup) / (double)(horizon - o->warmup) : 1;
    if (r > 1)
        r = 1;
    if (o->schedule == SCHEDULE_LINEAR)
        return o->lr + (o->min_lr - o->lr) * r;
    return o->min_lr + 0.5 * (o->lr - o->min_lr) * (1 + cos(3.14159265358979323846 * r));
}
