/* The table of tensors, and what each rank holds of them. */
#include "model/tensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

/* One row per kind of tensor: how its name ends, how its axes are cut, what training does to it. Sizes come
 * from size_of(); a layer lacks the tensors for which it says so. The order of rows is the order in memory
 * inside a bucket: Q, K, V and their biases must stay neighbours. */
struct spec {
    enum slot slot;
    const char *name;
    enum cut by[3];
    bool decay, one;
    double std; /* 0 = bias or norm */
};

static const double INIT_STD = 0.02;

static const struct spec block_specs[] = {
    {T_ATTN_NORM, "attn_norm", {WHOLE, WHOLE, WHOLE}, false, true, 0},
    {T_Q, "q", {WHOLE, BY_TP, WHOLE}, true, false, 1},
    {T_K, "k", {WHOLE, BY_KV, WHOLE}, true, false, 1},
    {T_V, "v", {WHOLE, BY_KV, WHOLE}, true, false, 1},
    {T_Q_BIAS, "q_bias", {WHOLE, WHOLE, BY_TP}, false, false, 0},
    {T_K_BIAS, "k_bias", {WHOLE, WHOLE, BY_KV}, false, false, 0},
    {T_V_BIAS, "v_bias", {WHOLE, WHOLE, BY_KV}, false, false, 0},
    {T_O, "o", {WHOLE, WHOLE, BY_TP}, true, false, -1},
    {T_FFN_NORM, "ffn_norm", {WHOLE, WHOLE, WHOLE}, false, true, 0},
    {T_Q_NORM, "q_norm", {WHOLE, WHOLE, WHOLE}, false, true, 0},
    {T_K_NORM, "k_norm", {WHOLE, WHOLE, WHOLE}, false, true, 0},
};
static const struct spec dense_specs[] = {
    {T_GATE_UP, "gate_up", {WHOLE, BY_TP, WHOLE}, true, false, 1},
    {T_DOWN, "down", {WHOLE, WHOLE, BY_TP}, true, false, -1},
};
static const struct spec expert_specs[] = {
    {T_ROUTER, "router", {WHOLE, WHOLE, WHOLE}, true, false, 1},
    {T_ROUTER_BIAS, "router_bias", {WHOLE, WHOLE, WHOLE}, false, false, 0},
    {T_ROUTER_LOAD, "router_load", {WHOLE, WHOLE, WHOLE}, false, true, 0},
    {T_SHARED_GATE_UP, "shared_gate_up", {WHOLE, BY_TP, WHOLE}, true, false, 1},
    {T_SHARED_DOWN, "shared_down", {WHOLE, WHOLE, BY_TP}, true, false, -1},
    {T_SHARED_GATE, "shared_gate", {WHOLE, WHOLE, WHOLE}, true, false, 1},
    {T_GATE_UP, "gate_up", {BY_EP, BY_ETP, WHOLE}, true, false, 1},
    {T_DOWN, "down", {BY_EP, WHOLE, BY_ETP}, true, false, -1},
};
static const struct spec embed_specs[] = {{T_EMBED, "embed", {WHOLE, BY_TP, WHOLE}, true, false, 1}};
static const struct spec head_specs[] = {
    {T_NORM, "norm", {WHOLE, WHOLE, WHOLE}, false, true, 0},
    {T_HEAD, "head", {WHOLE, BY_TP, WHOLE}, true, false, 1},
};

/* Global sizes of a tensor in a layer with x experts (0: dense); false if the layer has no such tensor. */
static bool size_of(const struct config *c, enum slot slot, int64_t x, int64_t dim[3])
{
    int64_t h = c->hidden, q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    int64_t f = x ? config_expert_ffn(c) : c->ffn, e = x ? x : 1;
    int64_t bias = c->qkv_bias ? 1 : 0, shared = x ? c->moe.shared : 0;
    const int64_t sizes[SLOTS][3] = {
        [T_EMBED] = {1, c->vocab, h},
        [T_HEAD] = {c->tied ? 0 : 1, c->vocab, h},
        [T_NORM] = {1, 1, h},
        [T_ATTN_NORM] = {1, 1, h},
        [T_Q] = {1, q, h},
        [T_K] = {1, kv, h},
        [T_V] = {1, kv, h},
        [T_Q_BIAS] = {bias, 1, q},
        [T_K_BIAS] = {bias, 1, kv},
        [T_V_BIAS] = {bias, 1, kv},
        [T_O] = {1, h, q},
        [T_FFN_NORM] = {1, 1, h},
        [T_Q_NORM] = {c->qk_norm, 1, c->head_dim},
        [T_K_NORM] = {c->qk_norm, 1, c->head_dim},
        [T_GATE_UP] = {2 * e, f, h},
        [T_DOWN] = {e, h, f},
        [T_ROUTER] = {x ? 1 : 0, x, h},
        [T_ROUTER_BIAS] = {c->moe.bias_rate > 0, 1, x},
        [T_ROUTER_LOAD] = {c->moe.aux_domain == AUX_GLOBAL, 1, x},
        [T_SHARED_GATE_UP] = {shared ? 2 : 0, shared * f, h},
        [T_SHARED_DOWN] = {shared ? 1 : 0, h, shared * f},
        [T_SHARED_GATE] = {shared && c->moe.shared_gate, 1, h},
    };
    memcpy(dim, sizes[slot], 3 * sizeof *dim);
    return dim[0] > 0;
}

