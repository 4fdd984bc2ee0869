#include "plan/closed.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "plan/closed_inside.h"

static int64_t key_of(double flops, int64_t m, int64_t n)
{
    double results = (double)m * (double)n;
    return results > 0 ? (int64_t)(flops / (2 * results)) : 0;
}

void form_op(struct form *f, const char *name, int64_t m, int64_t n, double flops, int64_t bytes)
{
    struct closed *o = f->out;
    int64_t k = key_of(flops, m, n);
    int i = 0;
    while (i < o->rows &&
           (strcmp(o->row[i].op, name) != 0 || o->row[i].m != m || o->row[i].n != n || o->row[i].k != k))
        i++;
    if (i == o->room) {
        o->room = o->room > 0 ? 2 * o->room : 64;
        o->row = mem_grow(o->row, o->room, sizeof *o->row);
    }
    if (i == o->rows)
        o->row[o->rows++] = (struct dev_profile_row){.op = name, .m = m, .n = n, .k = k};
    o->row[i].calls += f->calls;
    o->row[i].flops += flops * (double)f->calls;
    o->row[i].bytes += (double)(bytes * f->calls);
}

static void embedding(struct form *f)
{
    int64_t v = block(f->c->vocab, f->l.tp, f->at.t).n, h = f->hidden, out = f->l.tp > 1 ? WIDE : f->z;
    if (f->l.tp > 1)
        form_seq_partial(f, h);
    form_op(f, "embed_fwd", f->tokens, h, 0, 2 * f->tokens * h * out + WIDE * f->tokens);
    if (f->l.tp > 1)
        form_seq_reduce(f, h, f->z, false);
    form_seq_gather(f, h, f->z);
    form_op(f, "embed_bwd", v, h, 0, WIDE * f->tokens + f->tokens * h * f->z + v * h * WIDE);
}

static void head_chunk(struct form *f, int64_t r, int64_t v)
{
    int64_t h = f->hidden, z = f->z, tp = f->l.tp;
    form_gemm(f, r, v, h, z, z, z);
    form_op(f, "ce_stats", 3, r, 0, r * v * z + 4 * r * WIDE);
    if (tp > 1)
        form_gather(f, G_TP, 3 * r * WIDE, WIDE, true);
    form_op(f, "ce_merge", 1, r, 0, (3 * tp + 3) * r * WIDE);
    if (f->at.t == 0)
        form_op(f, "sum", 1, r, 0, r * WIDE + (int64_t)sizeof(double));
    form_op(f, "ce_grad", r, v, 0, 2 * r * v * z + 2 * r * WIDE);
    form_gemm(f, r, h, v, z, z, WIDE);
    form_gemm(f, v, h, r, z, z, WIDE);
}

static void head(struct form *f)
{
    int64_t v = block(f->c->vocab, f->l.tp, f->at.t).n, widest = (f->c->vocab + f->l.tp - 1) / f->l.tp;
    int64_t most = dev_head_rows(f->dev, widest, f->z == WIDE ? F32 : BF16),
            chunks = (f->tokens + most - 1) / most;
    int64_t step = (f->tokens + chunks - 1) / chunks;
    form_norm_fwd(f);
    form_seq_gather(f, f->hidden, f->z);
    form_seq_partial(f, f->hidden);
    for (int64_t from = 0; from < f->tokens; from += step)
        head_chunk(f, f->tokens - from < step ? f->tokens - from : step, v);
    form_into_norm(f);
}

/* ---- after the rounds ---- */

static void update(struct form *f, const struct model *m, int rank)
{
    struct shard *shard = mem_new(m->n_tensors, sizeof *shard);
    int n = model_shards(m, &f->l, rank, MASTER, shard, m->n_tensors);
    int64_t x = f->c->moe.experts, copy = f->z == WIDE ? 0 : f->z;
    for (int i = 0; i < n; i++) {
        const struct tensor *t = &m->tensor[shard[i].tensor];
        int64_t e = shard[i].part.n;
        bool bias = shard[i].tensor == m->layer[t->layer].tensor[T_ROUTER_BIAS];
        if (t->trained)
            form_op(f, "adamw", 1, e, 0, e * (7 * WIDE + (t->type == F32 ? 0 : copy)));
        else
            form_op(f, bias ? "balance_bias" : "balance_load", 1, e, 0,
                    (bias ? 2 : 1) * e * WIDE + x * (int64_t)sizeof(double));
    }
    form_op(f, "clip", 1, 2, 0, 24);
    free(shard);
}

