#include "train/balance.h"

static double mean_of(const double *n, int64_t experts)
{
    double sum = 0;
    for (int64_t e = 0; e < experts; e++)
        sum += n[e]; /* integers: exact */
    return sum / (double)experts;
}

/* The new value of one expert: `value` was the old one, n its count. */
static float next_value(enum slot slot, float value, double n, double mean, double rate)
{
    if (slot == T_ROUTER_LOAD)
        return mean > 0 ? (float)(n / mean) : 1;
    return n < mean ? value + (float)rate : n > mean ? value - (float)rate : value;
}

static void update_shard(struct store *s, const struct shard *shard, enum slot slot, const double *counts)
{
    const struct moe *m = &s->model->config.moe;
    int64_t first = shard->part.box.lo[2] + shard->part.lo; /* a vector, so a piece of it is a range */
    view mine = view_of(store_at(s, shard), F32, 1, 1, shard->part.n);
    double mean = mean_of(counts, m->experts);
    float value[MAX_EXPERTS];
    dev_download(s->dev, value, mine);
    for (int64_t i = 0; i < shard->part.n; i++)
        value[i] = next_value(slot, value[i], counts[first + i], mean, m->bias_rate);
    dev_upload(s->dev, mine, value);
}

/* Which of the MoE layers, counted from 0, a layer of the table is. */
static int64_t moe_index(const struct model *m, int layer)
{
    int64_t n = 0;
    for (int l = 0; l < layer; l++)
        n += m->layer[l].type == MOE_BLOCK;
    return n;
}

void balance_update(struct store *s, const double *counts)
{
    const struct model *m = s->model;
    for (int i = 0; i < s->n_owned; i++) {
        const struct shard *shard = &s->owned[i];
        int layer = m->tensor[shard->tensor].layer;
        bool bias = shard->tensor == m->layer[layer].tensor[T_ROUTER_BIAS];
        if (!m->tensor[shard->tensor].trained)
            update_shard(s, shard, bias ? T_ROUTER_BIAS : T_ROUTER_LOAD,
                         counts + moe_index(m, layer) * m->config.moe.experts);
    }
}
