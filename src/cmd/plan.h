/* What the parts of coppice plan share. */
#ifndef CMD_PLAN_H
#define CMD_PLAN_H
#include "cmd/options.h"
#include "deck/site.h"
#include "plan/page.h"
#include "plan/search.h"
#include "start/shape.h"

struct planner {
    const struct options *options;
    struct deck deck;
    struct shapes shapes;
    struct config config; /* what trains */
    struct site site;
    struct machine machine;
    struct layout layout;
    int ranks;
};

/** The page of a plan. Free its texts by planner_page_free. */
struct plan_page planner_page(const struct planner *, const char *program, const struct plan *, double load,
                              double checkpoint);
void planner_page_free(struct plan_page *);
/** Print a page in the form that the options ask for. */
void planner_print(const struct planner *, const struct plan_page *);
/** coppice plan --like megatron. */
status planner_megatron(struct planner *) MUST_USE;
/** --search: print the best layouts. */
status planner_search(struct planner *) MUST_USE;
/** --legal-ranks: print the numbers of ranks that fit. */
status planner_legal(const struct planner *) MUST_USE;
/** --job: print the sbatch script with the plan's numbers. */
void planner_job(const struct planner *, const struct plan_page *);
/** --measure: measure this machine's file. COLLECTIVE; it opens and closes all that it needs. */
status planner_measure(const struct options *) MUST_USE;

#endif
