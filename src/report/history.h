/* What a run folder tells of its run: one that goes on, has ended, or died. Every file may be missing, cut
 * off or damaged; then its part is missing, and a complaint says why. Not collective. */
#ifndef REPORT_HISTORY_H
#define REPORT_HISTORY_H
#include <stdint.h>
#include "base/json.h"
#include "report/jsonl.h"
#include "report/settings.h"
#include "train/step.h"

/* Numbers of a step in metrics.jsonl. Behind them stand the phases. */
enum column {
    COL_STEP,
    COL_LEG,
    COL_TOKENS,
    COL_LOSS,
    COL_AUX,
    COL_Z,
    COL_MAX_Z,
    COL_NORM,
    COL_RATE,
    COL_SPEED,
    COL_STEP_MS,
    COL_TFLOPS,
    COL_MFU,
    COL_DROPPED,
    COL_LOAD,
    COL_WORST,
    COL_TIME,
    COL_PHASE,
    COLUMNS = COL_PHASE + PHASES
};

struct validation {
    char *set; /* NULL: the mean over sets */
    double step, tokens, loss;
};

struct bad_step {
    double tokens;
    char *text;
};

/* The counts of experts.jsonl: sums over equal numbers of its lines, so that any run has at most LOAD_BINS.
 */
enum { LOAD_BINS = 192 };
struct loads {
    int64_t layers, experts;
    int64_t n, lines, each; /* bins; lines in the last one, and in each full one */
    double *count;          /* [n][layers * experts] */
    double step[LOAD_BINS]; /* the last of each bin */
    int64_t steps;          /* the entropy of every line */
    double *at, *entropy;   /* [steps] step; mean over layers of the entropy of loads / ln(experts) */
    double *lowest;         /* [steps] that of the least balanced layer */
};

struct history {
    char *dir, *name; /* name: the folder's last part, or the whole path where runs share it */
    int colour;       /* in charts: the number of the run */
    int64_t n;        /* steps */
    double *column[COLUMNS];
    double flops_per_token; /* NAN: unknown */
    int64_t repeated;       /* steps that a later leg did again */
    int n_valid, n_bad;
    struct validation *valid;
    struct bad_step *bad;
    struct loads loads;
    json_t *scores;                                /* array: the lines of tasks in metrics.jsonl */
    json_t *events;                                /* array */
    json_t *status, *plan, *profile, *certificate; /* NULL: none */
    struct settings settings;
    struct complaints complaints;
};

/** Read a run folder. E_DATA if it is none. history_close in any case. */
status history_open(struct history *, const char *dir) MUST_USE;
void history_close(struct history *);

/** A number in an object; NAN if there is none. */
double json_number(const json_t *object, const char *key);
/** A text in an object; "" if there is none. Borrowed. */
const char *json_word(const json_t *object, const char *key);

#endif
