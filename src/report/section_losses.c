/* What a run has learned: losses, and the updates that led there. */
#include "report/sections.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "report/html.h"

static const struct curve training = {
    "Training loss", NULL, COL_LOSS, {"cross-entropy", "nats/token", false, false, false}, 0, false, false};

/* Of the mean over all validation sets. */
static void validations(FILE *f, const struct page *p, bool flops)
{
    struct series *series = mem_new(p->n, sizeof *series);
    struct chart c = {.title = flops ? "Validation loss over FLOPs" : "Validation loss",
                      .x = {flops ? "model FLOPs" : "tokens", flops ? "FLOP" : NULL, true, false, false},
                      .y = training.y,
                      .n = p->n,
                      .series = series};
    for (int r = 0; r < p->n; r++) {
        const struct history *h = &p->run[r];
        double *x = mem_new(2 * h->n_valid, sizeof *x), *y = x + h->n_valid;
        series[r] = (struct series){.name = h->name, .x = x, .y = y, .colour = h->colour, .dots = true};
        for (int i = 0; i < h->n_valid; i++)
            if (!h->valid[i].set) {
                x[series[r].n] = h->valid[i].tokens * (flops ? h->flops_per_token : 1);
                y[series[r].n++] = h->valid[i].loss;
            }
    }
    chart_lines(f, &c);
    for (int r = 0; r < p->n; r++)
        free((void *)(uintptr_t)series[r].x);
    free(series);
}

/* The first and the last loss of each set, where there are several. */
static void sets_of(FILE *f, const struct history *h)
{
    static const char heads[] = "run|set|#first|#last|#at tokens";
    for (int i = 0; i < h->n_valid; i++) {
        const struct validation *last = &h->valid[i];
        bool first = last->set != NULL;
        for (int j = 0; j < i && first; j++)
            first = !h->valid[j].set || strcmp(h->valid[j].set, last->set) != 0;
        if (!first)
            continue;
        for (int j = i; j < h->n_valid; j++)
            if (h->valid[j].set && !strcmp(h->valid[j].set, h->valid[i].set))
                last = &h->valid[j];
        html_row(f, heads, "%s\t%s\t%.4f\t%.4f\t%.0f", h->name, last->set, h->valid[i].loss, last->loss,
                 last->tokens);
    }
}

static bool has_validation(const struct page *p)
{
    bool any = false;
    for (int r = 0; r < p->n; r++)
        any |= p->run[r].n_valid > 0;
    return any;
}

void section_losses(FILE *f, const struct page *p)
{
    struct curve flops = training;
    flops.title = "Training loss over FLOPs";
    fprintf(f, "<div class=\"charts\">\n");
    curve_draw(f, p, &training, false);
    curve_draw(f, p, &flops, true);
    validations(f, p, false);
    validations(f, p, true);
    fprintf(f, "</div>\n");
    if (has_validation(p)) {
        html_table(f, "Validation sets, nats/token", "run|set|#first|#last|#at tokens");
        for (int r = 0; r < p->n; r++)
            sets_of(f, &p->run[r]);
        html_table_end(f);
    }
    html_put(f, "p", "soft",
             "Tokens and FLOPs are those of the run itself; what was trained before its start "
             "is not in them. FLOPs are the model's, by Megatron's convention.");
}

void section_updates(FILE *f, const struct page *p)
{
    static const struct curve curves[] = {
        {"Gradient norm", "before clipping", COL_NORM, {"|grad|", NULL, false, true, false}, 0, false, false},
        {"Learning rate", NULL, COL_RATE, {"rate", NULL, false, false, true}, 0, false, false},
    };
    fprintf(f, "<div class=\"charts\">\n");
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++)
        curve_draw(f, p, &curves[i], false);
    fprintf(f, "</div>\n");
}
