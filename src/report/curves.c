#include "report/sections.h"

#include <math.h>
#include <stdlib.h>
#include "base/mem.h"

static const struct axis over_tokens = {"tokens", NULL, true, false, false},
                         over_flops = {"model FLOPs", "FLOP", true, false, false};

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double median_of(const double *x, int64_t n)
{
    double *copy = mem_new(n, sizeof *copy);
    int64_t finite = 0;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(x[i]))
            copy[finite++] = x[i];
    qsort(copy, (size_t)finite, sizeof *copy, ascending);
    double middle = finite ? copy[finite / 2] : (double)NAN;
    free(copy);
    return middle;
}

/* ---- marks: bad steps of all runs; of a single run also where a leg begins ---- */

static void add_mark(struct chart *c, double x, char *text, bool bad)
{
    struct mark *all = mem_grow((void *)(uintptr_t)c->mark, c->marks + 1, sizeof *all);
    all[c->marks++] = (struct mark){x, text, bad};
    c->mark = all;
}

static void add_marks(struct chart *c, const struct page *p, bool flops)
{
    for (int r = 0; r < p->n; r++) {
        const struct history *h = &p->run[r];
        double unit = flops ? h->flops_per_token : 1;
        for (int i = 0; i < h->n_bad; i++)
            add_mark(c, unit * h->bad[i].tokens, mem_format("%s: %s", h->name, h->bad[i].text), true);
        const double *leg = h->column[COL_LEG];
        for (int64_t i = 1; i < h->n && p->n == 1; i++)
            if (leg[i] > leg[i - 1])
                add_mark(c, unit * h->column[COL_TOKENS][i - 1], mem_format("leg %.0f begins", leg[i]),
                         false);
    }
}

static void end_marks(struct chart *c)
{
    for (int i = 0; i < c->marks; i++)
        free((void *)(uintptr_t)c->mark[i].text);
    free((void *)(uintptr_t)c->mark);
}

/* ---- curves ---- */

static double *scaled(const double *x, int64_t n, double factor, bool root)
{
    double *y = mem_new(n, sizeof *y);
    for (int64_t i = 0; i < n; i++)
        y[i] = root ? sqrt(factor * x[i]) : factor * x[i];
    return y;
}

void curve_draw(FILE *f, const struct page *p, const struct curve *curve, bool flops)
{
    struct series *series = mem_new(p->n, sizeof *series);
    double factor = curve->factor > 0 ? curve->factor : 1;
    struct chart c = {.title = curve->title,
                      .note = curve->note,
                      .x = flops ? over_flops : over_tokens,
                      .y = curve->y,
                      .n = p->n,
                      .series = series};
    for (int r = 0; r < p->n; r++) {
        const struct history *h = &p->run[r];
        series[r] = (struct series){
            .name = h->name,
            .n = h->n,
            .colour = h->colour,
            .x = scaled(h->column[COL_TOKENS], h->n, flops ? h->flops_per_token : 1, false),
            .y = scaled(h->column[curve->column], h->n,
                        curve->by_layer ? factor / (double)h->loads.layers : factor, curve->root)};
    }
    add_marks(&c, p, flops);
    chart_lines(f, &c);
    end_marks(&c);
    for (int r = 0; r < p->n; r++) {
        free((void *)(uintptr_t)series[r].x);
        free((void *)(uintptr_t)series[r].y);
    }
    free(series);
}

void curve_lines(FILE *f, const struct page *p, struct chart *c)
{
    c->x = over_tokens;
    add_marks(c, p, false);
    chart_lines(f, c);
    end_marks(c);
}
