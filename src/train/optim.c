#include "train/optim.h"

#include <math.h>

status optim_open(struct optim *o, struct dev *dev, view squares)
{
    *o = (struct optim){.dev = dev, .squares = squares};
    TRY(dev_alloc(dev, "the optimizer's scalars", &o->memory, 2 * (int64_t)sizeof(float), FRESH_ANY));
    o->control = view_of(o->memory, F32, 1, 1, 2);
    optim_go(o);
    return OK;
}

void optim_go(struct optim *o)
{
    static const float go[2] = {1, 1};
    dev_upload(o->dev, o->control, go);
}

void optim_close(struct optim *o)
{
    if (o->memory)
        dev_free(o->dev, o->memory, 2 * (int64_t)sizeof(float));
    *o = (struct optim){0};
}

void optim_squares(struct optim *o, const struct store *s, struct group *world)
{
    for (int b = 0; b < s->model->n_buckets; b++)
        if (s->bucket[b].trained) /* padding is zero and adds nothing */
            dev_sumsq(o->dev, o->squares, store_owned_grad(s, b));
    group_all_reduce(world, COMPUTE, o->squares);
}

static void update_shard(const struct optim *o, struct store *s, struct shard shard, struct adamw hyper)
{
    if (!s->model->tensor[shard.tensor].decay)
        hyper.decay = 0;
    view v[3];
    for (int i = 0; i < 3; i++) {
        shard.kind = (enum kind[]){MASTER, MOMENT1, MOMENT2}[i];
        v[i] = store_shard(s, &shard);
    }
    dev_adamw(s->dev, hyper, v[0], v[1], v[2], store_shard_grad(s, &shard), store_shard_working(s, &shard),
              o->control);
}

void optim_update(struct optim *o, struct store *s, const struct optimizer_section *section, view loss,
                  struct clip most, double rate, int64_t u)
{
    double b1 = section->betas.x[0], b2 = section->betas.x[1];
    struct adamw hyper = {.lr = (float)rate,
                          .beta1 = (float)b1,
                          .beta2 = (float)b2,
                          .eps = (float)section->eps,
                          .decay = (float)section->weight_decay,
                          .bias1 = (float)(1 - pow(b1, (double)u)),
                          .bias2 = (float)(1 - pow(b2, (double)u))};
    dev_clip(o->dev, o->control, o->squares, loss, most);
    for (int i = 0; i < s->n_owned; i++)
        if (s->model->tensor[s->owned[i].tensor].trained)
            update_shard(o, s, s->owned[i], hyper);
}
