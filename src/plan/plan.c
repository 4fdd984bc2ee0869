#include "plan/plan.h"

#define PLAN_TEXT(id, name) name,
static const char *const layer_name[] = {PLAN_LAYER(PLAN_TEXT)}, *const step_name[] = {PLAN_STEP(PLAN_TEXT)},
                         *const memory_name[] = {PLAN_MEMORY(PLAN_TEXT)};
#undef PLAN_TEXT

const char *plan_layer_name(enum plan_layer_term i)
{
    return layer_name[i];
}

const char *plan_step_name(enum plan_step_term i)
{
    return step_name[i];
}

const char *plan_memory_name(enum plan_memory_kind i)
{
    return memory_name[i];
}

double plan_memory(const struct plan *p)
{
    double bytes = 0;
    for (int i = 0; i < MEMORY_KINDS; i++)
        bytes += p->memory[i];
    return bytes;
}

void plan_add(struct plan *p, const char *name, double seconds)
{
    if (seconds > 0 && p->lines < PLAN_LINES)
        p->line[p->lines++] = (struct plan_line){name, seconds};
}

const struct plan_line *plan_most(const struct plan *p)
{
    const struct plan_line *most = &p->line[0];
    for (int i = 1; i < p->lines; i++)
        if (p->line[i].seconds > most->seconds)
            most = &p->line[i];
    return most;
}

double plan_layer_seconds(const struct plan *p, enum plan_layer_term i)
{
    return p->micros * p->layers * (p->layer[i].forward + p->layer[i].backward);
}

double plan_share(const struct plan *p, const struct machine *c, double ranks, double flops)
{
    return flops / (p->step * ranks * c->peak);
}
