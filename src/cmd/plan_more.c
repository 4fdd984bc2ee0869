/* coppice plan: another program's job, the search, and legal numbers of ranks. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "cmd/plan.h"
#include "start/check.h"

/* ---- --like megatron ---- */

static char *job_text(const struct plan_job *j)
{
    static const char *const recompute[] = {"nothing", "norms and activations", "whole layers"};
    return mem_format(
        "%g ranks: tensor %g, context %g, pipeline %g x %g virtual, expert %g, expert-tensor %g, data %g; "
        "%g sequences of %g, %g a micro-batch; recomputes %s",
        j->ranks, j->tensor, j->context, j->pipeline, j->stages, j->expert, j->expert_tensor,
        j->ranks / (j->tensor * j->context * j->pipeline), j->sequences, j->sequence, j->micro,
        recompute[j->recompute]);
}

static status job_of(const struct planner *p, struct plan_shape *shape, struct plan_job *job)
{
    const struct options *o = p->options;
    if (strcmp(o->like, "megatron") != 0)
        return fail(E_DECK, "--like %s: megatron is the only other program that is known", o->like);
    TRY(plan_shape_of(shape, &p->config));
    *job = plan_job_of(&p->deck, p->ranks);
    for (int i = 0; i < o->n_with; i++)
        TRY(plan_job_set(job, o->with[i]));
    return OK;
}

/* What this program would need for the same job, and why it differs. */
static status beside(struct planner *p, const struct plan_job *job, const struct plan *theirs)
{
    struct own_choices all;
    char a[32], b[32];
    p->deck.batch.sequences = (int64_t)job->sequences;
    p->deck.data.sequence = (int64_t)job->sequence;
    TRY(plan_search(&all, &p->machine, &p->deck, &p->config, p->ranks));
    log_say("beside it Coppice itself on %d ranks: it has no pipeline and no context parallelism, so every "
            "rank holds all "
            "%lld layers, where a rank here holds %g;",
            p->ranks, (long long)p->config.layers, (double)p->config.layers / job->pipeline);
    log_say("          only tensor and expert ranks cut weights and gradients, and a rank keeps whole "
            "sequences of "
            "activations");
    if (all.n == 0)
        log_say("          no layout of these ranks takes %g sequences without idle ranks", job->sequences);
    for (int64_t i = 0; i < all.n && i < 3; i++) {
        const struct own_choice *x = &all.at[i];
        log_say("          tensor %d, expert %d, expert-tensor %d, micro %lld: %s a rank%s, %.3g s a step "
                "(%.2f times %s)",
                x->layout.tp, x->layout.ep, x->layout.etp, (long long)x->micro, text_bytes(a, x->memory),
                x->memory <= p->machine.capacity ? "" : ", DOES NOT FIT", x->step, x->step / theirs->step,
                text_time(b, theirs->step));
    }
    own_choices_free(&all);
    return OK;
}

static status search_jobs(const struct planner *p, const struct plan_shape *shape, const struct plan_job *job)
{
    enum { SHOWN = 10 };
    struct job_choices all;
    char memory[32];
    plan_search_jobs(&all, &p->machine, shape, job);
    log_say("search    %lld layouts of %d ranks for Megatron-Core, the fastest that fit:", (long long)all.n,
            p->ranks);
    log_say("          tensor context pipeline virtual expert exp-tensor micro recompute    memory     "
            "s/step  MFU %%");
    for (int64_t i = 0; i < all.n && i < SHOWN; i++) {
        const struct job_choice *x = &all.at[i];
        const struct plan_job *j = &x->job;
        double flops = j->sequences * j->sequence * plan_flops_megatron(shape, j->sequence);
        log_say("          %6g %7g %8g %7g %6g %10g %5g %9d %9s%s %8.3f %6.1f", j->tensor, j->context,
                j->pipeline, j->stages, j->expert, j->expert_tensor, j->micro, j->recompute,
                text_bytes(memory, x->memory), x->memory <= p->machine.capacity ? " " : "!", x->step,
                100 * flops / x->step / j->ranks / p->machine.peak);
    }
    job_choices_free(&all);
    return OK;
}

status planner_megatron(struct planner *p)
{
    struct plan_shape shape;
    struct plan_job job;
    TRY(job_of(p, &shape, &job));
    if (p->options->search)
        return search_jobs(p, &shape, &job);
    TRY(plan_job_check(&job, &shape));
    struct plan plan = plan_megatron(&p->machine, &shape, &job);
    struct rank_class all = {.ranks = p->ranks};
    memcpy(all.memory, plan.memory, sizeof all.memory);
    double parameters = (double)config_parameters(&p->config);
    struct plan_page g = planner_page(p, "Megatron-Core", &plan, job.load, 12 * parameters);
    g.layout = job_text(&job);
    g.by_class = &all;
    g.classes = 1;
    planner_print(p, &g);
    status code = p->options->json || p->options->job ? OK : beside(p, &job, &plan);
    planner_page_free(&g);
    return code;
}

