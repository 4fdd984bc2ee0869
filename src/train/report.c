#include "train/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/terminal.h"
#include "base/text.h"
#include "comm/launch.h"

enum { HEADER_EVERY = 40 };

/* clang-format off */
static const char METRICS_SCHEMA[] =
    "{\"schema\":\"coppice.metrics\",\"version\":1,\"units\":{\"loss\":\"nats/token\",\"step_ms\":\"ms\","
    "\"tokens_per_s\":\"1/s\",\"model_tflops\":\"TFLOP/s, Megatron convention\","
    "\"mfu\":\"of the ceiling of GEMMs in device.precision; null: not judged\",\"load_max_over_mean\":\"mean over MoE layers\","
    "\"load_worst\":\"of layer load_worst_layer, counted from 0\",\"time\":\"s since 1970-01-01 UTC\","
    "\"leg_s\":\"s since the leg's first step began\",\"phase_ms\":\"ms of rank 0\"}}";
static const char EXPERTS_SCHEMA[] =
    "{\"schema\":\"coppice.experts\",\"version\":1,"
    "\"counts\":\"[MoE layer][expert] assignments of the step, before dropping\"}";
/* clang-format on */
static const char EVENTS_SCHEMA[] = "{\"schema\":\"coppice.events\",\"version\":1}";

/* If a report cannot be written, the run goes on. A lost lock is found between steps. */
static void written(status code)
{
    if (code == E_SPACE)
        log_warn("%s; the run goes on", status_text());
}

static bool writes(const struct trainer *t)
{
    return comm_rank(t->comm) == 0;
}

double report_step_tokens(const struct trainer *t)
{
    return (double)(t->batch->sequences * t->sequence);
}

double report_flops(const struct trainer *t, double tokens, double seconds)
{
    return config_flops_per_token(&t->store->model->config, t->sequence) * tokens / seconds;
}

static double share(const struct report *r, const struct trainer *t)
{
    return ceiling_share(report_flops(t, (double)r->tokens, r->step_seconds), t->ceiling);
}

/* The mean over layers of the aux loss divided by its smallest value, so that it is 1 at perfect balance. */
static double aux_ratio(const struct trainer *t)
{
    int64_t layers = config_moe_layers(&t->store->model->config);
    return layers > 0 ? t->stepper.report.aux / (double)layers : 0;
}

static double mean_step(const struct report *r)
{
    return r->stepping / (double)(r->at.step - r->first_step);
}

/* If the job ends before the run, say near which step. */
static void show_job_end(const struct report *r, const struct trainer *t)
{
    double reached = (double)r->at.step + fmax(r->job_seconds, 0) / mean_step(r);
    char step[32];
    if (reached < (double)t->steps)
        log_say("          this job ends near step %s of %lld", text_grouped(step, (int64_t)reached),
                (long long)t->steps);
}

/* Show progress in a line that the next line overwrites. */
static void show_progress(const struct report *r, const struct trainer *t)
{
    char left[32];
    printf("\033[K%7lld of %lld, left %s\r", (long long)r->at.step, (long long)t->steps,
           text_time(left, mean_step(r) * (double)(t->steps - r->at.step)));
    fflush(stdout);
}

/* Explain the columns of the rows, once. */
static void show_meaning(bool moe)
{
    log_say("          loss: nats a token; |grad|: before clipping; %%peak: model FLOP/s of the GEMM "
            "ceiling, - where not");
    log_say("          judged (the ceiling was measured too low); left: until the run's last step");
    if (!moe)
        return;
    log_say("          aux: loss that balances the experts, over its least value; max load: assignments of "
            "the busiest");
    log_say("          expert over the mean, in the layer where that is worst; drop %%: assignments beyond "
            "the capacity");
}

static void show_header(const struct report *r, bool moe)
{
    log_say("   step  tokens    loss%s  |grad|       lr  ms/step  tokens/s  %%peak%s     left",
            moe ? "     aux" : "", moe ? "  max load, layer  drop %" : "");
    if (r->rows == 0)
        show_meaning(moe);
}

static void show_row(struct report *r, const struct trainer *t)
{
    const struct step_report *s = &t->stepper.report;
    bool moe = s->load_n > 0;
    char tokens[32], rate[32], left[32], peak[16] = "-", *line = NULL;
    if (r->rows % HEADER_EVERY == 0)
        show_header(r, moe);
    r->rows++;
    text_count(tokens, (double)r->at.tokens);
    text_grouped(rate, (int64_t)((double)r->tokens / r->step_seconds));
    text_time(left, mean_step(r) * (double)(t->steps - r->at.step));
    if (isfinite(share(r, t)))
        snprintf(peak, sizeof peak, "%.0f", 100 * share(r, t));
    mem_append(&line, "%7lld %7s  %6.4f", (long long)r->at.step, tokens, s->loss);
    if (moe)
        mem_append(&line, "  %6.3f", aux_ratio(t));
    mem_append(&line, "  %6.3f  %7.1e %8.0f %9s %6s", s->grad_norm, s->rate, 1e3 * r->step_seconds, rate,
               peak);
    if (moe)
        mem_append(&line, " %9.2f, %5d  %6.1f", s->load_worst, s->load_worst_layer,
                   100 * s->dropped_fraction);
    log_say("%s %8s", line, left);
    free(line);
    if (isfinite(r->job_seconds))
        show_job_end(r, t);
}

