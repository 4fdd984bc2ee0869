/* A plan of this program's own step. The real step runs on the null device (train/rehearsal.h), and a machine
 * file gives the time of every op and message. Local. */
#ifndef PLAN_OWN_H
#define PLAN_OWN_H
#include "deck/site.h"
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
    int rehearsals; /* ranks that were rehearsed for it: what planning takes does not grow with the ranks */
};

/* How a rank's ops and messages are counted: by the step itself, or, faster, by the closed form
 * (plan/closed.h), which gives the same. */
enum own_way { OWN_STEP, OWN_CLOSED };

/** The forecast that training compares itself with. The machine is that of plan_machine; the shipped file of
 * CPUs is scaled to `ceiling` FLOP/s of this rank's products. E_DECK: the file has mistakes.
 * E_RESOURCE. */
status plan_forecast(struct forecast *, const struct deck *, const struct config *, const struct layout *,
                     double ceiling) MUST_USE;
/** The peak of a rank that stands before its first step, by the same kinds of memory as plan_own's. What the
 * program, libraries and drivers take is not a machine file's, but follows from the bytes that are resident
 * now. Bytes of the host's memory. E_RESOURCE. */
status plan_peak(double *bytes, const struct deck *, const struct config *, const struct layout *, int rank,
                 double resident) MUST_USE;
/** Read the machine file `file`; NULL: that of run.machine, else of the site file, else the shipped one of
 * the device; *own says whether it is one of the first three. E_DECK: the file has mistakes. */
status plan_machine(struct machine *, const char *file, const struct deck *, const struct site *,
                    enum device_type, bool *own) MUST_USE;
/** E_RESOURCE. */
status plan_own(struct own_plan *, const struct machine *, const struct deck *, const struct config *,
                const struct layout *, enum own_way) MUST_USE;
/** The rows of the slowest rank's experts divided by the mean, as the plan assumes it. */
double plan_own_load(const struct config *, const struct layout *);

#endif
