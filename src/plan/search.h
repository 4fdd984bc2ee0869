/* Plans of all layouts on a number of ranks, in order. Local. */
#ifndef PLAN_SEARCH_H
#define PLAN_SEARCH_H
#include "plan/own.h"

/* One way to run a deck. */
struct own_choice {
    struct layout layout;
    int64_t micro;
    double memory, step; /* bytes of the fullest rank; seconds */
};
struct own_choices {
    int64_t n, rehearsals; /* rehearsals: ranks that were rehearsed for all of them */
    struct own_choice *at; /* first those that fit, by time; then the others, by memory */
};
/** Plan every size of tensor, expert, expert_tensor and micro-batch that the shape allows on these ranks
 * without idle ranks. E_RESOURCE. The caller calls own_choices_free in any case. */
status plan_search(struct own_choices *, const struct machine *, const struct deck *, const struct config *,
                   int ranks) MUST_USE;
void own_choices_free(struct own_choices *);
/** Of the choices that fit, the one that differs from the deck in the fewest keys; of several, the fastest.
 * NULL if none fits. */
const struct own_choice *plan_nearest(const struct own_choices *, const struct machine *,
                                      const struct deck *);

struct job_choice {
    struct plan_job job;
    double memory, step;
};
struct job_choices {
    int64_t n;
    struct job_choice *at;
};
/** The same for Megatron-Core, with pipeline, context and recomputation. The batch is that of the job. */
void plan_search_jobs(struct job_choices *, const struct machine *, const struct plan_shape *,
                      const struct plan_job *);
void job_choices_free(struct job_choices *);

#endif
