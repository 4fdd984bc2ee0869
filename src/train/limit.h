/* When the job ends: what Slurm says of it, and run.time_limit; and how long before it a leg must save. Not
 * collective; rank 0 alone asks. */
#ifndef TRAIN_LIMIT_H
#define TRAIN_LIMIT_H
#include <stdbool.h>
#include <time.h>

struct limit {
    double end; /* by clock_seconds(); infinite if no end is known */
    double leg; /* seconds from the leg's start to that end */
};

/* The longest so far, in seconds; 0: none yet. */
struct pace {
    double step, validation, save;
};

/** The earlier of Slurm's end (SLURM_JOB_END_TIME, which Slurm has had since 23.02, else what
 *  scontrol or squeue says) and run.time_limit (seconds; 0 = auto), which counts from `began`, the leg's
 * start by clock_seconds(). Says which one holds, or that none is known; a value that makes no sense is
 * ignored with a warning. */
struct limit limit_find(double time_limit, double began);
/** Seconds before the end at which a leg must begin to save: the longest step and validation may come first;
 *  a save may take twice as long as any before; and a minute, or half of a leg shorter than two. */
double limit_margin(const struct pace *, double leg);
/** Does Slurm say that it preempts this job? It is asked, for some seconds at most. */
bool limit_is_preempted(void);
/** What follows NAME= in the words that scontrol prints of a job; false if there is none. */
bool limit_from_words(const char *text, const char *name, char out[64]);
/** "1767225600" as Unix time after `now`; false if it is anything else. */
bool limit_from_seconds(const char *text, time_t now, time_t *end);
/** Local time after `now` as squeue prints it, "2026-01-31T12:00:00". */
bool limit_from_date(const char *text, time_t now, time_t *end);

#endif
