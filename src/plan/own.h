/* A plan of this program's own step. The real step runs on the null device (train/rehearsal.h), and a machine
 * file gives the time of every op and message. Local. */
#ifndef PLAN_OWN_H
#define PLAN_OWN_H
#include "plan/plan.h"
#include "train/forecast.h"
#include "train/rehearsal.h"
#include "train/step.h"

enum { OWN_CLASSES = 4 };

/* Ranks that need the same memory. */
struct rank_class {
    int first, ranks; /* the lowest of them, and how many there are */
    double memory[MEMORY_KINDS];
};
struct own_plan {
    struct plan plan;     /* memory of the fullest rank, time of the slowest */
    double phase[PHASES]; /* seconds of a step as training reports them */
    int classes; /* number of classes; the fullest is the first, and the last has all further ranks */
    struct rank_class by_class[OWN_CLASSES];
    double checkpoint; /* bytes, all files together */
};

/* How a rank's ops and messages are counted: by the step itself, or, faster, by the closed form
 * (plan/closed.h), which gives the same. */
enum own_way { OWN_STEP, OWN_CLOSED };

/** The forecast that training compares itself with. The machine is the deck's run.machine, or the shipped
 * file of the device, scaled to `ceiling` FLOP/s of this rank's products. E_DECK: the file has mistakes.
 * E_RESOURCE. */
status plan_forecast(struct forecast *, const struct deck *, const struct config *, const struct layout *,
                     double ceiling) MUST_USE;
/** The name of the shipped machine file of a device. */
const char *plan_machine_of(enum device_type);
/** E_RESOURCE. */
status plan_own(struct own_plan *, const struct machine *, const struct deck *, const struct config *,
                const struct layout *, enum own_way) MUST_USE;
/** The rows of the slowest rank's experts divided by the mean, as the plan assumes it. */
double plan_own_load(const struct config *, const struct layout *);

#endif
