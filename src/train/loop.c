#include "train/loop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/progress.h"
#include "base/text.h"
#include "eval/valid.h"
#include "train/exams.h"
#include "train/fault.h"
#include "train/report.h"
#include "train/saving.h"
#include "train/schedule.h"
#include "train/stop.h"
#include "train/summary.h"

int64_t loop_steps(const struct run_section *run, const struct batch_section *batch, int64_t sequence,
                   const struct ckpt_state *done)
{
    if (run->steps > 0)
        return run->steps;
    double left = run->tokens - (double)done->tokens;
    return done->step + (int64_t)ceil(fmax(left, 0) / ((double)batch->sequences * (double)sequence));
}

/* ---- what is due ---- */

struct due {
    double last; /* clock at the last time, for intervals in seconds */
};

/* Equal on all ranks: rank 0's clock decides intervals in seconds. COLLECTIVE. */
static bool is_due(const struct trainer *t, const struct every *e, struct due *d)
{
    int64_t now = 0;
    if (e->steps > 0)
        return t->state.step % e->steps == 0;
    if (e->seconds <= 0)
        return false;
    if (comm_rank(t->comm) == 0 && clock_seconds() - d->last >= e->seconds) {
        now = 1;
        d->last = clock_seconds();
    }
    comm_max_i64(t->comm, &now, 1);
    return now;
}

/* COLLECTIVE: one reduction a step. A save in flight goes on where it needs no waiting. */
static status agree(struct trainer *t, struct report *r, int64_t *why)
{
    int64_t both[2] = {stop_asked(t, r), saving_busy(t)};
    comm_max_i64(t->comm, both, 2);
    *why = both[0];
    return saving_go_on(t, r, both[1] > 0);
}

/* ---- validation ---- */

status loop_validate(struct trainer *t, double *mean)
{
    int sets = data_valid_sets(t->data);
    double sum = 0;
    progress_task("validation", t->state.step);
    *mean = (double)NAN;
    for (int i = 0; i < sets; i++) {
        double loss;
        TRY(valid_loss(&loss, t->comm, t->net, &t->store->layout, t->store->rank, t->data, i, t->eval->tokens,
                       t->batch->micro, t->sequence));
        sum += loss;
        if (i == sets - 1)
            *mean = sum / sets;
        report_valid(t, data_valid_name(t->data, i), loss, *mean, i == sets - 1);
    }
    return exams_take(t);
}

/* ---- one step and what follows it ---- */

/* run.tokens is met, not passed: the last step is cut to the micro-batches that reach it. */
static int64_t sequences_left(const struct trainer *t)
{
    int64_t all = t->batch->sequences, micro = t->batch->micro * t->sequence;
    double left = t->run->tokens - (double)t->state.tokens;
    int64_t micros = (int64_t)ceil(left / (double)micro);
    return t->run->tokens > 0 && micros * t->batch->micro < all ? micros * t->batch->micro : all;
}

/* The state after a step of this leg, or before its first. */
static struct ckpt_state *done(struct trainer *t, int64_t step)
{
    return &t->done[step % 3];
}

/* Go on from t->state, which is not where the steps had come to. */
static void go_on_from(struct trainer *t, struct report *r)
{
    r->at = t->state;
    *done(t, t->state.step) = t->state;
}

/* Wait for the oldest step that was not read, and report it. */
static status read_step(struct trainer *t, struct report *r, bool show)
{
    int64_t step = r->at.step + 1;
    bool good = step_read(&t->stepper);
    r->step_seconds = clock_lap(&r->step_began);
    watchdog_pace(t->watchdog, r->step_seconds);
    r->stepping += r->step_seconds;
    for (int i = 0; i < PHASES; i++)
        r->seconds[i] += t->stepper.report.seconds[i];
    profile_step_end(&r->profile, t->comm, t->dev, r->step_seconds);
    if (!good) { /* nor did the step after it change anything */
        t->state = r->at;
        TRY(guard_bad(t, r, done(t, step)));
        go_on_from(t, r);
        return OK;
    }
    guard_good(t, step);
    r->tokens = done(t, step)->tokens - r->at.tokens;
    r->at = *done(t, step);
    r->longest.step = fmax(r->longest.step, r->step_seconds);
    if (show)
        t->ceiling = ceiling_held(t->comm, t->dev, t->store->model->weights, t->ceiling,
                                  report_flops(t, (double)r->tokens, r->step_seconds));
    TRY(comm_agree(t->comm, folder_check(t->folder)));
    report_step(r, t, show);
    if (show)
        report_status(r, t, "running");
    return OK;
}

/* All steps that were begun. */
static status read_steps(struct trainer *t, struct report *r, bool show)
{
    while (step_unread(&t->stepper) > 0)
        TRY(read_step(t, r, show && step_unread(&t->stepper) == 1));
    return OK;
}

/* Begin a step; the one before it is read meanwhile. E_STOP: it was given up, because a second signal
 * hurries. */
static status one_step(struct trainer *t, struct report *r)
{
    int64_t sequences = sequences_left(t), update = t->state.step + 1;
    progress_task("training", update);
    batch_size(&t->fetched, &t->store->layout, t->store->rank, sequences);
    TRY(batch_fetch(&t->fetched, t->comm, t->data, t->state.samples));
    if (step_unread(&t->stepper) == 0)
        r->step_began = clock_seconds();
    profile_step_begin(&r->profile, t->dev);
    if (!step_gradients(&t->stepper, &t->fetched))
        return fail(E_STOP, "step %lld was given up", (long long)update);
    t->stepper.most = guard_limits(t, t->fetched.counted);
    step_update(&t->stepper, update, schedule_rate(t->optimizer, t->state.horizon, update));
    fault_weight(t->store, t->fetched.sample, sequences);
    t->state.step = update;
    t->state.samples += sequences;
    t->state.tokens += sequences * t->sequence;
    *done(t, update) = t->state;
    return step_unread(&t->stepper) == 2 ? read_step(t, r, false) : OK;
}

