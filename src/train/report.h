/* What is reported about steps: rows on the console, and lines in metrics.jsonl, experts.jsonl, events.jsonl
 * and status.json. Only rank 0 reports. A file that cannot be written is a warning. */
#ifndef TRAIN_REPORT_H
#define TRAIN_REPORT_H
#include "train/loop.h"
#include "train/profile.h"

struct report {
    struct ckpt_state at;   /* after the last step that was read; texts borrowed */
    int64_t tokens;         /* of that step */
    double started;         /* clock at the first step of this leg */
    double stepping;        /* seconds in steps since then */
    double seconds[PHASES]; /* spent in this leg, by phase */
    double saving, validating;
    double waited;                /* seconds that the steps waited for the save in flight */
    int64_t saved;                /* step of the newest checkpoint that was loaded or committed */
    int64_t first_step;           /* of this leg */
    int64_t rows;                 /* console rows since the header */
    double step_began;            /* clock, or when the step before it was read */
    double step_seconds;          /* the last step's */
    struct pace longest, earlier; /* of this leg; of the leg before, as status.json has it */
    char *unsaved;                /* why the last save failed; NULL if it did not. Owned */
    double job_seconds;           /* from the last step to the job's end; infinite if unknown */
    bool terminal;                /* show progress in place between rows */
    struct profile profile;
};

/** Before the first step of a leg: write the event, and find out whether stdout is a terminal. Local on rank
 * 0. */
void report_begin(struct report *, const struct trainer *);
/** After a step was read: write a line to metrics.jsonl, and with `show` a row to the console. Local on rank
 * 0. */
void report_step(struct report *, struct trainer *, bool show);
void report_valid(struct trainer *, const char *set, double loss, double mean, bool last);
/** The answers to a task. Local on rank 0. */
void report_task(struct trainer *, const struct task *, const struct requests *);
/** A bad step, which would have ended as `after`: its line of metrics.jsonl and an event, with its samples,
 *  the tensor at fault (NULL: none) and what follows. Local on rank 0. */
void report_bad(const struct report *, const struct trainer *, const struct ckpt_state *after,
                const char *tensor, const char *follows);
/** Write an event with more members, an object whose reference is taken, or NULL. */
void report_event(const struct trainer *, const char *kind, json_t *more);
/** What the leg before wrote of its pace into status.json. Local on rank 0. */
struct pace report_earlier(const struct trainer *);
/** status.json, whole; `state` is running, finished, stopped or failed. Others' states: train/mark.h. */
void report_status(const struct report *, const struct trainer *, const char *state);
/** Tokens of a full step. */
double report_step_tokens(const struct trainer *);
/** Model FLOP/s for so many tokens in so many seconds. */
double report_flops(const struct trainer *, double tokens, double seconds);

#endif
