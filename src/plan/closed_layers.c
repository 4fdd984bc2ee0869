/* The layers of the closed form, forward and backward, as model/layers/ has them. */
#include "plan/closed_inside.h"

/* c [m, n] of `out` bytes an element, from operands of `a` and `b` bytes. */
void form_gemm(struct form *f, int64_t m, int64_t n, int64_t k, int64_t a, int64_t b, int64_t out)
{
    form_op(f, "gemm", m, n, 2.0 * (double)m * (double)n * (double)k, m * k * a + k * n * b + m * n * out);
}

/* ---- sequence-parallel communication (model/layers/linear.c) ---- */

void form_seq_gather(struct form *f, int64_t n, int64_t size)
{
    if (f->l.tp > 1)
        form_gather(f, G_TP, f->rows * n * size, size, true);
}

void form_seq_partial(struct form *f, int64_t n)
{
    int64_t dead = f->rows * f->l.tp - f->tokens;
    form_op(f, "fill", dead, n, 0, dead * n * WIDE);
}

/* The sum of fp32 parts into [c, n] of `out` bytes an element. */
void form_seq_reduce(struct form *f, int64_t n, int64_t out, bool acc)
{
    int64_t all = f->rows * n;
    if (f->l.tp > 1)
        form_reduce_scatter(f, G_TP, all * WIDE, WIDE, true);
    if (acc)
        form_op(f, "add", f->rows, n, 0, all * (2 * out + WIDE));
    else if (f->l.tp == 1 || out != WIDE)
        form_op(f, "copy", f->rows, n, 0, all * (out + WIDE));
}

void form_norm_fwd(struct form *f)
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
void form_into_norm(struct form *f)
{
    if (f->l.tp > 1)
        form_seq_reduce(f, f->hidden, WIDE, false);
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

void form_attention_fwd(struct form *f)
{
    int64_t n[2], t = f->tokens, h = f->hidden, z = f->z, tall = t * f->q * z, lse = t * f->heads * WIDE;
    form_norm_fwd(f);
    form_seq_gather(f, h, z);
    for (int i = 0, parts = projections(f, n); i < parts; i++) {
        form_gemm(f, t, n[i], h, z, z, z);
        if (f->c->qkv_bias)
            form_op(f, "add_bias", t, n[i], 0, 2 * t * n[i] * z + WIDE * n[i]);
    }
    rotate(f);
    form_op(f, "attn_fwd", t, f->q, 2 * causal(f), 2 * tall + 2 * t * f->kv * z + lse);
    form_op(f, "copy", f->rows, h, 0, 2 * f->rows * h * z);
    if (f->l.tp > 1)
        form_seq_partial(f, h);
    form_gemm(f, t, h, f->q, z, z, f->l.tp > 1 ? WIDE : z);
    if (f->l.tp > 1)
        form_seq_reduce(f, h, z, true);
}

void form_attention_bwd(struct form *f)
{
    int64_t n[2], t = f->tokens, h = f->hidden, z = f->z, tall = t * f->q * z, lse = t * f->heads * WIDE;
    form_seq_gather(f, h, z);
    form_gemm(f, t, f->q, h, z, z, z);
    form_gemm(f, h, f->q, t, z, z, WIDE);
    form_op(f, "attn_bwd", t, f->q, 5 * causal(f), 4 * tall + 4 * t * f->kv * z + lse);
    rotate(f);
    form_norm_fwd(f);
    form_seq_partial(f, h);
    form_seq_gather(f, h, z);
    for (int i = 0, parts = projections(f, n); i < parts; i++) {
        form_gemm(f, n[i], h, t, z, z, WIDE);
        form_gemm(f, t, h, n[i], z, z, WIDE);
        if (f->c->qkv_bias)
            form_op(f, "colsum", t, n[i], 0, t * n[i] * z + WIDE * n[i]);
    }
    form_into_norm(f);
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
    form_gemm(f, n, 2 * w, h, z, z, z);
    form_op(f, "swiglu_fwd", n, w, 0, n * (3 * w * z + x->weighted));
    form_gemm(f, n, h, w, z, z, x->out);
}

static void block_bwd(struct form *f, const struct ffn *x, int64_t n)
{
    int64_t h = f->hidden, w = x->width, z = f->z;
    form_gemm(f, n, w, h, z, z, z);
    form_op(f, "swiglu_bwd", n, 2 * w, 0, n * (6 * w * z + 2 * x->weighted));
    form_gemm(f, h, w, n, z, z, WIDE);
    form_gemm(f, 2 * w, h, n, z, z, WIDE);
    form_gemm(f, n, h, 2 * w, z, z, x->out);
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
    form_seq_gather(f, f->hidden, f->z);
    if (f->l.tp > 1)
        form_seq_partial(f, f->hidden);
    ffn_fwd(f, &x);
    if (f->l.tp > 1)
        form_seq_reduce(f, f->hidden, f->z, true);
}

static void dense_bwd(struct form *f, int64_t width, bool weighted)
{
    struct ffn x = dense(f, width, weighted, false);
    form_seq_partial(f, f->hidden);
    form_seq_gather(f, f->hidden, f->z);
    form_seq_gather(f, f->hidden, f->z);
    ffn_bwd(f, &x);
    if (f->l.tp > 1)
        form_seq_reduce(f, f->hidden, WIDE, false);
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
        form_seq_gather(f, k, WIDE);
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
    form_gemm(f, x, h, f->own, WIDE, f->jitter ? WIDE : f->z, WIDE);
    form_gemm(f, f->own, h, x, WIDE, WIDE, WIDE);
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
        form_seq_gather(f, 1, WIDE);
        form_op(f, "copy", 1, f->tokens, 0, 2 * f->tokens * WIDE);
    }
    dense_fwd(f, shared_width(f), f->c->moe.shared_gate);
}

static void shared_bwd(struct form *f)
{
    bool gated = f->c->moe.shared_gate;
    int64_t h = f->hidden;
    if (gated)
        form_seq_partial(f, 1);
    dense_bwd(f, shared_width(f), gated);
    form_op(f, "add", f->own, h, 0, 3 * f->own * h * WIDE);
    if (!gated)
        return;
    form_seq_reduce(f, 1, WIDE, false);
    form_op(f, "sigmoid_bwd", f->rows, 1, 0, 3 * f->rows * WIDE);
    form_gemm(f, 1, h, f->own, WIDE, f->z, WIDE);
    form_gemm(f, f->own, h, 1, WIDE, WIDE, WIDE);
}

/* ---- layers ---- */

void form_moe_layer(struct form *f)
{
    struct ffn x = experts(f);
    int64_t h = f->hidden, k = f->c->moe.top_k;
    form_norm_fwd(f);
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
    form_norm_fwd(f);
    router_bwd(f);
    if (f->c->moe.shared > 0)
        shared_bwd(f);
    norm_bwd(f, f->own);
}

void form_dense_layer(struct form *f)
{
    form_norm_fwd(f);
    residual(f);
    dense_fwd(f, f->c->ffn, false);
    form_norm_fwd(f);
    dense_bwd(f, f->c->ffn, false);
    norm_bwd(f, f->rows);
}