/* Routing state follows the counts of a step, not gradients. */
static bool is_state(enum slot slot)
{
    return slot == T_ROUTER_BIAS || slot == T_ROUTER_LOAD;
}

/* The model's stored type is for the matrices of GEMMs and for the embedding; all else is F32. */
static dtype stored_type(const struct model *m, const struct spec *s)
{
    bool matrix = s->decay && s->slot != T_ROUTER && s->slot != T_SHARED_GATE;
    return matrix ? m->weights : F32;
}

static void add_tensor(struct model *m, int layer, const struct spec *s, int64_t x)
{
    struct tensor t = {.type = stored_type(m, s),
                       .layer = layer,
                       .decay = s->decay,
                       .trained = !is_state(s->slot),
                       .one = s->one};
    if (!size_of(&m->config, s->slot, x, t.dim))
        return;
    memcpy(t.by, s->by, sizeof t.by);
    double deep = s->std < 0 ? sqrt(2.0 * (double)m->config.layers) : 1;
    t.init_std = s->std != 0 ? INIT_STD / deep : 0;
    bool block = layer > 0 && layer < m->n_layers - 1;
    if (block)
        snprintf(t.name, sizeof t.name, "layers.%d.%s", layer - 1, s->name);
    else
        snprintf(t.name, sizeof t.name, "%s", s->name);
    m->layer[layer].tensor[s->slot] = m->n_tensors;
    m->tensor[m->n_tensors++] = t;
}

static void add_specs(struct model *m, int layer, const struct spec *s, size_t n, int64_t x)
{
    for (size_t i = 0; i < n; i++)
        add_tensor(m, layer, &s[i], x);
}

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void add_layers(struct model *m)
{
    for (int l = 0; l < m->n_layers; l++)
        for (int s = 0; s < SLOTS; s++)
            m->layer[l].tensor[s] = -1;
    m->layer[0].type = EMBED;
    add_specs(m, 0, embed_specs, COUNT(embed_specs), 0);
    for (int l = 1; l < m->n_layers - 1; l++) {
        int64_t x = config_experts(&m->config, l - 1);
        m->layer[l].type = x ? MOE_BLOCK : BLOCK;
        add_specs(m, l, block_specs, COUNT(block_specs), x);
        if (x)
            add_specs(m, l, expert_specs, COUNT(expert_specs), x);
        else
            add_specs(m, l, dense_specs, COUNT(dense_specs), x);
    }
    m->layer[m->n_layers - 1].type = HEAD;
    add_specs(m, m->n_layers - 1, head_specs, COUNT(head_specs), 0);
    if (m->config.tied)
        m->layer[m->n_layers - 1].tensor[T_HEAD] = m->layer[0].tensor[T_EMBED];
}

/* A bucket holds tensors of equal layer, replicas, type and trained. Buckets are in the order of their first
 * tensor. */
static void add_buckets(struct model *m, const struct layout *l)
{
    int placed = 0;
    for (int i = 0; i < m->n_tensors; i++)
        m->bucket_of[i] = -1;
    for (int i = 0; i < m->n_tensors; i++) {
        if (m->bucket_of[i] >= 0)
            continue;
        const struct tensor *t = &m->tensor[i];
        struct bucket_plan b = {t->layer, layout_replicas(l, t->by), t->trained, t->type, placed, 0};
        for (int j = i; j < m->n_tensors && m->tensor[j].layer == t->layer; j++)
            if (layout_replicas(l, m->tensor[j].by) == b.over && m->tensor[j].trained == b.trained &&
                m->tensor[j].type == b.type) {
                m->order[placed++] = j;
                m->bucket_of[j] = m->n_buckets;
                b.n++;
            }
        m->bucket[m->n_buckets++] = b;
    }
}

