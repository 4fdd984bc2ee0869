#include "train/summary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "weights/forms.h"

/* Whole percents that add up to 100. Each is the difference of two rounded sums, so none is negative. `other`
 * is fetching tokens and reporting. */
static void show_phases(const struct report *r, double all)
{
    const double *phase = r->seconds;
    const struct {
        const char *name;
        double seconds;
    } part[] = {
        {"forward+backward", phase[PHASE_NET]},
        {"exchange", phase[PHASE_EXCHANGE]},
        {"reduce", phase[PHASE_REDUCE]},
        {"optimizer", phase[PHASE_NORM] + phase[PHASE_OPTIMIZER] + phase[PHASE_GATHER]},
        {"validation", r->validating},
        {"save", r->saving},
    };
    char *line = NULL;
    double sum = 0;
    int64_t told = 0;
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        sum += part[i].seconds;
        int64_t now = llround(100 * fmin(sum / all, 1));
        mem_append(&line, "%s %lld %%  ", part[i].name, (long long)(now - told));
        told = now;
    }
    log_say("          %sother %lld %%", line, (long long)(100 - told));
    free(line);
}

/* The peak memory of each rank, and what was predicted. COLLECTIVE. */
static double show_memory(const struct trainer *t)
{
    enum { SHOWN = 8 };
    int n = comm_size(t->comm);
    struct memory {
        int64_t peak, predicted;
        double load; /* of experts, that took memory */
    } mine = {mem_peak_rss(), (int64_t)t->forecast.peak, net_load(t->net)}, *all = mem_new(n, sizeof *all);
    comm_all_gather(t->comm, all, &mine, sizeof mine);
    json_t *peaks = json_array(), *predictions = json_array(), *loads = json_array();
    char text[32], *line = NULL;
    int64_t most = 0, peak = 0;
    for (int i = 0; i < n; i++) {
        if (i < SHOWN)
            mem_append(&line, " %s", text_bytes(text, (double)all[i].peak));
        json_array_append_new(peaks, json_integer(all[i].peak));
        json_array_append_new(predictions, json_integer(all[i].predicted));
        json_array_append_new(loads, json_real(all[i].load));
        most = all[i].predicted > most ? all[i].predicted : most;
        peak = all[i].peak > peak ? all[i].peak : peak;
    }
    log_say("memory    peak of each rank:%s%s | predicted at most %s", line, n > SHOWN ? " ..." : "",
            text_bytes(text, (double)most));
    report_event(t, "memory",
                 json_pack("{sosososI}", "peak_rss_bytes", peaks, "predicted_rss_bytes", predictions,
                           "load_of_experts", loads, "predicted_bytes", (json_int_t)most));
    free(line);
    free(all);
    return (double)peak;
}

/* Bytes that all ranks sent inside each kind of group. COLLECTIVE. */
static void show_traffic(const struct trainer *t)
{
    char *line = NULL, text[32];
    for (int g = 0; g < GROUPS; g++) {
        int64_t bytes = group_bytes_sent(t->group[g]);
        comm_sum_i64(t->comm, &bytes, 1);
        if (bytes == 0)
            continue;
        mem_append(&line, "  %s %s", group_name(t->group[g]), text_bytes(text, (double)bytes));
    }
    if (line)
        log_say("sent      %s", line + 2);
    free(line);
}

/* A share of the ceiling as "88 %", or why it cannot be given. */
static const char *share_text(char out[32], double flops, double ceiling)
{
    double share = ceiling_share(flops, ceiling);
    snprintf(out, 32, isfinite(share) ? "%.1f %%" : "not judged", 100 * share);
    return out;
}

/* Print a row of the table, and return it for profile.json. own: the ceiling of this rank. */
static json_t *show_op(const struct dev_profile_row *o, double steps, double step, double own)
{
    char share[32] = "-";
    if (isfinite(ceiling_share(o->flops / o->seconds, own)))
        snprintf(share, sizeof share, "%.1f", 100 * ceiling_share(o->flops / o->seconds, own));
    log_say("          %-14s %12.0f %10.1f %11.1f %10.0f %13s %8.1f", o->op, (double)o->calls / steps,
            1e3 * o->seconds / steps, 100 * o->seconds / steps / step, 1e-9 * o->flops / o->seconds, share,
            1e-9 * o->bytes / o->seconds);
    return json_pack("{sssIsfsfsf}", "op", o->op, "calls", (json_int_t)o->calls, "seconds", o->seconds,
                     "flops", o->flops, "bytes", o->bytes);
}

/* Print the shapes that took the most time: m x n results of k multiply-adds each. Returns them for
 * profile.json. */
