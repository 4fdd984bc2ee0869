#include "ckpt/whole.h"

#include <stdlib.h>
#include "base/mem.h"
#include "format/h5.h"

struct parts {
    int n;
    struct h5_part *at;
};

/* Does an extent go on where the part of `e` ends, in its box and in its file? */
static bool continues(const struct extent *e, const struct extent *next)
{
    const piece *a = &e->shard.part, *b = &next->shard.part;
    return e->file == next->file && slab_equal(&a->box, &b->box) && a->lo + a->n == b->lo &&
           e->offset + extent_bytes(e) == next->offset;
}

static void add_run(struct parts *p, const struct ckpt_index *x, const struct whole_file *file,
                    const struct extent *first, int64_t elements)
{
    piece all = {first->shard.part.box, first->shard.part.lo, elements};
    slab box[5];
    int n = piece_slabs(&all, box);
    int64_t from = (first->offset - file[first->file].offset) / (int64_t)sizeof(float);
    p->at = mem_grow(p->at, p->n + n, sizeof *p->at);
    for (int i = 0; i < n; i++) {
        p->at[p->n++] =
            (struct h5_part){x->file[first->file], "data", file[first->file].elements, from, box[i]};
        from += slab_size(&box[i]);
    }
}

/* Extents first .. end: of one kind of a tensor, as they lie in the files. */
static status write_one(struct h5 *h, const struct ckpt_index *x, const struct whole_file *file, int first,
                        int end)
{
    const struct extent *e = &x->extent[first];
    const struct tensor *t = &x->tensor[e->shard.tensor];
    int rank = t->dim[0] > 1 ? 3 : t->dim[1] > 1 ? 2 : 1;
    const char *group = e->shard.kind == MASTER ? "weights" : kind_name(e->shard.kind);
    char *name = mem_format("%s/%s", group, t->name);
    struct parts p = {0};
    for (int i = first, last = first; i < end; i = last) {
        int64_t elements = 0;
        do
            elements += x->extent[last].shard.part.n;
        while (++last < end && continues(&x->extent[last - 1], &x->extent[last]));
        add_run(&p, x, file, &x->extent[i], elements);
    }
    status s = h5_write_virtual(h, name, rank, t->dim + 3 - rank, p.at, p.n);
    free(p.at);
    free(name);
    return s;
}

static status write_all(struct h5 *h, const struct ckpt_index *x, const struct whole_file *file)
{
    for (int i = 0, end; i < x->n_extents; i = end) {
        const struct shard *s = &x->extent[i].shard;
        end = i + 1;
        while (end < x->n_extents && x->extent[end].shard.tensor == s->tensor &&
               x->extent[end].shard.kind == s->kind)
            end++;
        TRY(write_one(h, x, file, i, end));
    }
    return OK;
}

status ckpt_whole_write(struct ckpt_index *x, const struct whole_file *file, const char *path)
{
    struct h5 *h;
    ckpt_index_sort(x);
    TRY(h5_create(&h, path));
    status s = write_all(h, x, file);
    if (s == OK)
        return h5_close(h);
    h5_abandon(h);
    return s;
}
