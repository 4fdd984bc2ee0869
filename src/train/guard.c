#include "train/guard.h"

#include <math.h>
#include <stdlib.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/progress.h"
#include "train/replicas.h"
#include "train/report.h"
#include "train/saving.h"

/* ---- spikes ---- */

enum { MEMORY = 50, ENOUGH = 20 };

struct clip guard_limits(const struct trainer *t, int64_t counted)
{
    const struct guard_section *g = t->guards;
    const struct guard *now = &t->guard;
    struct clip most = {t->optimizer->clip, INFINITY, INFINITY};
    if (now->good < ENOUGH)
        return most;
    if (g->norm_spike > 0)
        most.norm = g->norm_spike * now->norm;
    if (g->loss_spike > 0)
        most.loss = (g->loss_spike + now->loss) * (double)counted;
    return most;
}

void guard_good(struct trainer *t, int64_t step)
{
    struct guard *g = &t->guard;
    const struct step_report *s = &t->stepper.report;
    double share = 1 / fmin((double)++g->good, MEMORY);
    g->loss += share * (s->loss - g->loss);
    g->norm += share * (s->grad_norm - g->norm);
    if (step >= g->since)
        g->bad = 0;
}

/* ---- the step once more ---- */

/* What is known of a bad step. */
struct bad {
    struct step_report was;
    const struct ckpt_state *after;
    const char *tensor;
    bool again; /* it is bad each time */
};

static void drain(struct trainer *t)
{
    while (step_unread(&t->stepper) > 0)
        (void)step_read(&t->stepper);
    optim_go(&t->stepper.optim);
}

/* COLLECTIVE: squares of the reduced gradient by tensor, on every rank. Caller frees. */
static status squares_by_tensor(struct trainer *t, double **squares)
{
    const struct store *s = t->store;
    int n = s->model->n_tensors;
    int64_t bytes = n * (int64_t)sizeof(double);
    void *memory;
    TRY(comm_agree(t->comm, dev_alloc(t->dev, "squares by tensor", &memory, bytes, FRESH_ZERO)));
    view all = view_of(memory, F64, 1, 1, n);
    for (int i = 0; i < s->n_owned; i++)
        if (s->model->tensor[s->owned[i].tensor].trained)
            dev_sumsq(t->dev, view_cols(all, s->owned[i].tensor, 1), store_shard_grad(s, &s->owned[i]));
    group_all_reduce(t->group[G_WORLD], COMPUTE, all);
    *squares = mem_new(n, sizeof **squares);
    dev_download(t->dev, *squares, all);
    dev_free(t->dev, memory, bytes);
    return OK;
}

/* The first tensor with a gradient that is not finite, else the one with the largest. */
static const char *culprit(const struct store *s, const double *squares)
{
    int worst = 0;
    for (int i = 0; i < s->model->n_tensors; i++) {
        if (!isfinite(squares[i]))
            return s->model->tensor[i].name;
        worst = squares[i] > squares[worst] ? i : worst;
    }
    return s->model->tensor[worst].name;
}

/* COLLECTIVE: the gradients of the samples that t->state stands before; nothing is updated. */
static status look_again(struct trainer *t, struct bad *bad)
{
    double *squares;
    progress_task("looking for the fault", t->state.step + 1);
    batch_size(&t->fetched, &t->store->layout, t->store->rank, bad->after->samples - t->state.samples);
    TRY(batch_fetch(&t->fetched, t->comm, t->data, t->state.samples));
    if (!step_gradients(&t->stepper, &t->fetched))
        return fail(E_STOP, "given up while looking for a fault");
    t->stepper.begun[(t->stepper.steps - 1) % 2].most = bad->was.most;
    bad->again = !step_read(&t->stepper);
    TRY(squares_by_tensor(t, &squares));
    bad->tensor = culprit(t->store, squares);
    free(squares);
    t->stepper.report = bad->was;
    return OK;
}

/* ---- what follows ---- */