static void sums_and_weights(struct form *f, const struct model *m, int rank)
{
    for (int b = 0; b < m->n_buckets; b++) {
        const struct bucket_plan *k = &m->bucket[b];
        int64_t part = model_bucket_part(m, &f->l, rank, b);
        if (k->trained && layout_group_size(&f->l, k->over) > 1)
            form_reduce_scatter(f, k->over, part * WIDE, WIDE, true);
        if (k->trained)
            form_op(f, "sumsq", 1, part, 0, part * WIDE + (int64_t)sizeof(double));
        form_gather(f, k->over, part * dtype_size(k->type), dtype_size(k->type), false);
    }
}

static void finish_step(struct form *f, int rank)
{
    enum { SUMS = 5 }; /* of the report: loss, three of routers, dropped */
    struct model m;
    model_open_stored(&m, f->c, &f->l, f->z == WIDE ? F32 : BF16);
    sums_and_weights(f, &m, rank);
    update(f, &m, rank);
    form_all_reduce(f, G_WORLD, SUMS, sizeof(double));
    form_all_reduce(f, G_WORLD, config_moe_layers(f->c) * f->c->moe.experts, sizeof(double));
    form_all_reduce(f, G_WORLD, 1, sizeof(double));
    model_close(&m);
}

static struct form form_of(struct closed *out, const struct dev *dev, const struct deck *d,
                           const struct config *c, const struct layout *l, int rank)
{
    struct form f = {.out = out, .dev = dev, .c = c, .l = *l, .at = layout_coords(l, rank)};
    int64_t ep = l->ep, k = c->moe.top_k;
    f.z = dtype_size(d->device.precision);
    f.sequence = d->data.sequence;
    f.tokens = d->batch.micro * f.sequence;
    f.rows = (f.tokens + l->tp - 1) / l->tp;
    f.own = layout_tokens(l, f.tokens, f.at.t).n;
    f.hidden = c->hidden;
    f.heads = c->heads / l->tp;
    f.q = f.heads * c->head_dim;
    f.kv = c->kv_heads / l->kv * c->head_dim;
    f.capacity = c->moe.capacity_ppm > 0;
    f.jitter = c->moe.jitter > 0;
    f.domains = c->moe.aux_domain == AUX_SEQUENCE ? d->batch.micro : 1;
    f.here = c->moe.experts / ep;
    f.kept = f.received = f.own * k;
    f.routed = f.received * l->etp;
    f.self = block(f.kept, ep, f.at.p).n;
    return f;
}

void plan_closed(struct closed *out, const struct dev *dev, const struct deck *d, const struct config *c,
                 const struct layout *l, int rank)
{
    *out = (struct closed){0};
    struct form f = form_of(out, dev, d, c, l, rank);
    int64_t rounds = layout_rounds(l, d->batch.sequences / d->batch.micro), moe = config_moe_layers(c);
    for (int g = 0; g < GROUPS; g++)
        out->group[g].size = layout_group_size(l, (enum group_id)g);
    f.calls = rounds;
    embedding(&f);
    head(&f);
    f.calls = rounds * c->layers;
    form_attention_fwd(&f);
    form_attention_bwd(&f);
    f.calls = rounds * moe;
    if (moe > 0)
        form_moe_layer(&f);
    f.calls = rounds * (c->layers - moe);
    if (c->layers > moe)
        form_dense_layer(&f);
    f.calls = 1;
    finish_step(&f, rank);
}

void closed_free(struct closed *c)
{
    free(c->row);
    *c = (struct closed){0};
}
