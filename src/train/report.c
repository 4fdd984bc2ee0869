#include "train/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum { HEADER_EVERY = 40 };

/* clang-format off */
static const char METRICS_SCHEMA[] =
    "{\"schema\":\"coppice.metrics\",\"version\":1,\"units\":{\"loss\":\"nats/token\",\"step_ms\":\"ms\","
    "\"tokens_per_s\":\"1/s\",\"model_tflops\":\"TFLOP/s, Megatron convention\","
    "\"mfu\":\"of the GEMM ceiling\"}}";
static const char EXPERTS_SCHEMA[] =
    "{\"schema\":\"coppice.experts\",\"version\":1,"
    "\"counts\":\"[MoE layer][expert] assignments of the step, before dropping\"}";
/* clang-format on */
static const char EVENTS_SCHEMA[] = "{\"schema\":\"coppice.events\",\"version\":1}";

static bool writes(const struct trainer *t)
{
    return comm_rank(t->comm) == 0;
}

static double tokens_a_step(const struct trainer *t)
{
    return (double)(t->batch->sequences * t->sequence);
}

static double model_flops(const struct report *r, const struct trainer *t)
{
    return config_flops_per_token(&t->store->model->config, t->sequence) * tokens_a_step(t) / r->step_seconds;
}

/* Aux loss over its smallest value (1 at perfect balance), mean over layers. */
static double aux_ratio(const struct trainer *t)
{
    int64_t layers = config_moe_layers(&t->store->model->config);
    return layers > 0 ? t->stepper.report.aux / (double)layers : 0;
}

static double mean_step(const struct report *r, const struct trainer *t)
{
    return r->stepping / (double)(t->state.step - r->first_step);
}

/* Where the job's end cuts the run, if it does. */
static void show_job_end(const struct report *r, const struct trainer *t)
{
    double reached = (double)t->state.step + r->job_seconds / mean_step(r, t);
    char step[32];
    if (reached < (double)t->steps)
        log_say("          this job ends near step %s of %lld", text_grouped(step, (int64_t)reached),
                (long long)t->steps);
}

/* The next line is written over it. */
static void show_progress(const struct report *r, const struct trainer *t)
{
    char left[32];
    printf("\033[K%7lld of %lld, left %s\r", (long long)t->state.step, (long long)t->steps,
           text_time(left, mean_step(r, t) * (double)(t->steps - t->state.step)));
    fflush(stdout);
}

static void show_row(struct report *r, const struct trainer *t)
{
    const struct step_report *s = &t->stepper.report;
    char tokens[32], rate[32], left[32];
    if (r->rows++ % HEADER_EVERY == 0)
        log_say("   step  tokens    loss  aux/E*  |grad|       lr  ms/step  tokens/s  %%peak  load max/mean  "
                "drop %%     left");
    text_count(tokens, (double)t->state.tokens);
    text_grouped(rate, (int64_t)(tokens_a_step(t) / r->step_seconds));
    text_time(left, mean_step(r, t) * (double)(t->steps - t->state.step));
    log_say("%7lld %7s  %6.4f  %6.3f  %6.3f  %7.1e %8.0f %9s %6.0f %14.2f %7.1f %8s",
            (long long)t->state.step, tokens, s->loss, aux_ratio(t), s->grad_norm, s->rate,
            1e3 * r->step_seconds, rate, 100 * model_flops(r, t) / (1e9 * t->ceiling), s->load_max_over_mean,
            100 * s->dropped_fraction, left);
    if (isfinite(r->job_seconds))
        show_job_end(r, t);
}

static status write_metrics(const struct report *r, const struct trainer *t)
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
        {"tokens_per_s", tokens_a_step(t) / r->step_seconds},
        {"step_ms", 1e3 * r->step_seconds},
        {"model_tflops", 1e-12 * model_flops(r, t)},
        {"mfu", model_flops(r, t) / (1e9 * t->ceiling)},
        {"dropped_fraction", s->dropped_fraction},
        {"load_max_over_mean", s->load_max_over_mean},
    };
    json_t *line = json_pack("{sIsIsI}", "step", (json_int_t)t->state.step, "leg", (json_int_t)t->state.leg,
                             "tokens", (json_int_t)t->state.tokens);
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        json_object_set_new(line, number[i].name, folder_number(number[i].value));
    if (!isfinite(s->loss) || !isfinite(s->grad_norm))
        json_object_set_new(line, "finite", json_false());
    return folder_append(t->folder, "metrics.jsonl", line, METRICS_SCHEMA);
}

static status write_experts(const struct trainer *t)
{
    const struct step_report *s = &t->stepper.report;
    int64_t x = t->store->model->config.moe.experts;
    if (s->load_n == 0)
        return OK;
    json_t *layers = json_array();
    for (int64_t l = 0; l < s->load_n / x; l++) {
        json_t *row = json_array();
        for (int64_t e = 0; e < x; e++)
            json_array_append_new(row, json_integer((json_int_t)s->load[l * x + e]));
        json_array_append_new(layers, row);
    }
    json_t *line = json_pack("{sIso}", "step", (json_int_t)t->state.step, "counts", layers);
    return folder_append(t->folder, "experts.jsonl", line, EXPERTS_SCHEMA);
}

