/* Device memory of a model on one rank. */
#include "model/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/half.h"
#include "base/mem.h"
#include "model/hash.h"

/* Bytes of a bucket's buffers; 0 means that the bucket has no such buffer. */
struct sizes {
    int64_t bytes[KINDS];
};

static struct sizes bucket_sizes(const struct model *m, const struct layout *l, int rank, int b,
                                 bool training)
{
    const struct bucket_plan *plan = &m->bucket[b];
    int64_t part = model_bucket_part(m, l, rank, b);
    int64_t whole = mem_mul(part, layout_group_size(l, plan->over)), fp32 = sizeof(float);
    struct sizes s = {.bytes = {[WEIGHT] = mem_mul(whole, dtype_size(plan->type))}};
    if (!training || !plan->trained)
        return s;
    s.bytes[GRAD] = mem_mul(whole, fp32);
    s.bytes[MASTER] = plan->type == F32 ? 0 : mem_mul(part, fp32);
    s.bytes[MOMENT1] = s.bytes[MOMENT2] = mem_mul(part, fp32);
    return s;
}

void store_bytes_by_kind(const struct model *m, const struct layout *l, int rank, bool training,
                         int64_t bytes[KINDS])
{
    memset(bytes, 0, KINDS * sizeof *bytes);
    for (int b = 0; b < m->n_buckets; b++) {
        struct sizes s = bucket_sizes(m, l, rank, b, training);
        for (int k = 0; k < KINDS; k++)
            bytes[k] = mem_add(bytes[k], s.bytes[k]);
    }
}

int64_t store_bytes(const struct model *m, const struct layout *l, int rank, bool training)
{
    int64_t bytes[KINDS], n = 0;
    store_bytes_by_kind(m, l, rank, training, bytes);
    for (int k = 0; k < KINDS; k++)
        n = mem_add(n, bytes[k]);
    return n;
}

/* Lay a bucket's buffers out from `at`. Returns the first byte behind them. */
static char *bucket_open(struct store *s, int b, bool training, char *at)
{
    const struct bucket_plan *plan = &s->model->bucket[b];
    struct sizes n = bucket_sizes(s->model, &s->layout, s->rank, b, training);
    struct bucket *k = &s->bucket[b];
    *k = (struct bucket){.over = plan->over, .trained = plan->trained, .type = plan->type};
    k->part = model_bucket_part(s->model, &s->layout, s->rank, b);
    k->mine = k->part * layout_group_index(&s->layout, s->rank, plan->over);
    k->size = model_bucket_size(s->model, &s->layout, s->rank, b);
    for (int i = 0; i < KINDS; at += n.bytes[i], i++)
        k->mem[i] = n.bytes[i] > 0 ? at : NULL;
    if (k->type == F32)
        k->mem[MASTER] = (float *)k->mem[WEIGHT] + k->mine;
    return at;
}

static bool lies_in(const char *at, view v)
{
    const char *first = v.data;
    return first && at >= first && at < first + view_size(v) * dtype_size(v.type);
}

/* What lies at a byte of the store, for the message of a fault. */
static void tell_tensor(const void *owner, int64_t at, char text[128])
{
    static const char *const name[KINDS] = {"weight", "gradient", "master", "moment 1", "moment 2"};
    const struct store *s = owner;
    const char *byte = (const char *)s->base + at;
    for (int k = 0; k < KINDS; k++) {
        bool whole = k == WEIGHT || k == GRAD;
        for (int i = 0; i < (whole ? s->model->n_tensors : s->n_owned); i++) {
            struct shard part = {.tensor = i};
            if (!whole)
                part = s->owned[i];
            part.kind = (enum kind)k;
            if (s->bucket[s->model->bucket_of[part.tensor]].mem[k] && !*text &&
                lies_in(byte, whole ? store_view(s, i, part.kind) : store_shard(s, &part)))
                snprintf(text, 128, "%s of %s", name[k], s->model->tensor[part.tensor].name);
        }
    }
}

