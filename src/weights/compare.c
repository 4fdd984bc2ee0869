#include "weights/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

/* ---- walking what this rank owns, box by box ---- */

/* A box of an owned shard that lies in one Hugging Face array, with its values in order. */
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

/* The array of each plane of the tensors: plane p of tensor t lies in the array name[first[t] + p]. */
struct planes {
    int64_t *first; /* [n_tensors] */
    int *name;
};

static void planes_open(struct planes *p, const struct model *m, const struct hf_name *names, int n)
{
    int64_t all = 0;
    p->first = mem_new(m->n_tensors, sizeof *p->first);
    for (int t = 0; t < m->n_tensors; t++) {
        p->first[t] = all;
        all = mem_add(all, m->tensor[t].dim[0]);
    }
    p->name = mem_new(all, sizeof *p->name);
    for (int64_t i = 0; i < all; i++)
        p->name[i] = -1;
    for (int i = 0; i < n; i++)
        for (int64_t plane = names[i].at; plane < names[i].at + names[i].n; plane++)
            p->name[p->first[names[i].tensor] + plane] = i;
}

static int name_of(const struct planes *p, int tensor, int64_t plane)
{
    int name = p->name[p->first[tensor] + plane];
    if (name < 0)
        bug("no Hugging Face name for plane %lld of tensor %d", (long long)plane, tensor);
    return name;
}

static void planes_close(struct planes *p)
{
    free(p->first);
    free(p->name);
}

static status visit_shard(const struct shard *shard, const float *value, const struct planes *planes,
                          visit *call, void *with)
{
    slab boxes[5];
    int count = piece_slabs(&shard->part, boxes);
    for (int i = 0; i < count; i++) {
        slab one = boxes[i];
        one.n[0] = 1;
        for (int64_t a = 0; a < boxes[i].n[0]; a++, value += slab_size(&one)) {
            one.lo[0] = boxes[i].lo[0] + a;
            struct owned o = {name_of(planes, shard->tensor, one.lo[0]), one, value};
            TRY(call(with, &o));
        }
    }
    return OK;
}

/* Visit what this rank owns of a trained tensor, or of all (-1). Routing state has no Hugging Face name. */
static status visit_owned(const struct store *s, enum kind kind, int tensor, const struct planes *planes,
                          visit *call, void *with)
{
    const struct model *m = s->model;
    struct shard *shard = mem_new(m->n_tensors, sizeof *shard);
    int count = model_shards(m, &s->layout, s->rank, MASTER, shard, m->n_tensors);
    status code = OK;
    for (int i = 0; i < count && code == OK; i++) {
        if (!m->tensor[shard[i].tensor].trained || (tensor >= 0 && shard[i].tensor != tensor))
            continue;
        float *host = mem_new(shard[i].part.n, sizeof *host);
        dev_download(s->dev, host, owned_values(s, &shard[i], kind));
        code = visit_shard(&shard[i], host, planes, call, with);
        free(host);
    }
    free(shard);
    return code;
}

/* ---- comparing ---- */

struct reference {
    struct comparison *into;
    struct source *source;
    struct map *map; /* the map of each tensor over `source` */
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
    struct planes planes;
    planes_open(&planes, s->model, c->names, c->n);
    status code = names_maps(s->model, r.source, r.map);
    if (code == OK)
        code = visit_owned(s, kind, -1, &planes, compare_box, &r);
    planes_close(&planes);
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
    char *bytes;
    int64_t n, room;
};

/* Append a box to the packet of its array. `with` holds a packet for each name. */
static status pack_box(void *with, const struct owned *o)
{
    struct packed *p = (struct packed *)with + o->name;
    int64_t values = slab_size(&o->box) * (int64_t)sizeof(float), more = (int64_t)sizeof o->box + values;
    if (p->n + more > p->room) {
        p->room = 2 * p->room + more;
        p->bytes = mem_grow(p->bytes, p->room, 1);
    }
    memcpy(p->bytes + p->n, &o->box, sizeof o->box);
    memcpy(p->bytes + p->n + sizeof o->box, o->value, (size_t)values);
    p->n += more;
    return OK;
}

/* Put the boxes of all ranks into the whole array [name->n, dim[1], dim[2]]. */
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

/* Rank 0: write an array from what all ranks sent. */
static status write_array(const struct store *s, const struct hf_name *name, const char *all, int64_t bytes,
                          struct st_writer *writer, int declared)
{
    const int64_t *dim = s->model->tensor[name->tensor].dim;
    int64_t elements = name->n * dim[1] * dim[2];
    float *whole = mem_new(elements, sizeof *whole);
    unpack(all, bytes, name, dim, whole);
    status code = st_write_f32(writer, declared, 0, elements, whole);
    free(whole);
    return code;
}

/* Write one array. Takes ownership of `mine`. COLLECTIVE. */
static status write_one(struct comm *comm, const struct store *s, const struct hf_name *name,
                        struct packed *mine, struct st_writer *writer, int declared)
{
    int64_t *size = mem_new(comm_size(comm), sizeof *size), total = 0;
    char *all = NULL;
    comm_gather_v(comm, &all, size, mine->bytes, mine->n);
    for (int r = 0; r < comm_size(comm); r++)
        total += size[r];
    status code = writer ? write_array(s, name, all, total, writer, declared) : OK;
    free(mine->bytes);
    *mine = (struct packed){0};
    free(all);
    free(size);
    return comm_agree(comm, code);
}

status compare_write(struct comm *comm, const struct store *s, enum kind kind, const struct hf_name *names,
                     int n, struct st_writer *writer, int first)
{
    struct packed *packed = mem_new(n, sizeof *packed);
    struct planes planes;
    status code = OK;
    planes_open(&planes, s->model, names, n);
    for (int i = 0, tensor = -1; i < n && code == OK; i++) { /* the names of a tensor are neighbours */
        if (names[i].tensor != tensor)
            code = comm_agree(comm, visit_owned(s, kind, names[i].tensor, &planes, pack_box, packed));
        tensor = names[i].tensor;
        if (code == OK)
            code = write_one(comm, s, &names[i], &packed[i], writer, first + i);
    }
    for (int i = 0; i < n; i++)
        free(packed[i].bytes);
    planes_close(&planes);
    free(packed);
    return code;
}
