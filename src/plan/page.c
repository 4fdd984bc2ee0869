#include "plan/page.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

bool plan_fits(const struct plan *p, const struct machine *c)
{
    return plan_memory(p) <= c->capacity;
}

/* ---- memory ---- */

static double sum_of(const double *memory)
{
    double sum = 0;
    for (int k = 0; k < MEMORY_KINDS; k++)
        sum += memory[k];
    return sum;
}

static void memory_row(const struct plan_page *g, const char *name, int kind)
{
    char *line = NULL, text[32];
    for (int i = 0; i < g->classes; i++) {
        double bytes = kind < MEMORY_KINDS ? g->by_class[i].memory[kind] : sum_of(g->by_class[i].memory);
        mem_append(&line, " %16s", text_bytes(text, bytes));
    }
    log_say("          %-24s%s", name, line);
    free(line);
}

static void show_memory(const struct plan_page *g)
{
    char *line = NULL, need[32], have[32];
    for (int i = 0; i < g->classes; i++) {
        char *who = mem_format("%d like rank %d", g->by_class[i].ranks, g->by_class[i].first);
        mem_append(&line, " %16s", who);
        free(who);
    }
    log_say("memory    of a rank               %s", line);
    free(line);
    for (int k = 0; k < MEMORY_KINDS; k++)
        if (g->plan->memory[k] > 0)
            memory_row(g, plan_memory_name((enum plan_memory_kind)k), k);
    memory_row(g, "in all", MEMORY_KINDS);
    text_bytes(have, g->machine->capacity);
    if (plan_fits(g->plan, g->machine))
        log_say("          fits into the %s of a rank", have);
    else
        log_say("          DOES NOT FIT into the %s of a rank: %s too much", have,
                text_bytes(need, plan_memory(g->plan) - g->machine->capacity));
}

/* ---- time ---- */

static const char *seconds_text(char out[32], double s)
{
    snprintf(out, 32, s < 0.01 ? "%.3f ms" : s < 10 ? "%.1f ms" : "%.0f ms", 1e3 * s);
    if (s >= 1)
        snprintf(out, 32, "%.3f s", s);
    return out;
}

static void show_time(const struct plan_page *g)
{
    const struct plan *p = g->plan;
    char text[32], low[32], high[32];
    log_say("time      a step: %s, from %s to %s (+- %.0f %%)", seconds_text(text, p->step),
            seconds_text(low, p->step / (1 + g->machine->band)),
            seconds_text(high, p->step * (1 + g->machine->band)), 100 * g->machine->band);
    for (int i = 0; i < p->lines; i++)
        log_say("          %-33s%7.1f %%  %10s", p->line[i].name, 100 * p->line[i].seconds / p->step,
                seconds_text(text, p->line[i].seconds));
    if (p->hidden > 0)
        log_say("          behind compute, in no line: %s of data-parallel traffic",
                seconds_text(text, p->hidden));
    else
        log_say("          no traffic is hidden behind compute");
    log_say("          it binds: %s", plan_most(p)->name);
}

/* ---- speed ---- */

struct convention {
    const char *name, *key;
    double flops;
};

static int conventions(const struct plan *p, struct convention out[3])
{
    out[0] = (struct convention){"Megatron (causal half)", "megatron", p->megatron};
    out[1] = (struct convention){"6 x active parameters", "6n", p->six_n};
    out[2] = (struct convention){"executed", "executed", p->executed};
    return 3;
}

static void show_speed(const struct plan_page *g)
{
    struct convention c[3];
    log_say("speed     %.0f tokens/s, %.0f a rank", g->plan->tokens / g->plan->step,
            g->plan->tokens / g->plan->step / g->ranks);
    for (int i = 0, n = conventions(g->plan, c); i < n; i++)
        log_say("          %-24s %7.4g TFLOP/s a rank, %5.1f %% of its peak of %.4g", c[i].name,
                1e-12 * c[i].flops / g->plan->step / g->ranks,
                100 * plan_share(g->plan, g->machine, g->ranks, c[i].flops), 1e-12 * g->machine->peak);
    log_say("          assumed: the fullest rank's experts have %.2f times the mean rows", g->load);
}

