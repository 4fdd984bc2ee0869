/* All layouts of a number of ranks, planned and ranked. Local. */
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
    int64_t n;
    struct own_choice *at; /* what fits first, fast ones first; then what needs least memory */
};
/** Every tensor, expert and expert_tensor size and micro-batch that the shape allows on these ranks without
 * idle ones. E_RESOURCE. own_choices_free in any case. */
status plan_search(struct own_choices *, const struct machine *, const struct deck *, const struct config *,
                   int ranks) MUST_USE;
void own_choices_free(struct own_choices *);
/** The choice that fits and differs in the fewest keys from the deck's, the fastest of these; NULL if none
 * fits. */
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
/** The same for Megatron-Core: pipeline, context and recomputation too. The batch is the job's. */
void plan_search_jobs(struct job_choices *, const struct machine *, const struct plan_shape *,
                      const struct plan_job *);
void job_choices_free(struct job_choices *);

#endif
