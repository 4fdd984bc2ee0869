/* Time: speed, phases, ops, and what the plan said. */
#include "report/sections.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/text.h"
#include "report/html.h"

/* ---- phases ---- */

/* The mean of a column without the first step of each leg, which warms up; NAN if there are no others. */
static double mean_of(const struct history *h, int column)
{
    const double *x = h->column[column], *leg = h->column[COL_LEG];
    double sum = 0;
    int64_t n = 0;
    for (int64_t i = 1; i < h->n; i++)
        if (leg[i] == leg[i - 1] && isfinite(x[i])) {
            sum += x[i];
            n++;
        }
    return n ? sum / (double)n : (double)NAN;
}

static void phases(FILE *f, const struct page *p)
{
    enum { PARTS = PHASES + 1 };
    const char *part[PARTS], **row = mem_new(p->n, sizeof *row);
    double *value = mem_new((int64_t)p->n * PARTS, sizeof *value);
    int rows = 0;
    for (int i = 0; i < PHASES; i++)
        part[i] = phase_name[i];
    part[PHASES] = "other";
    for (int r = 0; r < p->n; r++) {
        const struct history *h = &p->run[r];
        double *to = value + (int64_t)rows * PARTS, sum = 0;
        for (int i = 0; i < PHASES; i++)
            sum += to[i] = mean_of(h, COL_PHASE + i);
        to[PHASES] = fmax(mean_of(h, COL_STEP_MS) - sum, 0);
        if (isfinite(sum))
            row[rows++] = h->name;
    }
    chart_stacks(f, &(struct stack){.title = "Time of a step by phase",
                                    .note = "rank 0, mean without the first step of a leg",
                                    .unit = "ms",
                                    .rows = rows,
                                    .parts = PARTS,
                                    .row = row,
                                    .part = part,
                                    .value = value});
    free(row);
    free(value);
}

/* ---- ops ---- */

static int slower(const void *a, const void *b)
{
    const struct bar *x = a, *y = b;
    return (x->value < y->value) - (x->value > y->value);
}

static struct bar op_bar(const json_t *op, double steps, double step_ms)
{
    double seconds = json_number(op, "seconds"), ms = 1e3 * seconds / steps;
    double rate = 1e-9 * json_number(op, "flops") / seconds,
           bytes = 1e-9 * json_number(op, "bytes") / seconds;
    char *text = rate >= 1 ? mem_format("%.1f ms, %.1f %%; %.0f GFLOP/s", ms, 100 * ms / step_ms, rate)
                           : mem_format("%.1f ms, %.1f %%; %.0f GB/s", ms, 100 * ms / step_ms, bytes);
    return (struct bar){mem_text(json_word(op, "op")), ms, (double)NAN, text};
}

static void ops(FILE *f, const struct history *h)
{
    enum { SHOWN = 14 };
    const json_t *list = json_object_get(h->profile, "ops"), *op;
    double steps = json_number(h->profile, "steps"), step_ms = json_number(h->profile, "step_ms");
    struct bar *bar = mem_new((int64_t)json_array_size(list), sizeof *bar);
    int n = 0;
    size_t i;
    json_array_foreach(list, i, op)
        if (json_number(op, "seconds") > 0 && steps > 0)
            bar[n++] = op_bar(op, steps, step_ms);
    qsort(bar, (size_t)n, sizeof *bar, slower);
    chart_bars(f, &(struct bars){.title = "Time of a step by op",
                                 .note = h->name,
                                 .axis = "of a step",
                                 .unit = "ms",
                                 .n = n < SHOWN ? n : SHOWN,
                                 .bar = bar});
    for (int j = 0; j < n; j++) {
        free(bar[j].name);
        free((void *)(uintptr_t)bar[j].text);
    }
    free(bar);
}

void section_speed(FILE *f, const struct page *p)
{
    /* clang-format off */
    static const struct curve curves[] = {
        {"Throughput", NULL, COL_SPEED, {"speed", "tokens/s", true, false, true}, 0, false, false},
        {"Share of the ceiling", "model FLOP/s over the GEMM ceiling; a gap: not judged", COL_MFU,
         {"share", "%", false, false, true}, 100, false, false},
    };
    /* clang-format on */
    fprintf(f, "<div class=\"charts\">\n");
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++)
        curve_draw(f, p, &curves[i], false);
    phases(f, p);
    for (int r = 0; r < p->n; r++)
        ops(f, &p->run[r]);
    fprintf(f, "</div>\n");
}

/* ---- the plan ---- */

