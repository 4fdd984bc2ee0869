#include "cmd/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

/* ---- walking what this rank owns, box by box ---- */

/* A box of an owned shard inside one Hugging Face array, its values in order. */
struct owned {
    int name; /* index into the list of names */
    slab box;
    const float *value;
};
typedef status visit(void *with, const struct owned *);

static view owned_values(const struct store *s, const struct shard *shard, enum kind kind)
{
    return kind == GRAD ? store_shard_grad(s, shard) : store_shard(s, shard);
}

static int name_of(const struct hf_name *names, int n, int tensor, int64_t plane)
{
    for (int i = 0; i < n; i++)
        if (names[i].tensor == tensor && plane >= names[i].at && plane < names[i].at + names[i].n)
            return i;
    bug("no Hugging Face name for plane %lld of tensor %d", (long long)plane, tensor);
}

static status visit_shard(const struct shard *shard, const float *value, const struct hf_name *names, int n,
                          visit *call, void *with)
{
    slab boxes[5];
    int count = piece_slabs(&shard->part, boxes);
    for (int i = 0; i < count; i++) {
        slab one = boxes[i];
        one.n[0] = 1;
        for (int64_t a = 0; a < boxes[i].n[0]; a++, value += slab_size(&one)) {
            one.lo[0] = boxes[i].lo[0] + a;
            struct owned o = {name_of(names, n, shard->tensor, one.lo[0]), one, value};
            TRY(call(with, &o));
        }
    }
    return OK;
}

static status visit_owned(const struct store *s, enum kind kind, const struct hf_name *names, int n,
                          visit *call, void *with)
{
    const struct model *m = s->model;
    struct shard *shard = mem_new(m->n_tensors, sizeof *shard);
    int count = model_shards(m, &s->layout, s->rank, MASTER, shard, m->n_tensors);
    status code = OK;
    for (int i = 0; i < count && code == OK; i++) {
        if (!m->tensor[shard[i].tensor].trained) /* state of the routing: has no Hugging Face name */
            continue;
        float *host = mem_new(shard[i].part.n, sizeof *host);
        dev_download(s->dev, host, owned_values(s, &shard[i], kind));
        code = visit_shard(&shard[i], host, names, n, call, with);
        free(host);
    }
    free(shard);
    return code;
}

/* ---- comparing ---- */

struct reference {
    struct comparison *into;
    struct source *source;
    struct map *map; /* of each tensor, over source */
};

static status compare_box(void *with, const struct owned *o)
{
    struct reference *r = with;
    struct difference *d = &r->into->row[o->name];
    int64_t size = slab_size(&o->box), bytes = 0;
    float *expected = mem_new(size, sizeof *expected);
    struct map part = map_restrict(&r->map[d->name->tensor], o->box);
    status code = map_run(&part, &r->source, o->box.n, expected, &bytes);
    for (int64_t i = 0; i < size && code == OK; i++) {
        double a = (double)o->value[i], b = (double)expected[i];
        d->error += (a - b) * (a - b);
        d->reference += b * b;
        d->value += a * a;
    }
    map_free(&part);
    free(expected);
    return code;
}

static status compare_local(struct comparison *c, const struct store *s, enum kind kind, const char *path,
                            const char *prefix)
{
    struct reference r = {.into = c};
    TRY(source_open_file(&r.source, path, prefix));
    r.map = mem_new(s->model->n_tensors, sizeof *r.map);
    status code = names_maps(s->model, r.source, r.map);
    if (code == OK)
        code = visit_owned(s, kind, c->names, c->n, compare_box, &r);
    for (int i = 0; i < s->model->n_tensors; i++)
        map_free(&r.map[i]);
    free(r.map);
    source_close(r.source);
    return code;
}

status compare_open(struct comparison *c, struct comm *comm, const struct store *s, enum kind kind,
                    const char *path, const char *prefix)
{
    *c = (struct comparison){0};
    c->n = names_list(s->model, HF_OLD, &c->names);
    c->row = mem_new(c->n, sizeof *c->row);
    for (int i = 0; i < c->n; i++)
        c->row[i].name = &c->names[i];
    TRY(comm_agree(comm, compare_local(c, s, kind, path, prefix)));
    for (int i = 0; i < c->n; i++) {
        double sum[3] = {c->row[i].error, c->row[i].reference, c->row[i].value};
        comm_sum_f64(comm, sum, 3);
        c->row[i] = (struct difference){&c->names[i], sum[0], sum[1], sum[2]};
    }
    return OK;
}

void compare_close(struct comparison *c)
{
    free(c->names);
    free(c->row);
}

double difference_ratio(const struct difference *d)
{
    if (d->reference == 0)
        return d->value == 0 ? 0 : (double)INFINITY;
    return sqrt(d->error / d->reference);
}

/* ---- writing ---- */

/* What a rank sends of one array: boxes with their values. */
struct packed {
    int wanted;
    char *bytes;
    int64_t n;
};

static status pack_box(void *with, const struct owned *o)
{
    struct packed *p = with;
    if (o->name != p->wanted)
        return OK;
    int64_t values = slab_size(&o->box) * (int64_t)sizeof(float), more = (int64_t)sizeof o->box + values;
    p->bytes = mem_grow(p->bytes, p->n + more, 1);
    memcpy(p->bytes + p->n, &o->box, sizeof o->box);
    memcpy(p->bytes + p->n + sizeof o->box, o->value, (size_t)values);
    p->n += more;
    return OK;
}

/* Boxes of all ranks into the whole array [name->n planes, dim[1], dim[2]]. */
static void unpack(const char *bytes, int64_t n, const struct hf_name *name, const int64_t dim[3],
                   float *whole)
{
    for (int64_t at = 0; at < n;) {
        slab box;
        memcpy(&box, bytes + at, sizeof box);
        at += (int64_t)sizeof box;
        for (int64_t r = 0; r < box.n[1]; r++, at += box.n[2] * (int64_t)sizeof(float)) {
            int64_t row = (box.lo[0] - name->at) * dim[1] + box.lo[1] + r;
            memcpy(whole + row * dim[2] + box.lo[2], bytes + at, (size_t)box.n[2] * sizeof(float));
        }
    }
}

static status write_one(struct comm *comm, const struct store *s, enum kind kind, const struct hf_name *names,
                        int n, int i, struct st_writer *writer, int declared)
{
    struct packed mine = {.wanted = i};
    status code = visit_owned(s, kind, names, n, pack_box, &mine);
    int64_t *size = mem_new(comm_size(comm), sizeof *size), total = 0;
    char *all = NULL;
    comm_gather_v(comm, &all, size, mine.bytes, mine.n);
    if (writer) {
        const int64_t *dim = s->model->tensor[names[i].tensor].dim;
        int64_t elements = names[i].n * dim[1] * dim[2];
        float *whole = mem_new(elements, sizeof *whole);
        for (int r = 0; r < comm_size(comm); r++)
            total += size[r];
        unpack(all, total, &names[i], dim, whole);
        code = st_write_f32(writer, declared, 0, elements, whole);
        free(whole);
    }
    free(mine.bytes);
    free(all);
    free(size);
    return comm_agree(comm, code);
}

status compare_write(struct comm *comm, const struct store *s, enum kind kind, const struct hf_name *names,
                     int n, struct st_writer *writer, int first)
{
    for (int i = 0; i < n; i++)
        TRY(write_one(comm, s, kind, names, n, i, writer, first + i));
    return OK;
}
