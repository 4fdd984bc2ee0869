#include "plan/closed.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "plan/closed_inside.h"

enum { WIDE = sizeof(float) }; /* bytes of what is always fp32 */

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

/* c [m, n] of `out` bytes an element, from operands of `a` and `b` bytes. */
static void gemm(struct form *f, int64_t m, int64_t n, int64_t k, int64_t a, int64_t b, int64_t out)
{
    form_op(f, "gemm", m, n, 2.0 * (double)m * (double)n * (double)k, m * k * a + k * n * b + m * n * out);
}

/* ---- sequence-parallel communication (model/layers/linear.c) ---- */

static void seq_gather(struct form *f, int64_t n, int64_t size)
{
    if (f->l.tp > 1)
        form_gather(f, G_TP, f->rows * n * size, size, true);
}

static void seq_partial(struct form *f, int64_t n)
{
    int64_t dead = f->rows * f->l.tp - f->tokens;
    form_op(f, "fill", dead, n, 0, dead * n * WIDE);
}

/* The sum of fp32 parts into [c, n] of `out` bytes an element. */
static void seq_reduce(struct form *f, int64_t n, int64_t out, bool acc)
{
    int64_t all = f->rows * n;
    if (f->l.tp > 1)
        form_reduce_scatter(f, G_TP, all * WIDE, WIDE, true);
    if (acc)
        form_op(f, "add", f->rows, n, 0, all * (2 * out + WIDE));
    else if (f->l.tp == 1 || out != WIDE)
        form_op(f, "copy", f->rows, n, 0, all * (out + WIDE));
}

static void norm_fwd(struct form *f)
{
    form_op(f, "rmsnorm_fwd", f->rows, f->hidden, 0,
            (2 * f->rows * f->z + WIDE) * f->hidden + WIDE * f->rows);
}

static void norm_bwd(struct form *f, int64_t rows)
{
    int64_t h = f->hidden;
    form_op(f, "rmsnorm_bwd", rows, h, 0, rows * h * (WIDE + 2 * f->z) + WIDE * rows + 2 * WIDE * h);
}

/* Parts of d_h over TP, and the norm behind them. */
static void into_norm(struct form *f)
{
    if (f->l.tp > 1)
        seq_reduce(f, f->hidden, WIDE, false);
    norm_bwd(f, f->rows);
}

/* ---- attention ---- */

static void rotate(struct form *f)
{
    int64_t table = f->sequence * f->c->head_dim * WIDE;
    form_op(f, "rope", f->tokens, f->q, 0, 2 * f->tokens * f->q * f->z + table);
    form_op(f, "rope", f->tokens, f->kv, 0, 2 * f->tokens * f->kv * f->z + table);
}

/* The widths of the fused projection's GEMMs; returns how many there are. */
static int projections(const struct form *f, int64_t width[2])
{
    width[0] = f->q;
    width[1] = 2 * f->kv;
    if (f->l.kv != f->l.tp)
        return 2;
    width[0] += width[1];
    return 1;
}

static double causal(const struct form *f)
{
    return (double)f->tokens * (double)f->q * (double)(f->sequence + 1);
}

static void attention_fwd(struct form *f)
{
    int64_t n[2], t = f->tokens, h = f->hidden, z = f->z, tall = t * f->q * z, lse = t * f->heads * WIDE;
    norm_fwd(f);
    seq_gather(f, h, z);
    for (int i = 0, parts = projections(f, n); i < parts; i++) {
        gemm(f, t, n[i], h, z, z, z);
        if (f->c->qkv_bias)
            form_op(f, "add_bias", t, n[i], 0, 2 * t * n[i] * z + WIDE * n[i]);
    }
    rotate(f);
    form_op(f, "attn_fwd", t, f->q, 2 * causal(f), 2 * tall + 2 * t * f->kv * z + lse);
    form_op(f, "copy", f->rows, h, 0, 2 * f->rows * h * z);
    if (f->l.tp > 1)
        seq_partial(f, h);
    gemm(f, t, h, f->q, z, z, f->l.tp > 1 ? WIDE : z);
    if (f->l.tp > 1)
        seq_reduce(f, h, z, true);
}