void model_open(struct model *m, const struct config *c, const struct layout *l)
{
    model_open_stored(m, c, l, F32);
}

void model_open_stored(struct model *m, const struct config *c, const struct layout *l, dtype weights)
{
    *m = (struct model){.config = *c, .weights = weights, .n_layers = (int)c->layers + 2};
    int64_t most = mem_mul(m->n_layers, SLOTS);
    m->layer = mem_new(m->n_layers, sizeof *m->layer);
    m->tensor = mem_new(most, sizeof *m->tensor);
    add_layers(m);
    m->bucket = mem_new(m->n_tensors, sizeof *m->bucket);
    m->order = mem_new(m->n_tensors, sizeof *m->order);
    m->bucket_of = mem_new(m->n_tensors, sizeof *m->bucket_of);
    add_buckets(m, l);
}

void model_close(struct model *m)
{
    free(m->layer);
    free(m->tensor);
    free(m->bucket);
    free(m->order);
    free(m->bucket_of);
    *m = (struct model){0};
}

int model_find(const struct model *m, const char *name)
{
    for (int i = 0; i < m->n_tensors; i++)
        if (!strcmp(m->tensor[i].name, name))
            return i;
    return -1;
}

slab model_slab(const struct model *m, const struct layout *l, int rank, int tensor)
{
    return layout_slab(l, rank, m->tensor[tensor].dim, m->tensor[tensor].by);
}

int64_t model_bucket_size(const struct model *m, const struct layout *l, int rank, int b)
{
    int64_t n = 0;
    for (int i = 0; i < m->bucket[b].n; i++) {
        slab s = model_slab(m, l, rank, m->order[m->bucket[b].first + i]);
        n += slab_size(&s);
    }
    return n;
}

int64_t model_bucket_part(const struct model *m, const struct layout *l, int rank, int b)
{
    int64_t ranks = layout_group_size(l, m->bucket[b].over);
    int64_t part = (model_bucket_size(m, l, rank, b) + ranks - 1) / ranks;
    return (part + 127) / 128 * 128;
}

int64_t model_tensor_at(const struct model *m, const struct layout *l, int rank, int tensor)
{
    const struct bucket_plan *b = &m->bucket[m->bucket_of[tensor]];
    int64_t at = 0;
    for (int i = 0; m->order[b->first + i] != tensor; i++) {
        slab s = model_slab(m, l, rank, m->order[b->first + i]);
        at += slab_size(&s);
    }
    return at;
}

/* Set the shard of a tensor at elements [at, at+n) of its bucket to what lies in [lo, hi); n = 0 if nothing
 * does.
 */
static struct shard cut_shard(struct shard s, int64_t at, int64_t n, int64_t lo, int64_t hi)
{
    int64_t from = at > lo ? at : lo, to = at + n < hi ? at + n : hi;
    s.part.lo = from - at;
    s.part.n = to > from ? to - from : 0;
    s.at = from - lo;
    return s;
}

int model_shards(const struct model *m, const struct layout *l, int rank, enum kind kind, struct shard *out,
                 int max)
{
    int n = 0;
    bool whole = kind == WEIGHT || kind == GRAD;
    for (int b = 0; b < m->n_buckets; b++) {
        const struct bucket_plan *plan = &m->bucket[b];
        if (kind != WEIGHT && kind != MASTER && !plan->trained)
            continue;
        int64_t part = model_bucket_part(m, l, rank, b);
        int64_t lo = whole ? 0 : part * layout_group_index(l, rank, plan->over);
        int64_t hi = whole ? INT64_MAX : lo + part, at = 0;
        for (int i = 0; i < plan->n; i++) {
            int tensor = m->order[plan->first + i];
            struct shard s = {.tensor = tensor, .kind = kind, .bucket = b};
            s.part.box = model_slab(m, l, rank, tensor);
            int64_t size = slab_size(&s.part.box);
            s = cut_shard(s, at, size, lo, hi);
            at += size;
            if (s.part.n > 0 && n++ < max)
                out[n - 1] = s;
        }
    }
    return n;
}