status report_begin(struct report *r, const struct trainer *t)
{
    const struct layout *l = &t->store->layout;
    r->terminal = writes(t) && t->watched && isatty(STDOUT_FILENO);
    return report_event(t, "leg",
                        json_pack("{sIsIsisisisisi}", "leg", (json_int_t)t->state.leg, "steps",
                                  (json_int_t)t->steps, "ranks", l->world, "tensor", l->tp, "expert", l->ep,
                                  "expert_tensor", l->etp, "threads", dev_threads(t->dev)));
}

status report_step(struct report *r, struct trainer *t, bool show)
{
    if (!writes(t))
        return OK;
    if (show)
        show_row(r, t);
    else if (r->terminal)
        show_progress(r, t);
    TRY(write_metrics(r, t));
    return show ? write_experts(t) : OK;
}

status report_valid(struct trainer *t, const char *set, double loss, double mean, bool last)
{
    if (!writes(t))
        return OK;
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
    TRY(folder_append(t->folder, "metrics.jsonl", line, METRICS_SCHEMA));
    return last ? report_event(t, "eval", json_pack("{so}", "valid_loss", folder_number(mean))) : OK;
}

status report_event(const struct trainer *t, const char *kind, json_t *more)
{
    if (!writes(t)) {
        json_decref(more);
        return OK;
    }
    json_t *line = json_pack("{sssIsI}", "event", kind, "step", (json_int_t)t->state.step, "time",
                             (json_int_t)time(NULL));
    if (more)
        json_object_update(line, more);
    json_decref(more);
    return folder_append(t->folder, "events.jsonl", line, EVENTS_SCHEMA);
}

status report_status(const struct report *r, const struct trainer *t, const char *state)
{
    if (!writes(t))
        return OK;
    bool stepped = t->state.step > r->first_step;
    json_t *s = json_pack("{sssIsIsI}", "state", state, "step", (json_int_t)t->state.step, "steps",
                          (json_int_t)t->steps, "tokens", (json_int_t)t->state.tokens);
    json_object_set_new(s, "loss", folder_number(t->stepper.report.loss));
    json_object_set_new(s, "start_valid_loss", folder_number(t->start_valid));
    json_object_set_new(s, "valid_loss", folder_number(t->valid));
    json_object_set_new(
        s, "eta_s",
        folder_number(stepped ? mean_step(r, t) * (double)(t->steps - t->state.step) : (double)NAN));
    if (!strcmp(state, "failed"))
        json_object_set_new(s, "error", json_string(status_text()));
    return folder_write_json(t->folder, "status.json", s);
}

/* ---- the end ---- */

static double exchange_seconds(const struct trainer *t)
{
    double s = 0;
    for (int g = 0; g < GROUPS; g++)
        if (g == G_TP || g == G_EP || g == G_ETP)
            s += group_seconds(t->group[g]);
    return s;
}

static void show_phases(const struct report *r, const struct trainer *t, double all)
{
    double exchange = exchange_seconds(t), net = r->seconds[PHASE_NET] - exchange;
    const struct {
        const char *name;
        double seconds;
    } part[] = {
        {"forward+backward", net},
        {"exchange", exchange},
        {"reduce", r->seconds[PHASE_REDUCE]},
        {"optimizer", r->seconds[PHASE_NORM] + r->seconds[PHASE_OPTIMIZER] + r->seconds[PHASE_GATHER]},
        {"tokens", r->fetching},
        {"validation", r->validating},
        {"save", r->saving},
    };
    char *line = mem_text("");
    double rest = all;
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        rest -= part[i].seconds;
        char *longer = mem_format("%s%s %.0f %%  ", line, part[i].name, 100 * part[i].seconds / all);
        free(line);
        line = longer;
    }
    log_say("          %sother %.0f %%", line, 100 * fmax(rest, 0) / all);
    free(line);
}

/* COLLECTIVE. */
static void show_memory(const struct report *r, const struct trainer *t)
{
    int n = comm_size(t->comm);
    int64_t mine = mem_peak_rss(), most = 0, *all = mem_new(n, sizeof *all);
    comm_all_gather(t->comm, all, &mine, sizeof mine);
    char text[32], *line = mem_text("");
    for (int i = 0; i < n; i++) {
        most = all[i] > most ? all[i] : most;
        char *longer = i < 16 ? mem_format("%s %s", line, text_bytes(text, (double)all[i])) : mem_text(line);
        free(line);
        line = longer;
    }
    int64_t predicted = r->predicted;
    comm_max_i64(t->comm, &predicted, 1);
    log_say("memory    peak of each rank:%s%s | predicted at most %s", line, n > 16 ? " ..." : "",
            text_bytes(text, (double)predicted));
    if (writes(t)) {
        json_t *ranks = json_array();
        for (int i = 0; i < n; i++)
            json_array_append_new(ranks, json_integer(all[i]));
        if (report_event(
                t, "memory",
                json_pack("{sosI}", "peak_rss_bytes", ranks, "predicted_bytes", (json_int_t)predicted)) != OK)
            log_warn("%s", status_text());
    }
    free(line);
    free(all);
}