static void attention_bwd(struct form *f)
{
    int64_t n[2], t = f->tokens, h = f->hidden, z = f->z, tall = t * f->q * z, lse = t * f->heads * WIDE;
    seq_gather(f, h, z);
    gemm(f, t, f->q, h, z, z, z);
    gemm(f, h, f->q, t, z, z, WIDE);
    form_op(f, "attn_bwd", t, f->q, 5 * causal(f), 4 * tall + 4 * t * f->kv * z + lse);
    rotate(f);
    norm_fwd(f);
    seq_partial(f, h);
    seq_gather(f, h, z);
    for (int i = 0, parts = projections(f, n); i < parts; i++) {
        gemm(f, n[i], h, t, z, z, WIDE);
        gemm(f, t, h, n[i], z, z, WIDE);
        if (f->c->qkv_bias)
            form_op(f, "colsum", t, n[i], 0, t * n[i] * z + WIDE * n[i]);
    }
    into_norm(f);
}

/* ---- FFNs of experts: E of them, or one that is dense ---- */

struct ffn {
    int64_t experts, rows, width;
    int64_t weighted; /* bytes of a row's weight, 0: none */
    int64_t out;      /* bytes of an element of y and dx */
};

/* Calls of a block of n rows. */
static void block_fwd(struct form *f, const struct ffn *x, int64_t n)
{
    int64_t h = f->hidden, w = x->width, z = f->z;
    gemm(f, n, 2 * w, h, z, z, z);
    form_op(f, "swiglu_fwd", n, w, 0, n * (3 * w * z + x->weighted));
    gemm(f, n, h, w, z, z, x->out);
}

static void block_bwd(struct form *f, const struct ffn *x, int64_t n)
{
    int64_t h = f->hidden, w = x->width, z = f->z;
    gemm(f, n, w, h, z, z, z);
    form_op(f, "swiglu_bwd", n, 2 * w, 0, n * (6 * w * z + 2 * x->weighted));
    gemm(f, h, w, n, z, z, WIDE);
    gemm(f, 2 * w, h, n, z, z, WIDE);
    gemm(f, n, h, 2 * w, z, z, x->out);
}

/* Blocks of each expert's rows; backward has one even without rows. */
static void each_block(struct form *f, const struct ffn *x, bool backward)
{
    int64_t most = dev_expert_rows(f->dev);
    for (int64_t e = 0; e < x->experts; e++) {
        int64_t left = x->rows * (e + 1) / x->experts - x->rows * e / x->experts;
        bool once = backward;
        for (; left > 0 || once; once = false) {
            int64_t n = left < most ? left : most;
            (backward ? block_bwd : block_fwd)(f, x, n);
            left -= n;
        }
    }
}

static double ffn_flops(const struct form *f, const struct ffn *x, int products)
{
    return 2.0 * products * (double)x->rows * (double)f->hidden * (double)x->width;
}

static int64_t ffn_weights(const struct form *f, const struct ffn *x, int64_t size)
{
    return 3 * x->experts * f->hidden * x->width * size;
}

static void ffn_fwd(struct form *f, const struct ffn *x)
{
    int64_t wide = f->hidden * f->z;
    if (dev_expert_rows(f->dev) > 0)
        each_block(f, x, false);
    else
        form_op(f, "expert_ffn_fwd", x->rows, f->hidden, ffn_flops(f, x, 3),
                x->rows * (wide + f->hidden * x->out + 2 * x->width * f->z) + ffn_weights(f, x, f->z));
}

static void ffn_bwd(struct form *f, const struct ffn *x)
{
    int64_t wide = f->hidden * f->z;
    if (dev_expert_rows(f->dev) > 0)
        each_block(f, x, true);
    else
        form_op(f, "expert_ffn_bwd", x->rows, f->hidden, ffn_flops(f, x, 6),
                x->rows * (2 * wide + f->hidden * x->out + 2 * x->width * f->z + x->weighted) +
                    ffn_weights(f, x, f->z + WIDE));
}

