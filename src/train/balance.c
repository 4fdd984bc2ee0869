#include "train/balance.h"

static void update_shard(struct store *s, const struct shard *shard, bool bias, view counts, view control)
{
    int64_t first = shard->part.box.lo[2] + shard->part.lo; /* a piece of a vector is a range of experts */
    view mine = store_shard(s, shard);                      /* [part.n] */
    if (bias)
        dev_balance_bias(s->dev, mine, counts, first, (float)s->model->config.moe.bias_rate, control);
    else
        dev_balance_load(s->dev, mine, counts, first, control);
}

/* The number of MoE layers before this layer of the table. */
static int64_t moe_index(const struct model *m, int layer)
{
    int64_t n = 0;
    for (int l = 0; l < layer; l++)
        n += m->layer[l].type == MOE_BLOCK;
    return n;
}

void balance_update(struct store *s, view counts, view control)
{
    const struct model *m = s->model;
    int64_t x = m->config.moe.experts;
    for (int i = 0; i < s->n_owned; i++) {
        const struct shard *shard = &s->owned[i];
        int layer = m->tensor[shard->tensor].layer;
        if (!m->tensor[shard->tensor].trained)
            update_shard(s, shard, shard->tensor == m->layer[layer].tensor[T_ROUTER_BIAS],
                         view_cols(counts, moe_index(m, layer) * x, x), control);
    }
}
