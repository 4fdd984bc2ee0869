#include "format/source.h"

#include <stdlib.h>
#include <string.h>
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

status source_read(struct source *s, int array, slab box, float *out, int64_t *bytes_read)
{
    check_box(&s->array[array], box);
    return slab_size(&box) == 0 ? OK : s->ops->read(s, array, box, out, bytes_read);
}

bool source_has_bf16(const struct source *s, int array)
{
    const char *type = s->array[array].type_name;
    return s->ops->read_bf16 && type && strcmp(type, "BF16") == 0;
}

status source_read_bf16(struct source *s, int array, slab box, uint16_t *out, int64_t *bytes_read)
{
    check_box(&s->array[array], box);
    return slab_size(&box) == 0 ? OK : s->ops->read_bf16(s, array, box, out, bytes_read);
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