/* A dense or shared FFN of all tokens, cut over TP. */
static struct ffn dense(const struct form *f, int64_t width, bool weighted, bool forward)
{
    bool parts = f->l.tp > 1 || !forward;
    return (struct ffn){1, f->tokens, block(width, f->l.tp, f->at.t).n, weighted ? WIDE : 0,
                        parts ? WIDE : f->z};
}

static void dense_fwd(struct form *f, int64_t width, bool weighted)
{
    struct ffn x = dense(f, width, weighted, true);
    seq_gather(f, f->hidden, f->z);
    if (f->l.tp > 1)
        seq_partial(f, f->hidden);
    ffn_fwd(f, &x);
    if (f->l.tp > 1)
        seq_reduce(f, f->hidden, f->z, true);
}

static void dense_bwd(struct form *f, int64_t width, bool weighted)
{
    struct ffn x = dense(f, width, weighted, false);
    seq_partial(f, f->hidden);
    seq_gather(f, f->hidden, f->z);
    seq_gather(f, f->hidden, f->z);
    ffn_bwd(f, &x);
    if (f->l.tp > 1)
        seq_reduce(f, f->hidden, WIDE, false);
}

static void residual(struct form *f)
{
    form_op(f, "copy", f->rows, f->hidden, 0, 2 * f->rows * f->hidden * f->z);
}

/* ---- router ---- */

/* Live rows of this rank in domain i of the auxiliary loss. */
static int64_t domain_rows(const struct form *f, int64_t i)
{
    int64_t size = f->tokens / f->domains, lo = i * size - f->rows * f->at.t, end = lo + size;
    lo = lo < 0 ? 0 : lo > f->own ? f->own : lo;
    end = end < lo ? lo : end > f->own ? f->own : end;
    return end - lo;
}

static void jitter(struct form *f, int64_t from)
{
    if (f->jitter)
        form_op(f, "jitter", f->own, f->hidden, 0, f->own * f->hidden * (from + WIDE));
}

static void capacity(struct form *f)
{
    int64_t k = f->c->moe.top_k, dead = f->rows - f->own;
    for (int i = 0; i < 2; i++) {
        form_op(f, "copy", f->own, k, 0, 2 * f->own * k * WIDE);
        form_op(f, "fill", dead, k, 0, dead * k * WIDE);
        seq_gather(f, k, WIDE);
    }
    form_op(f, "capacity", f->own, k, 0, (2 * f->tokens + f->own) * k * WIDE);
}

static void router_fwd(struct form *f)
{
    const struct moe *m = &f->c->moe;
    int64_t x = m->experts, h = f->hidden, in = f->jitter ? WIDE : f->z,
            bias = m->bias_rate > 0 ? x * WIDE : 0;
    jitter(f, f->z);
    form_op(f, "router_logits", f->own, x, 2.0 * (double)f->own * (double)h * (double)x,
            f->own * h * in + (h + f->own) * x * WIDE);
    for (int64_t i = 0; i < f->domains; i++) {
        int64_t r = domain_rows(f, i);
        form_op(f, "router_choose", r, m->top_k, 0, (r * (x + 2 * m->top_k) + 2 * x + 2) * WIDE + bias);
    }
    form_all_reduce(f, G_MB, f->domains * x, WIDE);
    form_all_reduce(f, G_MB, f->domains * (x + 2), WIDE);
    form_op(f, "router_losses", f->domains, x, 0,
            f->domains * (3 * x + 2) * WIDE + (m->aux_domain == AUX_GLOBAL ? x * WIDE : 0));
    if (f->capacity)
        capacity(f);
}

