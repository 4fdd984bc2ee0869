/* A plan of this program's own step: the real step on the null device (train/rehearsal.h), every op and
 * message timed by a machine file. Local. */
#ifndef PLAN_OWN_H
#define PLAN_OWN_H
#include "plan/plan.h"
#include "train/forecast.h"
#include "train/rehearsal.h"
#include "train/step.h"

enum { OWN_CLASSES = 4 };

/* Ranks whose memory is alike. */
struct rank_class {
    int first, ranks; /* the lowest of them, and how many there are */
    double memory[MEMORY_KINDS];
};
struct own_plan {
    struct plan plan;     /* memory of the fullest rank, time of the slowest */
    double phase[PHASES]; /* seconds of a step as training reports them */
    int classes;          /* the fullest first; ranks of further classes count in the last */
    struct rank_class by_class[OWN_CLASSES];
    double checkpoint; /* bytes, all files together */
};

/* How a rank's ops and messages are counted: by the step itself, or, faster, by the closed form
 * (plan/closed.h), which gives the same. */
enum own_way { OWN_STEP, OWN_CLOSED };

/** What training compares itself with. The deck's run.machine, or the shipped file of its kind of device,
 * scaled to `ceiling` FLOP/s of this rank's products. E_DECK: the file has mistakes; E_RESOURCE. */
status plan_forecast(struct forecast *, const struct deck *, const struct config *, const struct layout *,
                     double ceiling) MUST_USE;
/** The name of the shipped machine file of a device. */
const char *plan_machine_of(enum device_type);
/** E_RESOURCE. */
status plan_own(struct own_plan *, const struct machine *, const struct deck *, const struct config *,
                const struct layout *, enum own_way) MUST_USE;
/** Rows of the slowest rank's experts over the mean that the plan assumes. */
double plan_own_load(const struct config *, const struct layout *);

#endif