/* "step 7 (samples 48 to 55): the loss (nan) ... is not finite: layers.1.down"; caller frees. */
static char *describe(const struct trainer *t, const struct bad *b)
{
    bool finite = isfinite(b->was.loss) && isfinite(b->was.grad_norm);
    return mem_format(
        "step %lld (samples %lld to %lld): the loss (%g) or the gradient norm (%g) %s: %s%s",
        (long long)b->after->step, (long long)t->state.samples, (long long)b->after->samples - 1, b->was.loss,
        b->was.grad_norm, finite ? "spikes" : "is not finite",
        b->again ? "the gradient of " : "not so when computed once more, a fault of some hardware",
        b->again ? b->tensor : "");
}

static status stop(struct trainer *t, struct report *r, const char *text)
{
    TRY(saving_end(t, r, true));
    if (t->state.step > r->saved)
        TRY(saving_begin(t, r));
    TRY(saving_end(t, r, true));
    return fail(E_NAN, "%s; weights are as before this step%s", text,
                t->state.step > 0 && r->saved == t->state.step ? ", and saved" : "");
}

/* COLLECTIVE: to the newest checkpoint, if there is one. */
static status load_newest(struct trainer *t, struct report *r, bool *found)
{
    char *path = NULL;
    struct ckpt_index index = {0};
    TRY(saving_end(t, r, true));
    TRY(ckpt_find(t->comm, t->folder->dir, &path));
    *found = path;
    if (!path)
        return OK;
    status code = ckpt_index_load(t->comm, &index, path);
    if (code == OK)
        code = ckpt_load(t->comm, t->store, t->group, &index, path);
    if (code == OK) {
        r->first_step -= t->state.step - index.state.step; /* so many steps are done again */
        t->state.step = index.state.step;
        t->state.tokens = index.state.tokens;
        t->state.samples = index.state.samples;
    }
    ckpt_index_free(&index);
    free(path);
    return code;
}

/* Behind the samples of the bad step. */
static status rewind_past(struct trainer *t, struct report *r, const struct ckpt_state *after)
{
    bool found;
    TRY(load_newest(t, r, &found));
    if (!found)
        t->state = *after;
    t->state.samples = after->samples;
    log_say("  rewound to step %lld, past sample %lld", (long long)t->state.step,
            (long long)after->samples - 1);
    return OK;
}

status guard_bad(struct trainer *t, struct report *r, const struct ckpt_state *after)
{
    struct bad bad = {.was = t->stepper.report, .after = after};
    enum guard_policy policy = t->guards->policy;
    drain(t);
    status code = look_again(t, &bad);
    drain(t);
    TRY(code);
    char *text = describe(t, &bad);
    t->guard.bad++;
    t->guard.since = after->step > t->guard.since ? after->step : t->guard.since;
    bool stops = t->guard.bad > t->guards->most || (bad.again && policy == GUARD_STOP);
    const char *follows = stops ? "stop" : !bad.again ? "repeat" : policy == GUARD_SKIP ? "skip" : "rewind";
    report_bad(r, t, after, bad.again ? bad.tensor : NULL, follows);
    if (!stops)
        log_warn("%s: %s", text, follows);
    if (stops)
        code = stop(t, r, text);
    else if (bad.again && policy == GUARD_SKIP)
        t->state = *after;
    else if (bad.again)
        code = rewind_past(t, r, after);
    free(text);
    return code;
}

status guard_replicas(struct trainer *t, struct report *r)
{
    status code = replicas_check(t->comm, t->store);
    if (code != E_NAN)
        return code;
    char *text = mem_text(status_text());
    bool back = t->guards->policy == GUARD_REWIND && ++t->guard.bad <= t->guards->most;
    report_event(t, "replicas", json_pack("{ssss}", "error", text, "follows", back ? "rewind" : "stop"));
    if (back) {
        log_warn("step %lld: %s: rewind", (long long)t->state.step, text);
        t->guard.since = t->state.step + 1;
        code = load_newest(t, r, &back);
    }
    if (!back)
        code = fail(E_NAN, "step %lld: %s; nothing is saved after the last checkpoint, step %lld",
                    (long long)t->state.step, text, (long long)r->saved);
    free(text);
    return code;
}