static void router_bwd(struct form *f)
{
    const struct moe *m = &f->c->moe;
    int64_t x = m->experts, h = f->hidden;
    jitter(f, f->z);
    for (int64_t i = 0; i < f->domains; i++) {
        int64_t r = domain_rows(f, i);
        form_op(f, "router_bwd", r, x, 0, (r * (2 * x + 3 * m->top_k) + x) * WIDE);
    }
    gemm(f, x, h, f->own, WIDE, f->jitter ? WIDE : f->z, WIDE);
    gemm(f, f->own, h, x, WIDE, WIDE, WIDE);
    jitter(f, WIDE);
}

/* ---- rows to experts and back ---- */

static bool moves(const struct form *f)
{
    return f->l.ep * f->l.etp > 1;
}

static void gather_rows(struct form *f, int64_t rows, int64_t n, int64_t size)
{
    form_op(f, "gather_rows", rows, n, 0, rows * (2 * n * size + WIDE));
}

static void exchange_plan(struct form *f)
{
    int64_t ep = f->l.ep, etp = f->l.etp, k = f->c->moe.top_k;
    form_op(f, "route_plan", ep, f->here, 0, (3 * f->own * k + ep * f->here) * WIDE);
    form_exchange(f, G_EP, f->here, (ep - 1) * f->here, WIDE);
    form_gather(f, G_ETP, ep * f->here * WIDE, WIDE, true);
    if (moves(f))
        form_op(f, "expert_order", 1, f->routed, 0, (ep * etp * f->here + 2 * f->routed) * WIDE);
}

static void exchange_send(struct form *f, int64_t n, int64_t size)
{
    gather_rows(f, f->kept, n, size);
    if (!moves(f))
        return;
    form_exchange(f, G_EP, f->self * n, (f->kept - f->self) * n, size);
    if (f->l.etp > 1)
        form_gather(f, G_ETP, f->received * n * size, size, true);
    gather_rows(f, f->routed, n, size);
}

static void exchange_return(struct form *f, int64_t n, int64_t size)
{
    if (!moves(f))
        return;
    gather_rows(f, f->routed, n, size);
    if (f->l.etp > 1)
        form_reduce_scatter(f, G_ETP, f->received * n * size, size, false);
    form_exchange(f, G_EP, f->self * n, (f->received - f->self) * n, size);
}

static void combine(struct form *f, int64_t in, int64_t out)
{
    int64_t h = f->hidden;
    form_op(f, "combine", f->own, h, 0,
            f->kept * h * in + f->own * f->c->moe.top_k * WIDE + f->own * h * out);
}

static struct ffn experts(const struct form *f)
{
    int64_t width = block(config_expert_ffn(f->c), f->l.etp, f->at.q).n;
    return (struct ffn){f->here, f->routed, width, WIDE, f->l.etp > 1 ? WIDE : f->z};
}

/* ---- shared experts ---- */

static int64_t shared_width(const struct form *f)
{
    return f->c->moe.shared * config_expert_ffn(f->c);
}

static void shared_fwd(struct form *f)
{
    int64_t c = f->rows, h = f->hidden;
    if (f->c->moe.shared_gate) {
        form_op(f, "router_logits", c, 1, 2.0 * (double)c * (double)h, c * h * f->z + (h + c) * WIDE);
        form_op(f, "sigmoid_fwd", c, 1, 0, 2 * c * WIDE);
        seq_gather(f, 1, WIDE);
        form_op(f, "copy", 1, f->tokens, 0, 2 * f->tokens * WIDE);
    }
    dense_fwd(f, shared_width(f), f->c->moe.shared_gate);
}

static void shared_bwd(struct form *f)
{
    bool gated = f->c->moe.shared_gate;
    int64_t h = f->hidden;
    if (gated)
        seq_partial(f, 1);
    dense_bwd(f, shared_width(f), gated);
    form_op(f, "add", f->own, h, 0, 3 * f->own * h * WIDE);
    if (!gated)
        return;
    seq_reduce(f, 1, WIDE, false);
    form_op(f, "sigmoid_bwd", f->rows, 1, 0, 3 * f->rows * WIDE);
    gemm(f, 1, h, f->own, WIDE, f->z, WIDE);
    gemm(f, f->own, h, 1, WIDE, WIDE, WIDE);
}