/* The time of a step by phase. */
static json_t *phases(const struct step_report *s)
{
    json_t *all = json_object();
    for (int i = 0; i < PHASES; i++)
        json_object_set_new(all, phase_name[i], folder_number(1e3 * s->seconds[i]));
    return all;
}

/* Add the time to a line of metrics.jsonl. */
static void add_time(json_t *line, const struct report *r)
{
    json_object_set_new(line, "time", json_integer((json_int_t)time(NULL)));
    json_object_set_new(line, "leg_s", folder_number(clock_seconds() - r->started));
}

static void write_metrics(const struct report *r, const struct trainer *t)
{
    const struct step_report *s = &t->stepper.report;
    const struct {
        const char *name;
        double value;
    } number[] = {
        {"loss", s->loss},
        {"aux_loss", s->aux},
        {"z_loss", s->z},
        {"max_z_loss", s->max_z},
        {"grad_norm", s->grad_norm},
        {"lr", s->rate},
        {"tokens_per_s", (double)r->tokens / r->step_seconds},
        {"step_ms", 1e3 * r->step_seconds},
        {"model_tflops", 1e-12 * report_flops(t, (double)r->tokens, r->step_seconds)},
        {"mfu", share(r, t)},
        {"dropped_fraction", s->dropped_fraction},
        {"load_max_over_mean", s->load_max_over_mean},
        {"load_worst", s->load_worst},
    };
    json_t *line = json_pack("{sIsIsI}", "step", (json_int_t)r->at.step, "leg", (json_int_t)r->at.leg,
                             "tokens", (json_int_t)r->at.tokens);
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        json_object_set_new(line, number[i].name, folder_number(number[i].value));
    if (!isfinite(s->loss) || !isfinite(s->grad_norm))
        json_object_set_new(line, "finite", json_false());
    if (s->load_n > 0)
        json_object_set_new(line, "load_worst_layer", json_integer(s->load_worst_layer));
    json_object_set_new(line, "phase_ms", phases(s));
    add_time(line, r);
    written(folder_append(t->folder, "metrics.jsonl", line, METRICS_SCHEMA));
}

static void write_experts(const struct report *r, const struct trainer *t)
{
    const struct step_report *s = &t->stepper.report;
    int64_t x = t->store->model->config.moe.experts;
    if (s->load_n == 0)
        return;
    json_t *layers = json_array();
    for (int64_t l = 0; l < s->load_n / x; l++) {
        json_t *row = json_array();
        for (int64_t e = 0; e < x; e++)
            json_array_append_new(row, json_integer((json_int_t)s->load[l * x + e]));
        json_array_append_new(layers, row);
    }
    json_t *line = json_pack("{sIso}", "step", (json_int_t)r->at.step, "counts", layers);
    written(folder_append(t->folder, "experts.jsonl", line, EXPERTS_SCHEMA));
}

void report_begin(struct report *r, const struct trainer *t)
{
    const struct layout *l = &t->store->layout;
    const struct config *c = &t->store->model->config;
    char model[96];
    report_status(r, t, "running");
    r->terminal = writes(t) && t->watched && terminal_watched(comm_launch().mpi);
    report_event(t, "leg",
                 json_pack("{sIsIsisisisisisssIsI}", "leg", (json_int_t)t->state.leg, "steps",
                           (json_int_t)t->steps, "ranks", l->world, "tensor", l->tp, "expert", l->ep,
                           "expert_tensor", l->etp, "threads", dev_threads(t->dev), "model",
                           config_text(c, model), "parameters", (json_int_t)config_parameters(c), "active",
                           (json_int_t)config_active_parameters(c)));
}

void report_step(struct report *r, struct trainer *t, bool show)
{
    if (!writes(t))
        return;
    if (show)
        show_row(r, t);
    else if (r->terminal)
        show_progress(r, t);
    write_metrics(r, t);
    if (show)
        write_experts(r, t);
}

