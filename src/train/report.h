/* What a step says: a row on the console, lines in metrics.jsonl, experts.jsonl, events.jsonl and
 * status.json. Rank 0 speaks and writes; report_step is COLLECTIVE only in taking equal arguments. What
 * cannot be written is a warning. */
#ifndef TRAIN_REPORT_H
#define TRAIN_REPORT_H
#include "train/loop.h"
#include "train/profile.h"

struct report {
    double started;         /* clock at the first step of this leg */
    double stepping;        /* seconds in steps since then */
    double seconds[PHASES]; /* of this leg, by phase */
    double saving, validating;
    int64_t first_step;  /* of this leg */
    int64_t rows;        /* console rows since the header */
    double step_seconds; /* the last step's */
    struct {
        double step, validation, save; /* seconds */
    } longest;                         /* of this leg */
    char *unsaved;                     /* why the last save failed; NULL: it did not. Owned */
    double job_seconds;                /* until the job ends, as of the last step; infinite if unknown */
    bool terminal;                     /* people watch: progress in place between rows */
    struct profile profile;
    int64_t predicted; /* peak memory of this rank, from before the first step */
};

/** Before the first step of a leg: its start for events.jsonl, and whether people watch. Local on rank 0. */
void report_begin(struct report *, const struct trainer *);
/** After a step: to the console if it is due, always to metrics.jsonl. Local on rank 0. */
void report_step(struct report *, struct trainer *, bool show);
void report_valid(struct trainer *, const char *set, double loss, double mean, bool last);
/** An event line: kind and more members (a reference that is taken; NULL: none). */
void report_event(const struct trainer *, const char *kind, json_t *more);
/** status.json, whole; `state` is running, finished, stopped or failed. Others' states: train/mark.h. */
void report_status(const struct report *, const struct trainer *, const char *state);
/** Tokens of a step; model FLOP/s of a step that takes so many seconds. */
double report_step_tokens(const struct trainer *);
/** Tokens of the last step, which run.tokens may have cut. */
double report_tokens(const struct trainer *);
/** Model FLOP/s of so many tokens in that time. */
double report_flops(const struct trainer *, double tokens, double seconds);

#endif
