/* A plan in words for people, and as JSON for programs. */
#ifndef PLAN_PAGE_H
#define PLAN_PAGE_H
#include "base/json.h"
#include "plan/outlook.h"
#include "plan/own.h"

struct plan_page {
    const char *program;  /* whose step: "Coppice", "Megatron-Core" */
    char *model, *layout; /* in words; owned by the caller */
    const struct machine *machine;
    double ranks, load;
    const struct plan *plan;
    const struct rank_class *by_class; /* NULL: all ranks have the plan's memory */
    int classes;
    struct outlook outlook;
};

/** Does the fullest rank's memory fit? */
bool plan_fits(const struct plan *, const struct machine *);
void plan_show(const struct plan_page *);
json_t *plan_json(const struct plan_page *); /* a new reference */

#endif
