/* Device memory of a model on one rank. */
#include "model/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/rng.h"

/* Elements of one bucket's buffers: WEIGHT, GRAD and each moment. */
struct sizes {
    int64_t whole, part;
};

static struct sizes bucket_sizes(const struct model *m, const struct layout *l, int rank, int b)
{
    int64_t part = model_bucket_part(m, l, rank, b);
    return (struct sizes){mem_mul(part, layout_group_size(l, m->bucket[b].over)), part};
}

static int64_t bucket_elements(const struct model *m, const struct layout *l, int rank, int b, bool training)
{
    struct sizes s = bucket_sizes(m, l, rank, b);
    return training && m->bucket[b].trained ? 2 * s.whole + 2 * s.part : s.whole;
}

int64_t store_bytes(const struct model *m, const struct layout *l, int rank, bool training)
{
    int64_t n = 0;
    for (int b = 0; b < m->n_buckets; b++)
        n = mem_add(n, bucket_elements(m, l, rank, b, training));
    return mem_mul(n, sizeof(float));
}

/* Lay one bucket out from `at`; returns the first free element behind it. */
static float *bucket_open(struct store *s, int b, bool training, float *at)
{
    const struct bucket_plan *plan = &s->model->bucket[b];
    struct sizes n = bucket_sizes(s->model, &s->layout, s->rank, b);
    int64_t mine = n.part * layout_group_index(&s->layout, s->rank, plan->over);
    struct bucket *k = &s->bucket[b];
    *k = (struct bucket){.over = plan->over, .trained = plan->trained, .part = n.part};
    k->size = model_bucket_size(s->model, &s->layout, s->rank, b);
    k->mem[WEIGHT] = at;
    k->mem[MASTER] = at + mine;
    if (training && plan->trained) {
        k->mem[GRAD] = at + n.whole;
        k->mem[MOMENT1] = k->mem[GRAD] + n.whole;
        k->mem[MOMENT2] = k->mem[MOMENT1] + n.part;
    }
    return at + bucket_elements(s->model, &s->layout, s->rank, b, training);
}

static bool lies_in(const float *element, view v)
{
    const float *first = v.data;
    return first && element >= first && element < first + view_size(v);
}