void report_bad(const struct report *r, const struct trainer *t, const struct ckpt_state *after,
                const char *tensor, const char *follows)
{
    const struct step_report *s = &t->stepper.report;
    json_t *line = json_pack("{sIsIsIs[II]ss}", "step", (json_int_t)after->step, "leg",
                             (json_int_t)after->leg, "tokens", (json_int_t)r->at.tokens, "samples",
                             (json_int_t)r->at.samples, (json_int_t)after->samples - 1, "follows", follows);
    json_object_set_new(line, "bad", json_true());
    json_object_set_new(line, "loss", folder_number(s->loss));
    json_object_set_new(line, "grad_norm", folder_number(s->grad_norm));
    json_object_set_new(line, "tensor", tensor ? json_string(tensor) : json_null());
    report_event(t, "bad step", json_copy(line));
    add_time(line, r);
    if (writes(t))
        written(folder_append(t->folder, "metrics.jsonl", line, METRICS_SCHEMA));
    else
        json_decref(line);
}

void report_valid(struct trainer *t, const char *set, double loss, double mean, bool last)
{
    if (!writes(t))
        return;
    json_t *line = json_pack("{sIsIss}", "step", (json_int_t)t->state.step, "tokens",
                             (json_int_t)t->state.tokens, "set", set);
    json_object_set_new(line, "set_loss", folder_number(loss));
    if (last) {
        char tokens[32];
        json_object_set_new(line, "valid_loss", folder_number(mean));
        text_count(tokens, (double)t->state.tokens);
        if (isfinite(t->start_valid))
            log_say("  valid %7s  %6.4f  (start %.4f)", tokens, mean, t->start_valid);
        else
            log_say("  valid %7s  %6.4f", tokens, mean);
    }
    written(folder_append(t->folder, "metrics.jsonl", line, METRICS_SCHEMA));
    if (last)
        report_event(t, "eval", json_pack("{so}", "valid_loss", folder_number(mean)));
}

void report_task(struct trainer *t, const struct task *task, const struct requests *answers)
{
    if (!writes(t))
        return;
    json_t *line =
        json_pack("{sIsI}", "step", (json_int_t)t->state.step, "tokens", (json_int_t)t->state.tokens);
    json_t *result = task_json(task, answers);
    char *text = task_text(task, answers);
    log_say("  task  %s", text);
    json_object_update(line, result);
    json_decref(result);
    free(text);
    written(folder_append(t->folder, "metrics.jsonl", line, METRICS_SCHEMA));
}

void report_event(const struct trainer *t, const char *kind, json_t *more)
{
    if (!writes(t)) {
        json_decref(more);
        return;
    }
    json_t *line = json_pack("{sssIsI}", "event", kind, "step", (json_int_t)t->state.step, "time",
                             (json_int_t)time(NULL));
    if (more)
        json_object_update(line, more);
    json_decref(more);
    written(folder_append(t->folder, "events.jsonl", line, EVENTS_SCHEMA));
}

static const char *const pace_name[] = {"longest_step_s", "longest_validation_s", "longest_save_s"};
enum { PACES = sizeof pace_name / sizeof *pace_name };

static double *pace_at(struct pace *p, int i)
{
    double *const member[PACES] = {&p->step, &p->validation, &p->save};
    return member[i];
}

struct pace report_earlier(const struct trainer *t)
{
    struct pace p = {0};
    for (int i = 0; i < PACES && writes(t); i++) {
        double recorded = folder_recorded(t->folder, "status.json", pace_name[i]);
        *pace_at(&p, i) = recorded > 0 ? recorded : 0;
    }
    return p;
}

/* What was not measured in this leg stays as it was. */
static void add_pace(json_t *s, struct pace now, struct pace then)
{
    for (int i = 0; i < PACES; i++) {
        double x = *pace_at(&now, i) > 0 ? *pace_at(&now, i) : *pace_at(&then, i);
        json_object_set_new(s, pace_name[i], json_real(x));
    }
}

void report_status(const struct report *r, const struct trainer *t, const char *state)
{
    if (!writes(t))
        return;
    bool stepped = r->at.step > r->first_step;
    json_t *s = json_pack("{sssIsIsI}", "state", state, "step", (json_int_t)r->at.step, "steps",
                          (json_int_t)t->steps, "tokens", (json_int_t)r->at.tokens);
    json_object_set_new(s, "loss", folder_number(stepped ? t->stepper.report.loss : (double)NAN));
    json_object_set_new(s, "start_valid_loss", folder_number(t->start_valid));
    json_object_set_new(s, "valid_loss", folder_number(t->valid));
    json_object_set_new(
        s, "eta_s", folder_number(stepped ? mean_step(r) * (double)(t->steps - r->at.step) : (double)NAN));
    add_pace(s, r->longest, r->earlier);
    if (!strcmp(state, "failed"))
        json_object_set_new(s, "error", json_string(status_text()));
    written(folder_write_json(t->folder, "status.json", s));
}
