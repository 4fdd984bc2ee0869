/* The first table: a row for each run. */
#include "report/sections.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/text.h"
#include "report/html.h"

static const char heads[] =
    "run|state|model|#ranks|#step|#tokens|#FLOPs|#loss|#validation|#tokens/s|#ceiling|#time";

static const json_t *last_leg(const struct history *h)
{
    for (size_t i = json_array_size(h->events); i-- > 0;)
        if (!strcmp(json_word(json_array_get(h->events, i), "event"), "leg"))
            return json_array_get(h->events, i);
    return NULL;
}

/* A number with so many decimals and a unit, "-" if there is none. */
static const char *number(char out[32], int decimals, double x, const char *unit)
{
    snprintf(out, 32, isfinite(x) ? "%.*f%s" : "-", decimals, x, unit);
    return out;
}

static double last_of(const struct history *h, int column)
{
    return h->n ? h->column[column][h->n - 1] : (double)NAN;
}

/* "1.4289 -> 1.3226" */
static void validation_text(char out[64], const struct history *h)
{
    double first = json_number(h->status, "start_valid_loss"), last = (double)NAN;
    for (int i = 0; i < h->n_valid; i++)
        if (!h->valid[i].set) {
            first = isfinite(first) ? first : h->valid[i].loss;
            last = h->valid[i].loss;
        }
    if (isfinite(last))
        snprintf(out, 64, "%.4f \xe2\x86\x92 %.4f", first, last);
    else
        snprintf(out, 64, "-");
}

/* Seconds between the steps of all legs; what lies between two legs does not count. */
static double seconds_of(const struct history *h)
{
    double sum = 0;
    for (int64_t i = 0; i < h->n; i++)
        if (isfinite(h->column[COL_STEP_MS][i]))
            sum += 1e-3 * h->column[COL_STEP_MS][i];
    return sum;
}

static void row(FILE *f, const struct history *h)
{
    const json_t *leg = last_leg(h);
    double steps = json_number(h->status, "steps"), tokens = last_of(h, COL_TOKENS);
    char count[32], flops[32] = "-", loss[32], valid[64], speed[32], share[32], time[32], ranks[32], of[48];
    char done[32], all[32];
    const char *state = json_word(h->status, "state"), *model = json_word(leg, "model");
    validation_text(valid, h);
    snprintf(of, sizeof of, isfinite(steps) ? "%s of %s" : "%s", number(done, 0, last_of(h, COL_STEP), ""),
             number(all, 0, steps, ""));
    if (isfinite(tokens * h->flops_per_token))
        snprintf(flops, sizeof flops, "%.3g", tokens * h->flops_per_token);
    html_row(
        f, heads, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", h->name, *state ? state : "?",
        *model ? model : "-", number(ranks, 0, json_number(leg, "ranks"), ""), of,
        isfinite(tokens) ? text_count(count, tokens) : "-", flops, number(loss, 4, last_of(h, COL_LOSS), ""),
        valid, number(speed, 0, median_of(h->column[COL_SPEED], h->n), ""),
        number(share, 0, 100 * median_of(h->column[COL_MFU], h->n), " %"), text_time(time, seconds_of(h)));
}

void section_overview(FILE *f, const struct page *p)
{
    html_table(f, NULL, heads);
    for (int r = 0; r < p->n; r++)
        row(f, &p->run[r]);
    html_table_end(f);
    html_put(f, "p", "soft",
             "Validation: nats/token, before the first step and now. Speed and the share of the "
             "GEMM ceiling are medians of all steps; time is that of the steps alone.");
    for (int r = 0; r < p->n; r++)
        if (p->run[r].n == 0)
            html_put(f, "p", "bad", "%s has done no step yet.", p->run[r].name);
}