static void show_outlook(const struct plan_page *g)
{
    const struct outlook *o = &g->outlook;
    char a[32], b[32], c[32], d[32];
    log_say("run       %s tokens a day, %s in all, %.4g node-hours on %.0f node%s%s",
            text_count(a, o->tokens_a_day), text_time(b, o->run_seconds), o->node_hours, o->nodes,
            o->nodes > 1 ? "s" : "", o->energy > 0 ? "," : "");
    if (o->energy > 0)
        log_say("          %.4g kWh at %.0f W a rank", o->energy / 3.6e6, g->machine->watts);
    log_say("save      %s in %s", text_bytes(a, o->checkpoint_bytes), text_time(b, o->checkpoint_seconds));
    if (o->mtbf > 0)
        log_say("          every %s (Daly; Young %s): a failure every %s; saving and failures take %.2f %%",
                text_time(b, o->daly), text_time(c, o->young), text_time(d, o->mtbf), 100 * o->lost);
}

void plan_show(const struct plan_page *g)
{
    log_say("plan      %s of %s", g->program, g->model);
    log_say("          %s", g->layout);
    log_say("          machine: %s", g->machine->name);
    show_memory(g);
    show_time(g);
    show_speed(g);
    show_outlook(g);
}

/* ---- for programs ---- */

static json_t *memory_json(const struct plan_page *g)
{
    json_t *classes = json_array();
    for (int i = 0; i < g->classes; i++) {
        json_t *kinds = json_object();
        for (int k = 0; k < MEMORY_KINDS; k++)
            json_object_set_new(kinds, plan_memory_name((enum plan_memory_kind)k),
                                json_real(g->by_class[i].memory[k]));
        json_array_append_new(classes, json_pack("{sisisfso}", "first_rank", g->by_class[i].first, "ranks",
                                                 g->by_class[i].ranks, "bytes", sum_of(g->by_class[i].memory),
                                                 "kinds", kinds));
    }
    return classes;
}

static json_t *time_json(const struct plan_page *g)
{
    json_t *lines = json_object();
    for (int i = 0; i < g->plan->lines; i++)
        json_object_set_new(lines, g->plan->line[i].name, json_real(g->plan->line[i].seconds));
    return json_pack("{sfsosfsssf}", "step_s", g->plan->step, "terms_s", lines, "hidden_s", g->plan->hidden,
                     "binds", plan_most(g->plan)->name, "band", g->machine->band);
}

static json_t *speed_json(const struct plan_page *g)
{
    struct convention c[3];
    json_t *all = json_object();
    for (int i = 0, n = conventions(g->plan, c); i < n; i++)
        json_object_set_new(all, c[i].key,
                            json_pack("{sfsf}", "tflops_a_rank",
                                      1e-12 * c[i].flops / g->plan->step / g->ranks, "mfu",
                                      plan_share(g->plan, g->machine, g->ranks, c[i].flops)));
    return json_pack("{sfsfsosf}", "executed_flops", g->plan->executed, "tokens_per_s",
                     g->plan->tokens / g->plan->step, "flops", all, "load", g->load);
}

static json_t *outlook_json(const struct outlook *o)
{
    return json_pack("{sfsfsfsfsfsfsfsfsfsfsf}", "nodes", o->nodes, "tokens_a_day", o->tokens_a_day, "run_s",
                     o->run_seconds, "node_hours", o->node_hours, "energy_j", o->energy, "checkpoint_bytes",
                     o->checkpoint_bytes, "checkpoint_s", o->checkpoint_seconds, "mtbf_s", o->mtbf, "young_s",
                     o->young, "daly_s", o->daly, "lost", o->lost);
}

json_t *plan_json(const struct plan_page *g)
{
    return json_pack("{sssssssssfsbsfsosososo}", "program", g->program, "model", g->model, "layout",
                     g->layout, "machine", g->machine->name, "ranks", g->ranks, "fits",
                     plan_fits(g->plan, g->machine), "capacity_bytes", g->machine->capacity, "memory",
                     memory_json(g), "time", time_json(g), "speed", speed_json(g), "run",
                     outlook_json(&g->outlook));
}
