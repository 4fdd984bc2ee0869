#include "report/loads.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

static int64_t width(const struct loads *l)
{
    return l->layers * l->experts;
}

/* Are the counts [layers][experts] of numbers from 0 on, of the same size as before? The first line says the
 * size. */
static bool fits(struct loads *l, const json_t *counts)
{
    enum { MOST = 1 << 16 };
    size_t layers = json_array_size(counts), experts = json_array_size(json_array_get(counts, 0));
    if (layers == 0 || experts == 0 || layers > MOST / experts)
        return false;
    if (l->layers == 0) {
        l->layers = (int64_t)layers;
        l->experts = (int64_t)experts;
    }
    bool good = (int64_t)layers == l->layers;
    for (size_t i = 0; i < layers && good; i++) {
        const json_t *row = json_array_get(counts, i);
        good = (int64_t)json_array_size(row) == l->experts;
        for (size_t e = 0; e < experts && good; e++)
            good = json_number_value(json_array_get(row, e)) >= 0 && json_is_number(json_array_get(row, e));
    }
    return good;
}

/* Two bins become one. */
static void halve(struct loads *l)
{
    int64_t w = width(l);
    for (int64_t b = 0; b < l->n; b += 2) {
        double *to = l->count + b / 2 * w, *from = l->count + b * w;
        for (int64_t i = 0; i < w; i++)
            to[i] = from[i] + (b + 1 < l->n ? from[w + i] : 0);
        l->step[b / 2] = l->step[b + 1 < l->n ? b + 1 : b];
    }
    l->n /= 2;
    l->each *= 2;
    l->lines = l->each;
}

/* The entropy of a layer's loads, as a part of that of equal loads. */
static double entropy_of(const json_t *row, int64_t experts)
{
    double all = 0, sum = 0;
    for (int64_t e = 0; e < experts; e++)
        all += json_number_value(json_array_get(row, (size_t)e));
    for (int64_t e = 0; e < experts; e++) {
        double p = json_number_value(json_array_get(row, (size_t)e)) / all;
        sum -= p > 0 ? p * log(p) : 0;
    }
    return experts > 1 && all > 0 ? sum / log((double)experts) : 1;
}

static void add_entropy(struct loads *l, double step, const json_t *counts)
{
    double sum = 0, lowest = 1;
    for (int64_t i = 0; i < l->layers; i++) {
        double e = entropy_of(json_array_get(counts, (size_t)i), l->experts);
        sum += e;
        lowest = fmin(lowest, e);
    }
    if ((l->steps & (l->steps - 1)) == 0) {
        int64_t room = l->steps ? 2 * l->steps : 1;
        l->at = mem_grow(l->at, room, sizeof(double));
        l->entropy = mem_grow(l->entropy, room, sizeof(double));
        l->lowest = mem_grow(l->lowest, room, sizeof(double));
    }
    l->at[l->steps] = step;
    l->entropy[l->steps] = sum / (double)l->layers;
    l->lowest[l->steps++] = lowest;
}

/* Steps that were done again count once. A bin that holds earlier steps too keeps all of them. */
static void go_back(struct loads *l, double step)
{
    while (l->steps > 0 && l->at[l->steps - 1] >= step)
        l->steps--;
    while (l->n > 0 && l->step[l->n - 1] >= step && (l->n == 1 || l->step[l->n - 2] >= step))
        l->n--;
    l->lines = l->each;
}

static void add_counts(struct loads *l, double step, const json_t *counts)
{
    int64_t w = width(l);
    if (!l->count) {
        l->count = mem_new(mem_mul(LOAD_BINS, w), sizeof *l->count);
        l->each = l->lines = 1;
    }
    if (l->n > 0 && l->lines < l->each) {
        l->lines++;
    } else {
        if (l->n == LOAD_BINS)
            halve(l);
        memset(l->count + l->n * w, 0, (size_t)w * sizeof *l->count);
        l->n++;
        l->lines = 1;
    }
    double *to = l->count + (l->n - 1) * w;
    for (int64_t i = 0; i < w; i++)
        to[i] += json_number_value(
            json_array_get(json_array_get(counts, (size_t)(i / l->experts)), (size_t)(i % l->experts)));
    l->step[l->n - 1] = step;
}

void loads_take(void *history, json_t *line, const char *where)
{
    struct history *h = history;
    struct loads *l = &h->loads;
    json_t *counts = json_object_get(line, "counts");
    double step = json_number(line, "step");
    if (!(step >= 0 && step < 1e15) || !fits(l, counts)) {
        complain(&h->complaints, "%s: it has no step, or counts that do not fit", where);
        return;
    }
    if (l->steps > 0 && step <= l->at[l->steps - 1])
        go_back(l, step);
    add_entropy(l, step, counts);
    add_counts(l, step, counts);
}

void loads_free(struct loads *l)
{
    free(l->count);
    free(l->at);
    free(l->entropy);
    free(l->lowest);
    *l = (struct loads){0};
}

double loads_ratio(const struct loads *l, int64_t bin, int64_t layer, int64_t expert)
{
    const double *row = l->count + bin * width(l) + layer * l->experts;
    double all = 0;
    for (int64_t e = 0; e < l->experts; e++)
        all += row[e];
    return all > 0 ? row[expert] * (double)l->experts / all : (double)NAN;
}

double loads_busiest(const struct loads *l, int64_t bin, int64_t layer)
{
    double most = (double)NAN;
    for (int64_t e = 0; e < l->experts; e++)
        most = fmax(most, loads_ratio(l, bin, layer, e));
    return most;
}