static status after_step(struct trainer *t, struct report *r, struct due *eval, bool last)
{
    r->job_seconds = t->limit.end - clock_seconds();
    bool show = last || t->state.step == 1 || t->state.step % t->log->every == 0;
    bool validate = is_due(t, &t->eval->every, eval) || last;
    if (show || validate || !t->late)
        TRY(read_steps(t, r, show));
    if (!validate)
        return OK;
    double start = clock_seconds();
    status code = loop_validate(t, &t->valid);
    double seconds = clock_lap(&start);
    r->validating += seconds;
    r->longest.validation = fmax(r->longest.validation, seconds);
    if (code != E_STOP)
        return code;
    log_say("  validation given up: a signal asks to stop"); /* the caller sees it, too */
    return OK;
}

/* Before the step is saved or followed by others. */
static status check_replicas(struct trainer *t, struct report *r, struct due *due)
{
    if (comm_size(t->comm) == 1 || !is_due(t, &t->guards->replicas, due))
        return OK;
    TRY(read_steps(t, r, false));
    TRY(guard_replicas(t, r));
    go_on_from(t, r);
    return OK;
}

/* The last save failed. RUN/stop was obeyed all the same. */
static status end_unsaved(struct trainer *t, struct report *r)
{
    summary_show(r, t, "UNSAVED");
    return fail(E_SPACE, "step %lld is not saved: %s", (long long)t->state.step, r->unsaved);
}

/* Ends the leg: OK when finished, else why it was stopped; E_SPACE when its last save failed. */
static status end_leg(struct trainer *t, struct report *r, int64_t why)
{
    if (why == STOP_USER && comm_rank(t->comm) == 0)
        folder_obeyed(t->folder);
    if (r->unsaved)
        return end_unsaved(t, r);
    char *reason = stop_text(why);
    report_status(r, t, why ? "stopped" : "finished");
    report_event(t, why ? "stop" : "finish",
                 why ? json_pack("{ssss}", "kind", stop_kind(why), "reason", reason) : NULL);
    summary_show(r, t, why ? "STOPPED" : "DONE");
    status code = why ? fail(why == STOP_USER ? E_ASKED : E_STOP,
                             "stopped at step %lld of %lld by %s, %s; the same command continues",
                             (long long)t->state.step, (long long)t->steps, reason,
                             r->saved == t->state.step && r->saved > 0 ? "saved" : "nothing to save")
                      : OK;
    free(reason);
    return code;
}

/* The state is that of the step before, which may be saved already. */
static status end_hurried(struct trainer *t, struct report *r)
{
    log_say("  step %lld given up: a second signal hurries", (long long)t->state.step + 1);
    int64_t why = STOP_NOT;
    TRY(read_steps(t, r, false));
    TRY(saving_end(t, r, true));
    if (t->state.step > r->saved)
        TRY(saving_begin(t, r));
    TRY(saving_end(t, r, true));
    TRY(agree(t, r, &why));
    return end_leg(t, r, why);
}

/* What is asked while a checkpoint is written is obeyed with this checkpoint. */
static status run_steps(struct trainer *t, struct report *r)
{
    struct due eval = {clock_seconds()}, checkpoint = eval, replicas = eval;
    int64_t why = STOP_NOT;
    *done(t, t->state.step) = t->state;
    report_begin(r, t);
    while (t->state.step < t->steps && !why) {
        status code = one_step(t, r);
        if (code == E_STOP)
            return end_hurried(t, r);
        TRY(code);
        bool last = t->state.step == t->steps;
        TRY(after_step(t, r, &eval, last));
        TRY(check_replicas(t, r, &replicas));
        last = t->state.step == t->steps; /* a bad step may have led back */
        if (!last)
            TRY(agree(t, r, &why));
        if (!is_due(t, &t->checkpoint->every, &checkpoint) && !why && !(last && t->checkpoint->final))
            continue;
        TRY(read_steps(t, r, false));
        TRY(saving_begin(t, r));
        if (!last && !why)
            TRY(agree(t, r, &why));
    }
    TRY(saving_end(t, r, why != STOP_NOT && why != STOP_USER));
    return end_leg(t, r, why);
}

/* The error stays the first one, even if it cannot be written down. */
static status tell_failure(struct trainer *t, struct report *r, status code)
{
    char *text = mem_text(status_text());
    report_status(r, t, "failed");
    status_set_text(text);
    free(text);
    return code;
}

status loop_run(struct trainer *t)
{
    struct report r = {.at = t->state, .started = clock_seconds(), .first_step = t->state.step};
    TRY(saving_open(t));
    t->late = !dev_at_once(t->dev) && !t->run->profile;
    r.saved = t->state.step;
    r.earlier = report_earlier(t);
    profile_open(&r.profile, t->run->profile, t->store->model->weights);
    status code = stepper_open(&t->stepper, t->comm, t->group, t->store, t->net, t->optimizer);
    batch_open(&t->fetched, &t->store->layout, t->store->rank, t->batch->sequences, t->batch->micro,
               t->sequence);
    batch_mask(&t->fetched, t->data);
    if (code == OK)
        code = run_steps(t, &r);
    saving_close(t, &r);
    if (code != OK && code != E_STOP && code != E_ASKED && folder_check(t->folder) == OK)
        code = tell_failure(t, &r, code);
    free(r.unsaved);
    batch_close(&t->fetched);
    stepper_close(&t->stepper);
    profile_close(&r.profile);
    return code;
}