/* What lies at a byte of the store, for the message of a fault. */
static void tell_tensor(const void *owner, int64_t at, char text[128])
{
    static const char *const name[KINDS] = {"weight", "gradient", "master", "moment 1", "moment 2"};
    const struct store *s = owner;
    const float *element = (const float *)s->base + at / (int64_t)sizeof(float);
    for (int t = 0; t < s->model->n_tensors; t++)
        for (int k = WEIGHT; k <= GRAD; k++)
            if (s->bucket[s->model->bucket_of[t]].mem[k] && lies_in(element, store_view(s, t, (enum kind)k)))
                snprintf(text, 128, "%s of %s", name[k], s->model->tensor[t].name);
    for (int i = 0; i < s->n_owned; i++)
        for (int k = MOMENT1; k <= MOMENT2; k++) {
            struct shard part = s->owned[i];
            part.kind = (enum kind)k;
            if (s->bucket[part.bucket].mem[k] &&
                lies_in(element, view_of(store_at(s, &part), F32, 1, 1, part.part.n)))
                snprintf(text, 128, "%s of %s", name[k], s->model->tensor[part.tensor].name);
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
    float *at = s->base;
    for (int b = 0; b < m->n_buckets; b++)
        at = bucket_open(s, b, training, at);
    s->owned = mem_new(m->n_tensors, sizeof *s->owned);
    s->n_owned = model_shards(m, l, rank, MASTER, s->owned, m->n_tensors);
    return OK;
}

void store_close(struct store *s)
{
    if (s->base)
        dev_free(s->dev, s->base, s->bytes);
    free(s->bucket);
    free(s->owned);
    *s = (struct store){0};
}

view store_view(const struct store *s, int tensor, enum kind kind)
{
    if (tensor < 0)
        return view_none();
    slab box = model_slab(s->model, &s->layout, s->rank, tensor);
    float *base = s->bucket[s->model->bucket_of[tensor]].mem[kind];
    return view_of(base + model_tensor_at(s->model, &s->layout, s->rank, tensor), F32, box.n[0], box.n[1],
                   box.n[2]);
}

float *store_at(const struct store *s, const struct shard *shard)
{
    return s->bucket[shard->bucket].mem[shard->kind] + shard->at;
}

float *store_owned_grad(const struct store *s, int bucket)
{
    const struct bucket *b = &s->bucket[bucket];
    return b->mem[GRAD] + (b->mem[MASTER] - b->mem[WEIGHT]);
}

/* One row: elements index.. of a tensor. */
static uint64_t row_hash(uint64_t key, uint64_t index, int64_t n, const float *value)
{
    uint64_t sum = 0;
    for (int64_t c = 0; c < n; c++) {
        uint32_t bits;
        memcpy(&bits, value + c, sizeof bits);
        sum += rng_mix(key ^ rng_mix((index + (uint64_t)c) ^ (uint64_t)bits << 32));
    }
    return sum;
}

uint64_t tensor_hash(const char *name, const int64_t dim[3], const piece *part, const float *values)
{
    uint64_t key = rng_name(name), sum = 0;
    slab boxes[5];
    int n = piece_slabs(part, boxes);
    for (int i = 0; i < n; i++) {
        const slab *b = &boxes[i];
#pragma omp parallel for schedule(static) reduction(+ : sum) /* integers: any order gives the same bits */
        for (int64_t r = 0; r < b->n[0] * b->n[1]; r++) {
            int64_t row = (b->lo[0] + r / b->n[1]) * dim[1] + b->lo[1] + r % b->n[1];
            sum += row_hash(key, (uint64_t)(row * dim[2] + b->lo[2]), b->n[2], values + r * b->n[2]);
        }
        values += slab_size(b);
    }
    return sum;
}

uint64_t store_hash(const struct store *s, enum kind kind)
{
    const struct model *m = s->model;
    uint64_t sum = 0;
    float *host = NULL;
    int64_t room = 0;
    for (int i = 0; i < s->n_owned; i++) {
        struct shard shard = s->owned[i];
        const struct tensor *t = &m->tensor[shard.tensor];
        shard.kind = kind;
        if (kind != MASTER && !t->trained)
            continue;
        if (shard.part.n > room)
            host = mem_grow(host, room = shard.part.n, sizeof *host);
        dev_download(s->dev, host, view_of(store_at(s, &shard), F32, 1, 1, shard.part.n));
        sum += tensor_hash(t->name, t->dim, &shard.part, host);
    }
    free(host);
    return sum;
}

/* One ZeRO-1 part a row: what the bucket collectives move. */
static view bucket_view(const struct bucket *b, enum kind kind, int64_t parts)
{
    return view_of(b->mem[kind], F32, 1, parts, b->part);
}

void store_gather_weights(const struct store *s, struct group *const group[GROUPS])
{
    for (int b = 0; b < s->model->n_buckets; b++) {
        struct bucket *k = &s->bucket[b];
        group_all_gather(group[k->over], COMPUTE, bucket_view(k, WEIGHT, group_size(group[k->over])),
                         bucket_view(k, MASTER, 1));
    }
}

void store_reduce_grads(const struct store *s, struct group *const group[GROUPS])
{
    for (int b = s->model->n_buckets - 1; b >= 0; b--) { /* backward's order */
        struct bucket *k = &s->bucket[b];
        if (!k->trained || group_size(group[k->over]) == 1)
            continue;
        view all = bucket_view(k, GRAD, group_size(group[k->over]));
        group_reduce_scatter(group[k->over], COMPUTE, view_rows(all, group_rank(group[k->over]), 1), all);
    }
}