status store_open(struct store *s, const struct model *m, const struct layout *l, int rank, struct dev *dev,
                  bool training)
{
    *s = (struct store){.model = m, .layout = *l, .rank = rank, .dev = dev};
    s->bytes = store_bytes(m, l, rank, training);
    TRY(dev_alloc(dev, "the store", &s->base, s->bytes, FRESH_ZERO));
    dev_describe(dev, s->base, tell_tensor, s);
    s->bucket = mem_new(m->n_buckets, sizeof *s->bucket);
    s->gathered = mem_new(m->n_layers, sizeof *s->gathered);
    char *at = s->base;
    for (int b = 0; b < m->n_buckets; b++)
        at = bucket_open(s, b, training, at);
    s->owned = mem_new(m->n_tensors, sizeof *s->owned);
    s->n_owned = model_shards(m, l, rank, MASTER, s->owned, m->n_tensors);
    return OK;
}

/* COMPUTE waits for the layer's weights, if they are still on their way. */
static void settle(const struct store *s, int layer)
{
    dev_wait(s->dev, COMPUTE, s->gathered[layer]);
    s->gathered[layer] = (ticket){0};
}

void store_close(struct store *s)
{
    for (int l = 0; s->gathered && l < s->model->n_layers; l++)
        settle(s, l);
    if (s->base)
        dev_free(s->dev, s->base, s->bytes);
    free(s->bucket);
    free(s->gathered);
    free(s->owned);
    *s = (struct store){0};
}

/* Elements [at, at+n) of a buffer, as [n]; view_none() if the bucket has no such buffer. */
static view buffer(const struct bucket *b, enum kind kind, int64_t at, int64_t n)
{
    dtype type = kind == WEIGHT ? b->type : F32;
    return view_of((char *)b->mem[kind] + at * dtype_size(type), type, 1, 1, n);
}

view store_view(const struct store *s, int tensor, enum kind kind)
{
    if (tensor < 0)
        return view_none();
    if (kind == WEIGHT)
        settle(s, s->model->tensor[tensor].layer);
    slab box = model_slab(s->model, &s->layout, s->rank, tensor);
    int64_t at = model_tensor_at(s->model, &s->layout, s->rank, tensor);
    view flat = buffer(&s->bucket[s->model->bucket_of[tensor]], kind, at, slab_size(&box)); /* [n0*n1*n2] */
    return view_reshape(flat, box.n[0], box.n[1], box.n[2]);
}

view store_shard(const struct store *s, const struct shard *shard)
{
    return buffer(&s->bucket[shard->bucket], shard->kind, shard->at, shard->part.n);
}

view store_shard_grad(const struct store *s, const struct shard *shard)
{
    return view_cols(store_owned_grad(s, shard->bucket), shard->at, shard->part.n);
}

view store_shard_working(const struct store *s, const struct shard *shard)
{
    const struct bucket *b = &s->bucket[shard->bucket];
    return b->type == F32 ? view_none() : buffer(b, WEIGHT, b->mine + shard->at, shard->part.n);
}

view store_owned_grad(const struct store *s, int bucket)
{
    return buffer(&s->bucket[bucket], GRAD, s->bucket[bucket].mine, s->bucket[bucket].part);
}

void store_set(struct store *s, int tensor, const float *values)
{
    view to = store_view(s, tensor, WEIGHT); /* [n0, n1, n2] */
    if (to.type == F32) {
        dev_upload(s->dev, to, values);
        return;
    }
    int64_t n = view_size(to);
    uint16_t *rounded = mem_new(n, sizeof *rounded);
    for (int64_t i = 0; i < n; i++)
        rounded[i] = bf16_of_float(values[i]);
    dev_upload(s->dev, to, rounded);
    free(rounded);
    for (int i = 0; i < s->n_owned; i++)
        if (s->owned[i].tensor == tensor && s->bucket[s->owned[i].bucket].mem[MASTER])
            dev_upload(s->dev, store_shard(s, &s->owned[i]), values + s->owned[i].part.lo);
}

