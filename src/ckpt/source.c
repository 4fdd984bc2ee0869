/* MASTER of a checkpoint as a source of named arrays. */
#include "base/mem.h"
#include "ckpt/extent.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ckpt_source {
    struct source source;
    struct ckpt_index index;
    struct reader reader;
    int *tensor; /* of each array in the index */
};

static status source_box(struct source *source, int array, slab box, float *out, int64_t *bytes_read)
{
    struct ckpt_source *s = (struct ckpt_source *)source;
    piece want = {box, 0, slab_size(&box)};
    int64_t before = s->reader.bytes;
    TRY(reader_fill(&s->reader, s->tensor[array], MASTER, &want, out));
    *bytes_read += s->reader.bytes - before;
    return OK;
}

static void source_end(struct source *source)
{
    struct ckpt_source *s = (struct ckpt_source *)source;
    reader_close(&s->reader);
    ckpt_index_free(&s->index);
    free(s->tensor);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct array *)a)->name, ((const struct array *)b)->name);
}

static int tensor_named(const struct ckpt_index *x, const char *name)
{
    int i = 0;
    while (strcmp(x->tensor[i].name, name) != 0)
        i++;
    return i;
}

static void list_arrays(struct ckpt_source *s)
{
    const struct ckpt_index *x = &s->index;
    struct array *array = mem_new(x->n_tensors, sizeof *array);
    for (int i = 0; i < x->n_tensors; i++) {
        snprintf(array[i].name, sizeof array[i].name, "%s", x->tensor[i].name);
        memcpy(array[i].dim, x->tensor[i].dim, sizeof array[i].dim);
        array[i].element_bytes = sizeof(float);
    }
    qsort(array, (size_t)x->n_tensors, sizeof *array, by_name);
    s->tensor = mem_new(x->n_tensors, sizeof *s->tensor);
    for (int i = 0; i < x->n_tensors; i++)
        s->tensor[i] = tensor_named(x, array[i].name);
    s->source.n = x->n_tensors;
    s->source.array = array;
    s->source.sorted = true;
}

status ckpt_source(struct source **out, const char *dir)
{
    static const struct source_ops ops = {.read = source_box, .close = source_end};
    struct ckpt_source *s = mem_new(1, sizeof *s);
    status result = ckpt_index_read(&s->index, dir);
    if (result != OK) {
        free(s);
        return result;
    }
    s->source.ops = &ops;
    s->source.path = mem_text(dir);
    reader_open(&s->reader, &s->index, s->source.path);
    list_arrays(s);
    *out = &s->source;
    return OK;
}
