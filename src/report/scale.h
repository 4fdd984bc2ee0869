/* Scales of charts: from values to pixels, with ticks at round numbers. Pure. */
#ifndef REPORT_SCALE_H
#define REPORT_SCALE_H
#include <stdbool.h>

enum { SCALE_TICKS = 12 };

struct scale {
    double lo, hi; /* values at the ends */
    bool log;
    double from, to; /* pixels at the ends */
};

/** A scale that holds lo to hi, widened to round numbers with `round`, and where lo and hi are equal. With
 * `log` both must be above 0. */
struct scale scale_of(double lo, double hi, bool log, bool round, double from, double to);
/** The pixel of a value. */
double scale_at(const struct scale *, double value);
/** Round numbers within the scale, about `wanted` of them; returns how many. */
int scale_ticks(const struct scale *, int wanted, double tick[SCALE_TICKS]);
/** "k", "M", ... with its power of ten in *unit, such that `most` / *unit is below 1000; "" and 1 below it.
 */
const char *scale_prefix(double most, double *unit);
/** A tick as text: as few digits as tell it from its neighbours `step` away. Returns out. */
char *scale_label(char out[32], double tick, double step);

#endif
