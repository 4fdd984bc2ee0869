/* Routing: how evenly tokens go to the experts. */
#include "report/sections.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "report/html.h"
#include "report/loads.h"

/* Larger maps are slow to draw and too fine to read: then the least balanced layers are shown. */
enum { CELLS = 60000, PANEL_ROWS = 64 };

/* ---- tokens at a step, for axes ---- */

/* By interpolation between the steps of metrics.jsonl; NAN without any. */
static double tokens_at(const struct history *h, double step)
{
    const double *steps = h->column[COL_STEP], *tokens = h->column[COL_TOKENS];
    int64_t lo = 0, hi = h->n - 1;
    if (h->n == 0)
        return (double)NAN;
    while (lo < hi) {
        int64_t middle = (lo + hi) / 2;
        if (steps[middle] < step)
            lo = middle + 1;
        else
            hi = middle;
    }
    return steps[lo] > 0 ? tokens[lo] * step / steps[lo] : tokens[lo];
}

/* ---- entropy ---- */

static void entropies(FILE *f, const struct page *p)
{
    struct series *series = mem_new(p->n, sizeof *series);
    struct chart c = {.title = "Entropy of the load",
                      .note = "mean over layers; 1: all experts get as many tokens",
                      .y = {"entropy / ln(experts)", NULL, false, false, false},
                      .n = p->n,
                      .series = series};
    for (int r = 0; r < p->n; r++) {
        const struct history *h = &p->run[r];
        double *x = mem_new(h->loads.steps, sizeof *x);
        for (int64_t i = 0; i < h->loads.steps; i++)
            x[i] = tokens_at(h, h->loads.at[i]);
        series[r] = (struct series){
            .name = h->name, .n = h->loads.steps, .x = x, .y = h->loads.entropy, .colour = h->colour};
    }
    curve_lines(f, p, &c);
    for (int r = 0; r < p->n; r++)
        free((void *)(uintptr_t)series[r].x);
    free(series);
}

/* ---- heat maps ---- */

struct map {
    int64_t rows, columns;
    const char **name;
    bool *gap;
    double *value, *x;
};

static struct map map_new(const struct history *h, int64_t rows)
{
    const struct loads *l = &h->loads;
    struct map m = {.rows = rows, .columns = l->n};
    m.name = mem_new(rows, sizeof *m.name);
    m.gap = mem_new(rows, sizeof *m.gap);
    m.value = mem_new(mem_mul(rows, l->n), sizeof *m.value);
    m.x = mem_new(l->n + 1, sizeof *m.x);
    for (int64_t b = 0; b < l->n; b++)
        m.x[b + 1] = isfinite(tokens_at(h, l->step[b])) ? tokens_at(h, l->step[b]) : l->step[b];
    return m;
}

static void map_draw(FILE *f, struct map *m, const char *title, const char *note, double height)
{
    chart_heat(f, &(struct heat){.title = title,
                                 .note = note,
                                 .rows = m->rows,
                                 .columns = m->columns,
                                 .name = m->name,
                                 .gap = m->gap,
                                 .value = m->value,
                                 .x = m->x,
                                 .height = height,
                                 .axis = {"tokens", NULL, true, false, false}});
    for (int64_t r = 0; r < m->rows; r++)
        free((void *)(uintptr_t)m->name[r]);
    free(m->name);
    free(m->gap);
    free(m->value);
    free(m->x);
}

/* The busiest expert of each layer. */
static void draw_busiest(FILE *f, const struct history *h)
{
    const struct loads *l = &h->loads;
    struct map m = map_new(h, l->layers);
    for (int64_t r = 0; r < l->layers; r++) {
        m.name[r] = l->layers <= 24 || r % 8 == 0 ? mem_format("layer %lld", (long long)r) : NULL;
        for (int64_t b = 0; b < l->n; b++)
            m.value[r * l->n + b] = loads_busiest(l, b, r);
    }
    map_draw(f, &m, "Busiest expert of each layer", h->name, l->layers <= 24 ? 14 : 6);
}

static double row_height(const struct loads *l)
{
    return l->experts <= 16 ? 8 : l->experts <= 64 ? 4 : 2;
}

