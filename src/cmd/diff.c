/* Two models tensor by tensor: coppice inspect A --diff B. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "cmd/subject.h"

struct side {
    struct model model;
    struct source *weights;
};

struct distance {
    double error, reference, value, product; /* |a-b|^2, |b|^2, |a|^2, a.b */
    double worst;                            /* max|a-b| */
    bool bits;                               /* all bits are equal */
};

/* Measure one plane of axis 0 at a time, because a whole tensor of experts may be large. */
static status measure(const struct side *a, const struct side *b, int ta, int tb, struct distance *d)
{
    const int64_t *dim = a->model.tensor[ta].dim;
    slab plane = {.n = {1, dim[1], dim[2]}};
    int64_t n = slab_size(&plane), bytes = 0;
    float *x = mem_new(2 * n, sizeof *x), *y = x + n;
    status code = OK;
    *d = (struct distance){.bits = true};
    for (; plane.lo[0] < dim[0] && code == OK; plane.lo[0]++) {
        code = source_read(a->weights, ta, plane, x, &bytes);
        if (code == OK)
            code = source_read(b->weights, tb, plane, y, &bytes);
        d->bits = d->bits && !memcmp(x, y, (size_t)n * sizeof *x);
        for (int64_t i = 0; i < n && code == OK; i++) {
            double p = (double)x[i], q = (double)y[i], e = fabs(p - q);
            d->error += e * e;
            d->reference += q * q;
            d->value += p * p;
            d->product += p * q;
            d->worst = e <= d->worst ? d->worst : e; /* a NaN stays */
        }
    }
    free(x);
    return code;
}

/* Compare tensor `ta` with that of the other side. If they differ, print a line and count it in *different.
 */
static status compare_tensor(const struct side *a, const struct side *b, int ta, int *different)
{
    const struct tensor *t = &a->model.tensor[ta];
    struct distance d;
    int tb = model_find(&b->model, t->name);
    if (tb < 0 && !t->trained)
        return OK; /* routing state is not a weight */
    if (tb < 0 || memcmp(t->dim, b->model.tensor[tb].dim, sizeof t->dim) != 0) {
        log_say("%-32s %s", t->name, tb < 0 ? "only in the first" : "of another size");
        ++*different;
        return OK;
    }
    TRY(measure(a, b, ta, tb, &d));
    if (d.bits)
        return OK;
    log_say("%-32s |a-b|/|b| %.3e   max|a-b| %.3e   cosine %.6f", t->name, sqrt(d.error / d.reference),
            d.worst, d.product / sqrt(d.value * d.reference));
    ++*different;
    return OK;
}

/* Compare settings that no tensor shows; models with equal weights may differ in them. */
static int compare_settings(const struct side *a, const struct side *b)
{
    char *changes = config_changes(&a->model.config, &b->model.config);
    if (changes)
        log_say("settings, of the first (there) and the second (here): %s", changes);
    bool differ = changes != NULL;
    free(changes);
    return differ;
}

static status compare(const struct side *a, const struct side *b)
{
    int settings = compare_settings(a, b), different = 0;
    char count[48];
    for (int i = 0; i < a->model.n_tensors; i++)
        TRY(compare_tensor(a, b, i, &different));
    for (int i = 0; i < b->model.n_tensors; i++) {
        const struct tensor *t = &b->model.tensor[i];
        if (!t->trained || model_find(&a->model, t->name) >= 0)
            continue;
        log_say("%-32s only in the second", t->name);
        different++;
    }
    if (different == 0 && settings)
        log_say("DIFFERENT: settings; every bit of %s is equal", text_n(count, a->model.n_tensors, "tensor"));
    else if (different == 0)
        log_say("EQUAL: every bit of %s", text_n(count, a->model.n_tensors, "tensor"));
    else
        log_say("DIFFERENT: %s", text_n(count, different, "tensor"));
    return different || settings ? E_DIFFERENT : OK;
}

static void side_close(struct side *s)
{
    source_close(s->weights);
    model_close(&s->model);
}

status subject_diff(const struct subject *first, const struct subject *second)
{
    struct side a, b;
    TRY(subject_weights(first, &a.model, &a.weights));
    status code = subject_weights(second, &b.model, &b.weights);
    if (code == OK) {
        code = compare(&a, &b);
        side_close(&b);
    }
    side_close(&a);
    return code;
}
