#include "plan/search.h"

#include <math.h>
#include <stdlib.h>
#include "base/mem.h"

enum { MICRO_MOST = 8 };

/* ---- this program ---- */

static int cheaper(double capacity, double memory_a, double step_a, double memory_b, double step_b)
{
    bool a = memory_a <= capacity, b = memory_b <= capacity;
    if (a != b)
        return a ? -1 : 1;
    double x = a ? step_a : memory_a, y = a ? step_b : memory_b;
    return (x > y) - (x < y);
}

static double the_capacity; /* of the machine that choices are sorted for: qsort hands nothing over */

static int by_own(const void *a, const void *b)
{
    const struct own_choice *x = a, *y = b;
    return cheaper(the_capacity, x->memory, x->step, y->memory, y->step);
}

static int by_job(const void *a, const void *b)
{
    const struct job_choice *x = a, *y = b;
    return cheaper(the_capacity, x->memory, x->step, y->memory, y->step);
}

static status try_own(struct own_choices *all, const struct machine *c, struct deck *d,
                      const struct config *config, const struct layout *l)
{
    int64_t sequences = d->batch.sequences;
    for (int64_t micro = 1; micro <= MICRO_MOST; micro *= 2) {
        if (sequences % micro != 0 || sequences / micro % l->dp != 0)
            continue;
        struct own_plan o;
        d->batch.micro = micro;
        TRY(plan_own(&o, c, d, config, l, OWN_CLOSED));
        all->rehearsals += o.rehearsals;
        all->at = mem_grow(all->at, all->n + 1, sizeof *all->at);
        all->at[all->n++] = (struct own_choice){*l, micro, plan_memory(&o.plan), o.plan.step};
    }
    return OK;
}

/* Does the layout exist? *l is filled. */
static bool make(struct layout *l, int ranks, int tp, int ep, int etp, const struct layout_needs *needs)
{
    char *why = layout_make(l, ranks, tp, ep, etp, needs);
    bool good = why == NULL;
    free(why);
    return good;
}

static bool divides(int64_t a, int64_t b)
{
    return b % a == 0;
}

status plan_search(struct own_choices *all, const struct machine *c, const struct deck *deck,
                   const struct config *config, int ranks)
{
    struct deck d = *deck;
    struct layout_needs needs = config_needs(config);
    int64_t experts = needs.experts > 0 ? needs.experts : 1;
    struct layout l;
    *all = (struct own_choices){0};
    for (int tp = 1; tp <= ranks && tp <= needs.heads; tp++)
        for (int ep = 1; ep <= ranks && ep <= experts && divides(tp, ranks); ep++)
            for (int etp = 1; etp <= c->node && etp <= ranks / ep && divides(ep, experts); etp++)
                if (divides(ep * etp, ranks) && make(&l, ranks, tp, ep, etp, &needs))
                    TRY(try_own(all, c, &d, config, &l));
    the_capacity = c->capacity;
    if (all->n > 0)
        qsort(all->at, (size_t)all->n, sizeof *all->at, by_own);
    return OK;
}

void own_choices_free(struct own_choices *all)
{
    free(all->at);
    *all = (struct own_choices){0};
}

static int changes(const struct own_choice *x, const struct deck *d)
{
    return (x->layout.tp != d->parallel.tensor) + (x->layout.ep != d->parallel.expert) +
           (x->layout.etp != d->parallel.expert_tensor) + (x->micro != d->batch.micro);
}

const struct own_choice *plan_nearest(const struct own_choices *all, const struct machine *c,
                                      const struct deck *d)
{
    const struct own_choice *best = NULL;
    for (int64_t i = 0; i < all->n && all->at[i].memory <= c->capacity; i++)
        if (!best || changes(&all->at[i], d) < changes(best, d))
            best = &all->at[i];
    return best;
}

/* ---- Megatron-Core ---- */

/* Sizes that are tried of a setting. */
struct trial {
    size_t at; /* in struct plan_job */
    double most;
};
#define AT(member) offsetof(struct plan_job, member)

static void take_job(struct job_choices *all, const struct machine *c, const struct plan_shape *s,
                     const struct plan_job *j)
{
    if ((j->pipeline == 1 && j->stages > 1) || plan_job_check(j, s) != OK)
        return;
    struct plan p = plan_megatron(c, s, j);
    all->at = mem_grow(all->at, all->n + 1, sizeof *all->at);
    all->at[all->n++] = (struct job_choice){*j, plan_memory(&p), p.step};
}

/* Sets the settings from trial[0] on to every power of two that may fit. */
static void try_jobs(struct job_choices *all, const struct machine *c, const struct plan_shape *s,
                     struct plan_job *j, const struct trial *trial, int n)
{
    if (n == 0) {
        take_job(all, c, s, j);
        return;
    }
    double *slot = (double *)(void *)((char *)j + trial->at);
    for (double x = 1; x <= trial->most; x *= 2) {
        *slot = x;
        double cut = j->tensor * j->context * j->pipeline,
               experts = j->expert * j->expert_tensor * j->pipeline;
        if (cut <= j->ranks && experts <= j->ranks)
            try_jobs(all, c, s, j, trial + 1, n - 1);
        *slot = 1;
    }
}

void plan_search_jobs(struct job_choices *all, const struct machine *c, const struct plan_shape *s,
                      const struct plan_job *job)
{
    struct plan_job j = *job;
    const struct trial trial[] = {
        {AT(tensor), c->node},
        {AT(context), job->sequence / 4096},
        {AT(pipeline), s->layers},
        {AT(stages), s->layers},
        {AT(expert), s->experts},
        {AT(expert_tensor), c->node},
        {AT(micro), 2},
    };
    *all = (struct job_choices){0};
    j.tensor = j.context = j.pipeline = j.stages = j.expert = j.expert_tensor = j.micro = 1;
    for (int r = AGAIN_NONE; r <= AGAIN_FULL; r++) {
        j.recompute = (enum job_recompute)r;
        try_jobs(all, c, s, &j, trial, sizeof trial / sizeof *trial);
    }
    the_capacity = c->capacity;
    if (all->n > 0)
        qsort(all->at, (size_t)all->n, sizeof *all->at, by_job);
}

void job_choices_free(struct job_choices *all)
{
    free(all->at);
    *all = (struct job_choices){0};
}