/* ---- --search ---- */

static json_t *choice_json(const struct own_choice *x, double capacity, double tokens)
{
    return json_pack("{sisisisIsfsfsfsb}", "tensor", x->layout.tp, "expert", x->layout.ep, "expert_tensor",
                     x->layout.etp, "micro", (json_int_t)x->micro, "bytes", x->memory, "step_s", x->step,
                     "tokens_per_s", tokens / x->step, "fits", x->memory <= capacity);
}

static void show_choices(const struct planner *p, const struct own_choices *all, double tokens)
{
    enum { SHOWN = 15 };
    char memory[32];
    log_say("search    %lld layouts and micro-batches of %d ranks on %s, the fastest that fit:",
            (long long)all->n, p->ranks, p->machine.name);
    log_say("          tensor expert expert_tensor micro     memory   s/step   tokens/s");
    for (int64_t i = 0; i < all->n && i < SHOWN; i++) {
        const struct own_choice *x = &all->at[i];
        log_say("          %6d %6d %13d %5lld %10s %8.4g %10.0f%s", x->layout.tp, x->layout.ep, x->layout.etp,
                (long long)x->micro, text_bytes(memory, x->memory), x->step, tokens / x->step,
                x->memory <= p->machine.capacity ? "" : "  does not fit");
    }
}

status planner_search(struct planner *p)
{
    struct own_choices all;
    double tokens = (double)(p->deck.batch.sequences * p->deck.data.sequence);
    TRY(plan_search(&all, &p->machine, &p->deck, &p->config, p->ranks));
    json_t *list = json_array();
    for (int64_t i = 0; i < all.n && p->options->json; i++)
        json_array_append_new(list, choice_json(&all.at[i], p->machine.capacity, tokens));
    if (p->options->json)
        json_print(json_pack("{sisIsO}", "ranks", p->ranks, "rehearsals", (json_int_t)all.rehearsals,
                             "choices", list));
    else
        show_choices(p, &all, tokens);
    json_decref(list);
    bool some = all.n > 0 && all.at[0].memory <= p->machine.capacity;
    own_choices_free(&all);
    return some ? OK
                : fail(E_RESOURCE, "no layout of %d ranks fits; try more ranks, or a smaller data.sequence",
                       p->ranks);
}

/* ---- --legal-ranks ---- */

/* With the deck's layout, and with any: what a restart from its checkpoints may choose. */
static bool any_layout(const struct config *c, int64_t ranks, int64_t micros)
{
    struct layout_needs needs = config_needs(c);
    struct layout l;
    bool found = false;
    for (int tp = 1; tp <= needs.heads && tp <= ranks && !found; tp++) {
        char *why = layout_make(&l, (int)ranks, tp, 1, 1, &needs);
        found = !why && micros % l.dp == 0;
        free(why);
    }
    return found;
}

static char *ranges(const struct planner *p, int64_t most, bool any)
{
    const struct deck *d = &p->deck;
    int64_t micros = d->batch.sequences / d->batch.micro, least = start_least_ranks(d);
    char *text = NULL;
    for (int64_t n = 1; n <= most; n++) {
        bool good = any ? any_layout(&p->config, n, micros)
                        : n % least == 0 && micros % (n / d->parallel.tensor) == 0;
        if (good)
            mem_append(&text, "%s%lld", text ? " " : "", (long long)n);
    }
    return text ? text : mem_text("none");
}

status planner_legal(const struct planner *p)
{
    const struct deck *d = &p->deck;
    int64_t most = p->options->ranks > 0 ? p->options->ranks : 1024;
    char *these = ranges(p, most, false), *any = ranges(p, most, true);
    if (p->options->json) {
        json_print(json_pack("{sIssss}", "up_to", (json_int_t)most, "this_layout", these, "any_layout", any));
    } else {
        log_say("ranks     up to %lld without idle ranks; tensor %lld, expert %lld, expert_tensor %lld:",
                (long long)most, (long long)d->parallel.tensor, (long long)d->parallel.expert,
                (long long)d->parallel.expert_tensor);
        log_say("          %s", these);
        log_say("          with another parallel section, which a restart may have, too:");
        log_say("          %s", any);
    }
    free(these);
    free(any);
    return OK;
}