/* All experts of these layers. */
static void draw_layers(FILE *f, const struct history *h, const int64_t *layer, int64_t layers)
{
    const struct loads *l = &h->loads;
    struct map m = map_new(h, layers * l->experts);
    for (int64_t r = 0; r < m.rows; r++) {
        int64_t at = layer[r / l->experts], e = r % l->experts;
        m.gap[r] = e == 0;
        m.name[r] = e == 0 ? mem_format("layer %lld", (long long)at) : NULL;
        for (int64_t b = 0; b < l->n; b++)
            m.value[r * l->n + b] = loads_ratio(l, b, at, e);
    }
    map_draw(f, &m, "Load of each expert", h->name, row_height(l));
}

struct order {
    double ratio;
    int64_t layer;
};

static int worse(const void *a, const void *b)
{
    const struct order *x = a, *y = b;
    return (x->ratio < y->ratio) - (x->ratio > y->ratio);
}

static int earlier(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The layers that fit, least balanced first by the last bin; *n of them, in order. Caller frees. */
static int64_t *choose_layers(const struct loads *l, int64_t *n)
{
    struct order *order = mem_new(l->layers, sizeof *order);
    int64_t fit = CELLS / (l->n * l->experts), *layer = mem_new(l->layers, sizeof *layer);
    for (int64_t i = 0; i < l->layers; i++)
        order[i] = (struct order){loads_busiest(l, l->n - 1, i), i};
    *n = fit < 1 ? 1 : fit < l->layers ? fit : l->layers;
    if (*n < l->layers)
        qsort(order, (size_t)l->layers, sizeof *order, worse);
    for (int64_t i = 0; i < *n; i++)
        layer[i] = order[i].layer;
    qsort(layer, (size_t)*n, sizeof *layer, earlier);
    free(order);
    return layer;
}

static void draw_maps(FILE *f, const struct history *h)
{
    int64_t n, panel = PANEL_ROWS / h->loads.experts > 0 ? PANEL_ROWS / h->loads.experts : 1;
    int64_t *layer = choose_layers(&h->loads, &n);
    if (h->loads.layers > 1)
        draw_busiest(f, h);
    for (int64_t i = 0; i < n; i += panel)
        draw_layers(f, h, layer + i, i + panel < n ? panel : n - i);
    if (n < h->loads.layers)
        html_put(f, "p", "soft", "%s: the %lld layers that are least balanced at the end, of %lld.", h->name,
                 (long long)n, (long long)h->loads.layers);
    free(layer);
}

struct page page_experts(const struct page *p)
{
    struct page some = {0, mem_new(p->n, sizeof *p->run)};
    for (int r = 0; r < p->n; r++)
        if (p->run[r].loads.n > 0)
            some.run[some.n++] = p->run[r];
    return some;
}

void section_experts(FILE *f, const struct page *p)
{
    /* clang-format off */
    static const struct curve curves[] = {
        {"Busiest expert", "its load over the mean; mean over layers; 1: balanced", COL_LOAD,
         {"max load / mean", NULL, false, false, false}, 0, false, false},
        {"Dropped assignments", "beyond the capacity", COL_DROPPED,
         {"dropped", "%", false, false, true}, 100, false, false},
        {"Size of router logits", "a token's largest, root of the mean square", COL_MAX_Z,
         {"logit", NULL, false, false, true}, 0, true, true},
        {"Balance loss", "mean over layers, before its coefficient", COL_AUX,
         {"aux loss", NULL, false, false, false}, 0, true, false},
    };
    /* clang-format on */
    struct page some = page_experts(p);
    if (some.n > 0) {
        fprintf(f, "<div class=\"charts\">\n");
        for (size_t i = 0; i < sizeof curves / sizeof *curves; i++)
            curve_draw(f, &some, &curves[i], false);
        entropies(f, &some);
        fprintf(f, "</div>\n<h3>Load over time</h3>\n");
        chart_heat_scale(f);
        fprintf(f, "<div class=\"charts\">\n");
        for (int r = 0; r < some.n; r++)
            draw_maps(f, &some.run[r]);
        fprintf(f, "</div>\n");
    }
    free(some.run);
}