void store_round_weights(const struct store *s)
{
    for (int i = 0; i < s->n_owned; i++) {
        view working = store_shard_working(s, &s->owned[i]); /* [part.n] */
        if (!view_is_none(working))
            dev_copy(s->dev, working, store_shard(s, &s->owned[i]));
    }
}

/* A part at a time, so that no tensor stands twice in memory. */
static uint64_t shard_hash(const struct store *s, const struct shard *shard, float *host, int64_t room)
{
    const struct tensor *t = &s->model->tensor[shard->tensor];
    uint64_t sum = 0;
    for (int64_t done = 0; done < shard->part.n; done += room) {
        int64_t left = shard->part.n - done, n = left < room ? left : room;
        piece part = {shard->part.box, shard->part.lo + done, n};
        dev_download(s->dev, host, view_cols(store_shard(s, shard), done, n));
        sum += tensor_hash(t->name, t->dim, &part, host);
    }
    return sum;
}

uint64_t store_hash(const struct store *s, enum kind kind)
{
    enum { ROOM = 1 << 20 };
    float *host = mem_new(ROOM, sizeof *host);
    uint64_t sum = 0;
    for (int i = 0; i < s->n_owned; i++) {
        struct shard shard = s->owned[i];
        shard.kind = kind;
        if (kind == MASTER || s->model->tensor[shard.tensor].trained)
            sum += shard_hash(s, &shard, host, ROOM);
    }
    free(host);
    return sum;
}

/* A buffer as [parts, part]: each row is what one rank owns (ZeRO-1). */
static view bucket_view(const struct bucket *b, enum kind kind, int64_t parts)
{
    return view_reshape(buffer(b, kind, 0, parts * b->part), 1, parts, b->part);
}

/* COMM goes on after what COMPUTE was given until now. */
static void follow(const struct store *s, enum stream stream)
{
    dev_wait(s->dev, stream, dev_mark(s->dev, COMPUTE));
}

static void gather_bucket(const struct store *s, struct group *const group[GROUPS], int b, enum stream stream)
{
    struct group *g = group[s->bucket[b].over];
    view all = bucket_view(&s->bucket[b], WEIGHT, group_size(g)); /* [ranks, part] */
    group_all_gather(g, stream, all, view_rows(all, group_rank(g), 1));
}

void store_gather_weights(const struct store *s, struct group *const group[GROUPS], enum stream stream)
{
    if (stream != COMPUTE)
        follow(s, stream);
    for (int l = 0; l < s->model->n_layers; l++) {
        settle(s, l);
        for (int b = 0; b < s->model->n_buckets; b++)
            if (s->model->bucket[b].layer == l)
                gather_bucket(s, group, b, stream);
        if (stream != COMPUTE)
            s->gathered[l] = dev_mark(s->dev, stream);
    }
}

static void reduce_bucket(const struct store *s, struct group *const group[GROUPS], int b, enum stream stream)
{
    struct group *g = group[s->bucket[b].over];
    if (!s->bucket[b].trained || group_size(g) == 1)
        return;
    view all = bucket_view(&s->bucket[b], GRAD, group_size(g)); /* [ranks, part] */
    group_reduce_scatter(g, stream, view_rows(all, group_rank(g), 1), all);
}

void store_reduce_layer(const struct store *s, struct group *const group[GROUPS], int layer,
                        enum stream stream)
{
    if (stream != COMPUTE)
        follow(s, stream);
    for (int b = s->model->n_buckets - 1; b >= 0; b--)
        if (s->model->bucket[b].layer == layer)
            reduce_bucket(s, group, b, stream);
}

void store_reduce_grads(const struct store *s, struct group *const group[GROUPS])
{
    for (int l = s->model->n_layers - 1; l >= 0; l--) /* in the order in which backward finishes them */
        store_reduce_layer(s, group, l, COMPUTE);
}