/* COLLECTIVE. Bytes sent inside each kind of group, all ranks together. */
static void show_traffic(const struct trainer *t)
{
    char *line = mem_text(""), text[32];
    for (int g = 0; g < GROUPS; g++) {
        int64_t bytes = group_bytes_sent(t->group[g]);
        comm_sum_i64(t->comm, &bytes, 1);
        if (bytes == 0)
            continue;
        char *longer =
            mem_format("%s  %s %s", line, group_name(t->group[g]), text_bytes(text, (double)bytes));
        free(line);
        line = longer;
    }
    if (*line)
        log_say("sent      %s", line + 2);
    free(line);
}

/* Time by op, slowest first, and what the steps reach of the ceiling that was sampled between them.
 * COLLECTIVE. */
static void show_profile(const struct report *r, const struct trainer *t)
{
    const struct profile *p = &r->profile;
    if (!p->on || p->steps < 2)
        return;
    double step = profile_median_step(p), ceiling = profile_ceiling(p, t->comm), n = (double)(p->steps - 1);
    double flops = config_flops_per_token(&t->store->model->config, t->sequence) * tokens_a_step(t) / step;
    json_t *ops = json_array();
    double own = ceiling / comm_size(t->comm); /* of one rank */
    log_say(
        "profile   op of rank 0     calls/step    ms/step   %% of step    GFLOP/s  %% of ceiling     GB/s");
    for (int i = 0; i < p->ops; i++) {
        const struct dev_profile_row *o = &p->op[i];
        log_say("          %-14s %12.0f %10.1f %11.1f %10.0f %13.1f %8.1f", o->op, (double)o->calls / n,
                1e3 * o->seconds / n, 100 * o->seconds / n / step, 1e-9 * o->flops / o->seconds,
                1e-7 * o->flops / o->seconds / own, 1e-9 * o->bytes / o->seconds);
        json_array_append_new(ops, json_pack("{sssIsfsfsf}", "op", o->op, "calls", (json_int_t)o->calls,
                                             "seconds", o->seconds, "flops", o->flops, "bytes", o->bytes));
    }
    log_say("          median of %lld steps: %.0f ms, %.0f tokens/s, %.3f model TFLOP/s = %.1f %% of the "
            "ceiling between them, %.0f GFLOP/s",
            (long long)p->steps - 1, 1e3 * step, tokens_a_step(t) / step, 1e-12 * flops,
            100 * flops / (1e9 * ceiling), ceiling);
    json_t *j = json_pack("{sIsfsfsfsfso}", "steps", (json_int_t)(p->steps - 1), "step_ms", 1e3 * step,
                          "tokens_per_s", tokens_a_step(t) / step, "model_tflops", 1e-12 * flops,
                          "ceiling_gflops", ceiling, "ops", ops);
    if (!writes(t))
        json_decref(j);
    else if (folder_write_json(t->folder, "profile.json", j) != OK)
        log_warn("%s", status_text());
}

void report_end(struct report *r, struct trainer *t, const char *word)
{
    double all = clock_seconds() - r->started;
    int64_t steps = t->state.step - r->first_step;
    char tokens[32], time_text[32], rate[32];
    if (steps > 0) {
        double per_s = (double)steps * tokens_a_step(t) / r->stepping;
        double flops = config_flops_per_token(&t->store->model->config, t->sequence) * per_s;
        text_grouped(tokens, (int64_t)((double)steps * tokens_a_step(t)));
        text_grouped(rate, (int64_t)per_s);
        log_say("%-9s %lld steps, %s tokens in %s | %s tokens/s | %.3f model TFLOP/s, Megatron convention | "
                "%.0f %% of the GEMM ceiling",
                word, (long long)steps, tokens, text_time(time_text, all), rate, 1e-12 * flops,
                100 * flops / (1e9 * t->ceiling));
        show_phases(r, t, all);
        show_traffic(t);
        show_profile(r, t);
    }
    if (isfinite(t->valid) && isfinite(t->start_valid))
        log_say("valid     loss %.4f -> %.4f nats/token", t->start_valid, t->valid);
    show_memory(r, t);
    if (log_warnings() > 0)
        log_say("warnings  %d", log_warnings());
    for (int i = 0; i < log_warnings(); i++)
        log_say("          %s", log_warning(i));
    if (!strcmp(word, "DONE"))
        log_say("next      coppice export %s", t->folder->dir);
}
