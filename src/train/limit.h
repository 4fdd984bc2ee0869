/* When the job ends: what Slurm says of it, and run.time_limit. Not collective; rank 0 alone asks. */
#ifndef TRAIN_LIMIT_H
#define TRAIN_LIMIT_H
#include <stdbool.h>
#include <time.h>

struct limit {
    double end; /* by clock_seconds(); infinite if no end is known */
};

/** The earlier of Slurm's end (SLURM_JOB_END_TIME, which Slurm has had since 23.02, else what
 *  squeue says) and run.time_limit (seconds; 0 = auto), which counts from `began`, the leg's start by
 *  clock_seconds(). Says which one holds, or that none is known; a value that makes no sense is ignored with
 * a warning. */
struct limit limit_find(double time_limit, double began);
/** "1767225600" as Unix time after `now`; false if it is anything else. */
bool limit_from_seconds(const char *text, time_t now, time_t *end);
/** Local time after `now` as squeue prints it, "2026-01-31T12:00:00". */
bool limit_from_date(const char *text, time_t now, time_t *end);

#endif