/* ---- layers ---- */

static void moe_layer(struct form *f)
{
    struct ffn x = experts(f);
    int64_t h = f->hidden, k = f->c->moe.top_k;
    norm_fwd(f);
    router_fwd(f);
    exchange_plan(f);
    exchange_send(f, h, f->z);
    exchange_send(f, 1, WIDE);
    ffn_fwd(f, &x);
    exchange_return(f, h, x.out);
    residual(f);
    combine(f, x.out, f->z);
    if (f->c->moe.shared > 0)
        shared_fwd(f);

    exchange_send(f, h, f->z);
    ffn_bwd(f, &x);
    exchange_return(f, h, x.out);
    combine(f, x.out, WIDE);
    exchange_return(f, 1, WIDE);
    gather_rows(f, f->own * k, 1, WIDE);
    norm_fwd(f);
    router_bwd(f);
    if (f->c->moe.shared > 0)
        shared_bwd(f);
    norm_bwd(f, f->own);
}

static void dense_layer(struct form *f)
{
    norm_fwd(f);
    residual(f);
    dense_fwd(f, f->c->ffn, false);
    norm_fwd(f);
    dense_bwd(f, f->c->ffn, false);
    norm_bwd(f, f->rows);
}

static void embedding(struct form *f)
{
    int64_t v = block(f->c->vocab, f->l.tp, f->at.t).n, h = f->hidden, out = f->l.tp > 1 ? WIDE : f->z;
    if (f->l.tp > 1)
        seq_partial(f, h);
    form_op(f, "embed_fwd", f->tokens, h, 0, 2 * f->tokens * h * out + WIDE * f->tokens);
    if (f->l.tp > 1)
        seq_reduce(f, h, f->z, false);
    seq_gather(f, h, f->z);
    form_op(f, "embed_bwd", v, h, 0, WIDE * f->tokens + f->tokens * h * f->z + v * h * WIDE);
}

static void head_chunk(struct form *f, int64_t r, int64_t v)
{
    int64_t h = f->hidden, z = f->z, tp = f->l.tp;
    gemm(f, r, v, h, z, z, z);
    form_op(f, "ce_stats", 3, r, 0, r * v * z + 4 * r * WIDE);
    if (tp > 1)
        form_gather(f, G_TP, 3 * r * WIDE, WIDE, true);
    form_op(f, "ce_merge", 1, r, 0, (3 * tp + 3) * r * WIDE);
    if (f->at.t == 0)
        form_op(f, "sum", 1, r, 0, r * WIDE + (int64_t)sizeof(double));
    form_op(f, "ce_grad", r, v, 0, 2 * r * v * z + 2 * r * WIDE);
    gemm(f, r, h, v, z, z, WIDE);
    gemm(f, v, h, r, z, z, WIDE);
}

static void head(struct form *f)
{
    int64_t v = block(f->c->vocab, f->l.tp, f->at.t).n, widest = (f->c->vocab + f->l.tp - 1) / f->l.tp;
    int64_t most = dev_head_rows(f->dev, widest, f->z == WIDE ? F32 : BF16),
            chunks = (f->tokens + most - 1) / most;
    int64_t step = (f->tokens + chunks - 1) / chunks;
    norm_fwd(f);
    seq_gather(f, f->hidden, f->z);
    seq_partial(f, f->hidden);
    for (int64_t from = 0; from < f->tokens; from += step)
        head_chunk(f, f->tokens - from < step ? f->tokens - from : step, v);
    into_norm(f);
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
    attention_fwd(&f);
    attention_bwd(&f);
    f.calls = rounds * moe;
    if (moe > 0)
        moe_layer(&f);
    f.calls = rounds * (c->layers - moe);
    if (c->layers > moe)
        dense_layer(&f);
    f.calls = 1;
    finish_step(&f, rank);
}

void closed_free(struct closed *c)
{
    free(c->row);
    *c = (struct closed){0};
}