static json_t *show_shapes(struct dev *dev, double steps)
{
    enum { SHOWN = 8, KEPT = 256 };
    struct dev_profile_row *row;
    json_t *shapes = json_array();
    int n = dev_profile_rows(dev, BY_SHAPE, &row);
    log_say("          op and shape m x n x k                calls/step    ms/step    GFLOP/s     GB/s");
    for (int i = 0; i < n && i < KEPT; i++) {
        const struct dev_profile_row *o = &row[i];
        char shape[80];
        snprintf(shape, sizeof shape, o->k > 0 ? "%lld x %lld x %lld" : "%lld x %lld", (long long)o->m,
                 (long long)o->n, (long long)o->k);
        if (i < SHOWN)
            log_say("          %-14s %-22s %10.1f %10.1f %10.0f %8.1f", o->op,
                    o->m || o->n ? shape : "other shapes", (double)o->calls / steps, 1e3 * o->seconds / steps,
                    1e-9 * o->flops / o->seconds, 1e-9 * o->bytes / o->seconds);
        json_array_append_new(shapes, json_pack("{sssIsIsIsIsfsfsf}", "op", o->op, "m", (json_int_t)o->m, "n",
                                                (json_int_t)o->n, "k", (json_int_t)o->k, "calls",
                                                (json_int_t)o->calls, "seconds", o->seconds, "flops",
                                                o->flops, "bytes", o->bytes));
    }
    free(row);
    return shapes;
}

static json_t *show_ops(struct dev *dev, double steps, double step, double own)
{
    struct dev_profile_row *row;
    json_t *ops = json_array();
    int n = dev_profile_rows(dev, BY_OP, &row);
    for (int i = 0; i < n; i++)
        json_array_append_new(ops, show_op(&row[i], steps, step, own));
    free(row);
    return ops;
}

/* Print the time by op, slowest first, and the steps' share of the ceiling that was sampled between them.
 * COLLECTIVE. */
static void show_profile(const struct report *r, const struct trainer *t)
{
    const struct profile *p = &r->profile;
    if (!p->on || p->steps < 2)
        return;
    double step = profile_median_step(p), ceiling = profile_ceiling(p, t->comm), n = (double)(p->steps - 1);
    double flops = report_flops(t, report_step_tokens(t), step);
    char steps[48], share[32];
    log_say(
        "profile   op of rank 0     calls/step    ms/step   %% of step    GFLOP/s  %% of ceiling     GB/s");
    json_t *ops = show_ops(t->dev, n, step, ceiling / comm_size(t->comm));
    json_t *shapes = show_shapes(t->dev, n);
    log_say("          median of %s: %.0f ms, %.0f tokens/s, %.3f model TFLOP/s",
            text_n(steps, p->steps - 1, "step"), 1e3 * step, report_step_tokens(t) / step, 1e-12 * flops);
    log_say("          of the %s ceiling between them, %.0f GFLOP/s: %s", ceiling_name(p->matrices), ceiling,
            share_text(share, flops, ceiling));
    json_t *j = json_pack("{sIsfsfsfsfsoso}", "steps", (json_int_t)(p->steps - 1), "step_ms", 1e3 * step,
                          "tokens_per_s", report_step_tokens(t) / step, "model_tflops", 1e-12 * flops,
                          "ceiling_gflops", ceiling, "ops", ops, "shapes", shapes);
    if (comm_rank(t->comm) != 0)
        json_decref(j);
    else if (folder_write_json(t->folder, "profile.json", j) != OK)
        log_warn("%s", status_text());
}

static void show_speed(const struct report *r, const struct trainer *t, const char *word, int64_t steps,
                       double all)
{
    char steps_text[48], tokens[48], took[32], rate[32], share[32];
    double step = r->stepping / (double)steps, flops = report_flops(t, report_step_tokens(t), step);
    text_grouped(rate, (int64_t)(report_step_tokens(t) / step));
    log_say("%-9s %s, %s in %s | %s tokens/s | %.3f model TFLOP/s | of the %s ceiling: %s", word,
            text_n(steps_text, steps, "step"),
            text_n(tokens, steps * (int64_t)report_step_tokens(t), "token"), text_time(took, all), rate,
            1e-12 * flops, ceiling_name(t->store->model->weights), share_text(share, flops, t->ceiling));
}

/* Name the export command, or say why the model cannot be exported. */
static void show_next(const struct trainer *t)
{
    const struct form *form;
    if (export_form(&form, &t->store->model->config, "auto") == OK)
        log_say("next      coppice export %s", t->folder->dir);
    else
        log_say("next      no export: %s", status_text());
}

void summary_show(const struct report *r, const struct trainer *t, const char *word)
{
    double all = clock_seconds() - r->started;
    int64_t steps = t->state.step - r->first_step;
    if (steps > 0) {
        show_speed(r, t, word, steps, all);
        show_phases(r, all);
        show_traffic(t);
        show_profile(r, t);
    }
    if (isfinite(t->valid) && isfinite(t->start_valid))
        log_say("valid     loss %.4f -> %.4f nats/token", t->start_valid, t->valid);
    forecast_show(&t->forecast, r, t, show_memory(t));
    if (log_warnings() > 0)
        log_say("warnings  %d", log_warnings());
    for (int i = 0; i < log_warnings(); i++)
        log_say("          %s", log_warning(i));
    if (!strcmp(word, "DONE"))
        show_next(t);
}
