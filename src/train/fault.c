#include "train/fault.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The tensor that a fault of this kind strikes now; -1: none. */
static int struck(const struct store *s, const char *kind, int64_t first, int64_t n)
{
    const char *plan = getenv("COPPICE_FAULT");
    char is[16], name[64];
    int rank;
    long long sample;
    if (!plan || sscanf(plan, "%15[^:]:%d:%lld:%63s", is, &rank, &sample, name) != 4)
        return -1;
    if (strcmp(is, kind) != 0 || rank != s->rank || sample < first || sample >= first + n)
        return -1;
    fprintf(stderr, "COPPICE_FAULT: rank %d: %s in %s\n", rank, kind, name);
    return model_find(s->model, name);
}

bool fault_planned(void)
{
    return getenv("COPPICE_FAULT") != NULL;
}

static void fill_gradient(const struct store *s, int tensor, float value)
{
    if (tensor >= 0)
        dev_fill(s->dev, store_view(s, tensor, GRAD), value);
}

void fault_gradient(const struct store *s, int64_t first, int64_t n)
{
    static bool done;
    fill_gradient(s, struck(s, "nan", first, n), NAN);
    fill_gradient(s, struck(s, "spike", first, n), 1e3f);
    int once = done ? -1 : struck(s, "once", first, n);
    fill_gradient(s, once, NAN);
    done = done || once >= 0;
}

void fault_weight(const struct store *s, int64_t first, int64_t n)
{
    static bool done;
    int tensor = done ? -1 : struck(s, "flip", first, n);
    if (tensor < 0)
        return;
    done = true;
    view w = store_view(s, tensor, WEIGHT);
    dev_fill(s->dev, view_of(w.data, w.type, 1, 1, 1), 0.75f);
}
