#include "format/source.h"

#include <stdlib.h>
#include <string.h>
#include "base/half.h"
#include "base/mem.h"

static int bisect(const struct source *s, const char *name)
{
    int lo = 0, hi = s->n;
    while (lo < hi) {
        int middle = lo + (hi - lo) / 2;
        int order = strcmp(name, s->array[middle].name);
        if (order == 0)
            return middle;
        if (order < 0)
            hi = middle;
        else
            lo = middle + 1;
    }
    return -1;
}

int source_find(const struct source *s, const char *name)
{
    if (s->sorted)
        return bisect(s, name);
    for (int i = 0; i < s->n; i++)
        if (strcmp(name, s->array[i].name) == 0)
            return i;
    return -1;
}

static void check_box(const struct array *a, slab box)
{
    for (int i = 0; i < 3; i++)
        if (box.lo[i] < 0 || box.n[i] < 0 || box.n[i] > a->dim[i] - box.lo[i])
            bug("array %s: box [%lld, +%lld) of dimension %d, which is %lld", a->name, (long long)box.lo[i],
                (long long)box.n[i], i, (long long)a->dim[i]);
}

/* ---- no NaN and no infinity ---- */

/* The message about element i of a box. */
static status not_finite(const struct source *s, int array, slab box, int64_t i)
{
    const struct array *a = &s->array[array];
    int64_t row = i / box.n[2] % box.n[1];
    return fail(
        E_DATA,
        "%s: tensor %s: element [%lld, %lld, %lld] is not a finite number (NaN or infinity), so the model "
        "cannot compute; %s",
        a->file ? a->file : s->path, a->name, (long long)(box.lo[0] + i / box.n[2] / box.n[1]),
        (long long)(box.lo[1] + row), (long long)(box.lo[2] + i % box.n[2]),
        a->type_name && !strcmp(a->type_name, "F16")
            ? "F16 holds at most 65504: convert the original weights to BF16 or F32 instead"
            : "the file is damaged, or was saved by a training run that had failed");
}

static bool all_finite(const float *x, int64_t n)
{
    uint32_t bad = 0;
    for (int64_t i = 0; i < n; i++)
        bad |= (bits_of_float(x[i]) & 0x7f800000) == 0x7f800000;
    return !bad;
}

static bool all_finite_bf16(const uint16_t *x, int64_t n)
{
    uint16_t bad = 0;
    for (int64_t i = 0; i < n; i++)
        bad |= (x[i] & 0x7f80) == 0x7f80;
    return !bad;
}

status source_read(struct source *s, int array, slab box, float *out, int64_t *bytes_read)
{
    int64_t n = slab_size(&box), i = 0;
    check_box(&s->array[array], box);
    if (n == 0)
        return OK;
    TRY(s->ops->read(s, array, box, out, bytes_read));
    if (!s->path || all_finite(out, n)) /* without a path the values are computed from checked ones */
        return OK;
    while (all_finite(out + i, 1))
        i++;
    return not_finite(s, array, box, i);
}

bool source_has_bf16(const struct source *s, int array)
{
    const char *type = s->array[array].type_name;
    return s->ops->read_bf16 && type && strcmp(type, "BF16") == 0;
}

status source_read_bf16(struct source *s, int array, slab box, uint16_t *out, int64_t *bytes_read)
{
    int64_t n = slab_size(&box), i = 0;
    check_box(&s->array[array], box);
    if (n == 0)
        return OK;
    TRY(s->ops->read_bf16(s, array, box, out, bytes_read));
    if (all_finite_bf16(out, n))
        return OK;
    while (all_finite_bf16(out + i, 1))
        i++;
    return not_finite(s, array, box, i);
}

void source_close(struct source *s)
{
    if (!s)
        return;
    s->ops->close(s);
    free(s->array);
    free(s->path);
    free(s);
}
