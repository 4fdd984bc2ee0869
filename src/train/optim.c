#include "train/optim.h"

#include <math.h>

double optim_norm(const struct store *s, struct comm *comm)
{
    double sum = 0;
    for (int b = 0; b < s->model->n_buckets; b++)
        if (s->bucket[b].trained) /* padding is zero */
            sum += dev_sumsq(s->dev, view_of(store_owned_grad(s, b), F32, 1, 1, s->bucket[b].part));
    comm_sum_f64(comm, &sum, 1);
    return sqrt(sum);
}

static void update_shard(struct store *s, struct shard shard, struct adamw hyper, float scale)
{
    if (!s->model->tensor[shard.tensor].decay)
        hyper.decay = 0;
    view v[3];
    for (int i = 0; i < 3; i++) {
        shard.kind = (enum kind[]){MASTER, MOMENT1, MOMENT2}[i];
        v[i] = view_of(store_at(s, &shard), F32, 1, 1, shard.part.n);
    }
    view g = view_of(store_owned_grad(s, shard.bucket) + shard.at, F32, 1, 1, shard.part.n);
    dev_adamw(s->dev, hyper, v[0], v[1], v[2], g, scale);
}

void optim_update(struct store *s, const struct optimizer_section *o, double rate, int64_t u, double scale)
{
    double b1 = o->betas.x[0], b2 = o->betas.x[1];
    struct adamw hyper = {.lr = (float)rate,
                          .beta1 = (float)b1,
                          .beta2 = (float)b2,
                          .eps = (float)o->eps,
                          .decay = (float)o->weight_decay,
                          .bias1 = (float)(1 - pow(b1, (double)u)),
                          .bias2 = (float)(1 - pow(b2, (double)u))};
    for (int i = 0; i < s->n_owned; i++)
        if (s->model->tensor[s->owned[i].tensor].trained)
            update_shard(s, s->owned[i], hyper, (float)scale);
}
