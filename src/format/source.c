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

status source_read(struct source *s, int array, slab box, float *out, int64_t *bytes_read)
{
    const struct array *a = &s->array[array];
    for (int i = 0; i < 3; i++)
        if (box.lo[i] < 0 || box.n[i] < 0 || box.n[i] > a->dim[i] - box.lo[i])
            bug("array %s: box [%lld, +%lld) of dimension %d, which is %lld", a->name, (long long)box.lo[i],
                (long long)box.n[i], i, (long long)a->dim[i]);
    if (slab_size(&box) == 0)
        return OK;
    return s->ops->read(s, array, box, out, bytes_read);
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
