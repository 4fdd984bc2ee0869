/* Monotonic time in seconds. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H
#include <time.h>

static inline double clock_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/** Seconds since *start, which becomes now. */
static inline double clock_lap(double *start)
{
    double now = clock_seconds(), lap = now - *start;
    *start = now;
    return lap;
}

#endif