static const char plan_heads[] = "term|#predicted|#measured|#measured / predicted";

static void add_term(FILE *f, const char *name, const json_t *term, double unit, const char *unit_name)
{
    html_row(f, plan_heads, "%s\t%.4g %s\t%.4g %s\t%.2f", name, json_number(term, "predicted") * unit,
             unit_name, json_number(term, "measured") * unit, unit_name, json_number(term, "ratio"));
}

static void plan_table(FILE *f, const struct history *h)
{
    char *caption = mem_format("%s: by %s, expected within %.0f %%", h->name, json_word(h->plan, "machine"),
                               100 * json_number(h->plan, "band"));
    json_t *phases = json_object_get(h->plan, "phases_s"), *term;
    const char *name;
    html_table(f, caption, plan_heads);
    add_term(f, "step", json_object_get(h->plan, "step_s"), 1e3, "ms");
    json_object_foreach(phases, name, term) {
        add_term(f, name, term, 1e3, "ms");
    }
    add_term(f, "memory of the fullest rank", json_object_get(h->plan, "memory_bytes"), 1e-6, "MB");
    html_table_end(f);
    free(caption);
}

static void plan_bars(FILE *f, const struct history *h)
{
    json_t *terms = json_object_get(h->plan, "phases_s"), *term;
    struct bar *bar = mem_new((int64_t)json_object_size(terms), sizeof *bar);
    const char *name;
    int n = 0;
    json_object_foreach(terms, name, term) {
        char *text = mem_format("%.2f times", json_number(term, "ratio"));
        bar[n++] = (struct bar){(char *)(uintptr_t)name, 1e3 * json_number(term, "measured"),
                                1e3 * json_number(term, "predicted"), text};
    }
    chart_bars(f, &(struct bars){.title = "Phases of a step, predicted and measured",
                                 .note = h->name,
                                 .axis = "of a step",
                                 .unit = "ms",
                                 .value = "measured",
                                 .other = "predicted",
                                 .n = n,
                                 .bar = bar});
    for (int i = 0; i < n; i++)
        free((void *)(uintptr_t)bar[i].text);
    free(bar);
}

void section_plan(FILE *f, const struct page *p)
{
    for (int r = 0; r < p->n; r++) {
        if (!p->run[r].plan)
            continue;
        fprintf(f, "<div class=\"charts\">\n<div>");
        plan_table(f, &p->run[r]);
        fprintf(f, "</div>\n");
        plan_bars(f, &p->run[r]);
        fprintf(f, "</div>\n");
    }
}

/* ---- memory ---- */

static const json_t *last_event(const struct history *h, const char *kind)
{
    for (size_t i = json_array_size(h->events); i-- > 0;)
        if (!strcmp(json_word(json_array_get(h->events, i), "event"), kind))
            return json_array_get(h->events, i);
    return NULL;
}

static double element(const json_t *list, size_t i)
{
    const json_t *value = json_array_get(list, i);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static void memory_bars(FILE *f, const struct history *h, const json_t *event)
{
    enum { SHOWN = 16 };
    const json_t *peak = json_object_get(event, "peak_rss_bytes");
    const json_t *predicted = json_object_get(event, "predicted_rss_bytes");
    size_t ranks = json_array_size(peak), n = ranks < SHOWN ? ranks : SHOWN;
    struct bar bar[SHOWN];
    for (size_t i = 0; i < n; i++) {
        double is = element(peak, i), was = element(predicted, i);
        bar[i] = (struct bar){mem_format("rank %zu", i), is, was, mem_format("%.2f times", is / was)};
    }
    char *note = mem_format("%s%s", h->name, ranks > SHOWN ? ", the first ranks" : "");
    chart_bars(f, &(struct bars){.title = "Peak memory of each rank",
                                 .note = note,
                                 .axis = "resident memory",
                                 .unit = "B",
                                 .value = "measured",
                                 .other = "predicted before the first step",
                                 .prefix = true,
                                 .n = (int)n,
                                 .bar = bar});
    for (size_t i = 0; i < n; i++) {
        free(bar[i].name);
        free((void *)(uintptr_t)bar[i].text);
    }
    free(note);
}

void section_memory(FILE *f, const struct page *p)
{
    fprintf(f, "<div class=\"charts\">\n");
    for (int r = 0; r < p->n; r++)
        if (last_event(&p->run[r], "memory"))
            memory_bars(f, &p->run[r], last_event(&p->run[r], "memory"));
    fprintf(f, "</div>\n");
}
