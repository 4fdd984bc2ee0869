/* Grouped-query attention. Q, K and V are cut by columns over TP, the output projection by rows. A rank
 * computes its own heads for all N tokens. In the shapes below heads and kv are those of this rank, hd is the
 * width of a head, and W = (heads + 2 kv) hd. */
#include "model/layers/layers.h"

static struct attn_shape shape_of(const struct net *net)
{
    const struct config *c = net->config;
    return (struct attn_shape){.seq = net->shape.sequence,
                               .heads = c->heads / net->layout.tp,
                               .kv_heads = c->kv_heads / net->layout.kv,
                               .head_dim = c->head_dim};
}

/* The same for the sequences of a pass, and the keys that a layer's rows see. */
static struct attn_shape shape_of_pass(const struct net *net, const struct pass *p, int layer)
{
    struct attn_shape a = shape_of(net);
    a.seq = p->sequence;
    a.first = p->first[config_window(net->config, layer - 1) > 0];
    return a;
}

/* The columns of the fused buffer [N, W]: queries, keys and values of this rank's heads. */
struct columns {
    view q, k, v; /* [N, heads hd], [N, kv hd], [N, kv hd] */
};

static struct columns columns_of(const struct net *net, view qkv)
{
    struct attn_shape s = shape_of(net);
    int64_t nq = s.heads * s.head_dim, nk = s.kv_heads * s.head_dim;
    return (struct columns){view_cols(qkv, 0, nq), view_cols(qkv, nq, nk), view_cols(qkv, nq + nk, nk)};
}

/* The projection as GEMMs over tensors that lie side by side in a bucket. One GEMM does all three where K and
 * V are cut as Q is; else there is one for Q and one for K and V. Each gives columns [at, at+n) of the fused
 * buffer. */
struct fused {
    int n;
    struct {
        view w; /* [n, H], or the bias [n] */
        int64_t at, n;
    } part[2];
};

static struct fused fused_views(const struct net *net, int layer, enum kind kind, enum slot q, enum slot k)
{
    const int *tensor = net->model->layer[layer].tensor;
    struct attn_shape s = shape_of(net);
    int64_t nq = s.heads * s.head_dim, nk = 2 * s.kv_heads * s.head_dim;
    view wq = store_view(net->store, tensor[q], kind); /* [heads hd, H], or the bias [heads hd] */
    view wk = store_view(net->store, tensor[k], kind); /* [kv hd, H], or the bias [kv hd] */
    bool bias = q == T_Q_BIAS;
    int64_t h = net->config->hidden;
#define ADJACENT(v, rows) \
    (bias ? view_of((v).data, F32, 1, 1, rows) : view_of((v).data, (v).type, 1, rows, h))
    if (net->layout.kv == net->layout.tp)
        return (struct fused){1, {{ADJACENT(wq, nq + nk), 0, nq + nk}}};
    return (struct fused){2, {{ADJACENT(wq, nq), 0, nq}, {ADJACENT(wk, nk), nq, nk}}};
#undef ADJACENT
}

static void rotate(struct net *net, const struct pass *p, int layer, struct columns c, float sign)
{
    struct attn_shape s = shape_of(net);
    int64_t rows = view_is_none(p->positions) ? p->sequence : net->cos_sin.n[1];
    view keys = view_rows(view_at(net->cos_sin, 0), 0, rows);                        /* [S, hd] */
    view queries = view_rows(view_at(net->cos_sin, net->cos_sin.n[0] - 1), 0, rows); /* [S, hd] */
    if (net->config->bare[layer - 1])
        return;
    dev_rope(net->dev, c.q, s.heads, p->positions, queries, sign);
    dev_rope(net->dev, c.k, s.kv_heads, p->positions, keys, sign);
}

static void project_fwd(struct net *net, int layer, view qkv, view h)
{
    struct fused w = fused_views(net, layer, WEIGHT, T_Q, T_K);
    for (int i = 0; i < w.n; i++)
        dev_gemm(net->dev, false, true, h, w.part[i].w, false, view_cols(qkv, w.part[i].at, w.part[i].n));
    if (!net->config->qkv_bias)
        return;
    struct fused b = fused_views(net, layer, WEIGHT, T_Q_BIAS, T_K_BIAS);
    for (int i = 0; i < b.n; i++)
        dev_add_bias(net->dev, view_cols(qkv, b.part[i].at, b.part[i].n), b.part[i].w);
}

/* d_h [N, H] receives this rank's part of the sum over TP. d_qkv [N, W], h [N, H]. */
static void project_bwd(struct net *net, const struct pass *p, int layer, view d_h, view d_qkv, view h)
{
    struct fused w = fused_views(net, layer, WEIGHT, T_Q, T_K), g = fused_views(net, layer, GRAD, T_Q, T_K);
    for (int i = 0; i < w.n; i++) {
        view d = view_cols(d_qkv, w.part[i].at, w.part[i].n); /* [N, n] */
        dev_gemm(net->dev, true, false, d, h, p->acc, g.part[i].w);
        dev_gemm(net->dev, false, false, d, w.part[i].w, i > 0, d_h);
    }
    if (!net->config->qkv_bias)
        return;
    struct fused b = fused_views(net, layer, GRAD, T_Q_BIAS, T_K_BIAS);
    for (int i = 0; i < b.n; i++)
        dev_colsum(net->dev, view_cols(d_qkv, b.part[i].at, b.part[i].n), p->acc, b.part[i].w);
}

/* ---- norms of the heads of Q and K (Qwen3), between projection and rotary positions ---- */

static const enum slot head_norm[2] = {T_Q_NORM, T_K_NORM};

/* Returns the heads of Q and K after their norms, and fills rstd of each: [N, heads], [N, kv]. All are
 * scratch. */
static struct columns head_norms_fwd(struct net *net, int layer, struct columns raw, view rstd[2])
{
    struct attn_shape s = shape_of(net);
    int64_t tokens = raw.q.n[1], nq = raw.q.n[2], nk = raw.k.n[2];
    const int64_t heads[2] = {s.heads, s.kv_heads};
    view qk = arena_scratch_pitched(&net->arena, net->shape.activation, tokens, nq + nk); /* [N, Q | K] */
    struct columns c = {view_cols(qk, 0, nq), view_cols(qk, nq, nk), raw.v};
    const view to[2] = {c.q, c.k}, from[2] = {raw.q, raw.k};
    for (int i = 0; i < 2; i++) {
        rstd[i] = arena_scratch(&net->arena, F32, 1, tokens, heads[i]);
        dev_rmsnorm_fwd(net->dev, to[i], rstd[i], from[i], weight(net, layer, head_norm[i]),
                        (float)net->config->norm_eps);
    }
    return c;
}

/* Turn d, the gradient by the norms' output, into the gradient by their input. */
static void head_norms_bwd(struct net *net, const struct pass *p, int layer, struct columns d,
                           struct columns raw, const view rstd[2])
{
    const view d_x[2] = {d.q, d.k}, x[2] = {raw.q, raw.k};
    for (int i = 0; i < 2; i++)
        dev_rmsnorm_bwd(net->dev, false, d_x[i], p->acc, gradient(net, layer, head_norm[i]), d_x[i], x[i],
                        rstd[i], weight(net, layer, head_norm[i]));
}

/* What attention reads. Without norms of heads, forward turns Q and K in place, so they are saved with their
 * rotary positions. With norms the projection itself is saved, and backward computes norms and rotation
 * again. */
static struct columns attention_inputs(struct net *net, const struct pass *p, int layer, view qkv,
                                       bool forward, view rstd[2])
{
    struct columns c = columns_of(net, qkv);
    bool norms = net->config->qk_norm;
    if (norms)
        c = head_norms_fwd(net, layer, c, rstd);
    if (norms || forward)
        rotate(net, p, layer, c, 1);
    return c;
}

/* x_out (+)= attention output; where nothing is reduced the GEMM adds into the residual itself. */
static void output_fwd(struct net *net, struct pass *p, int layer, view x_out, view o)
{
    view wo = weight(net, layer, T_O); /* [H, heads hd] */
    if (net->layout.tp == 1) {
        dev_gemm(net->dev, false, true, o, wo, true, x_out);
        return;
    }
    view part = seq_partial(net, p, net->config->hidden); /* [TP*c, H] */
    dev_gemm(net->dev, false, true, o, wo, false, live(p, part));
    seq_reduce(net, p, x_out, part, true);
}

void attention_fwd(struct net *net, struct pass *p, int layer, struct saved *s, view x_out)
{
    struct attn_shape a = shape_of_pass(net, p, layer);
    int64_t width = (a.heads + 2 * a.kv_heads) * a.head_dim;
    s->qkv = keep(net, net->shape.activation, 1, p->tokens, width);
    s->o = keep(net, net->shape.activation, 1, p->tokens, a.heads * a.head_dim);
    s->lse = keep(net, F32, 1, p->tokens, a.heads);

    int64_t mark = arena_mark(&net->arena);
    view h = live(p, seq_gather(net, p, norm_fwd(net, p, layer, T_ATTN_NORM, s->x, NULL))); /* [N, H] */
    project_fwd(net, layer, s->qkv, h);
    view rstd[2];
    struct columns c = attention_inputs(net, p, layer, s->qkv, true, rstd);
    if (p->cached)
        cache_attend(net, p, layer, a, s, c.q, c.k, c.v);
    else
        dev_attn_fwd(net->dev, a, s->o, s->lse, c.q, c.k, c.v);
    residual(net, p, x_out, s->x);
    output_fwd(net, p, layer, x_out, s->o);
    arena_release(&net->arena, mark);
}

void attention_bwd(struct net *net, struct pass *p, int layer, struct saved *s, view d_x)
{
    int64_t mark = arena_mark(&net->arena), width = s->qkv.n[2];
    view d_qkv = arena_scratch_pitched(&net->arena, net->shape.activation, p->tokens, width); /* [N, W] */
    int64_t inner = arena_mark(&net->arena);

    view d_y = live(p, seq_gather(net, p, d_x));                                           /* [N, H] */
    view d_o = arena_scratch(&net->arena, net->shape.activation, 1, p->tokens, s->o.n[2]); /* [N, heads hd] */
    dev_gemm(net->dev, false, false, d_y, weight(net, layer, T_O), false, d_o);
    dev_gemm(net->dev, true, false, d_y, s->o, p->acc, gradient(net, layer, T_O));
    view norm_rstd[2];
    struct columns c = attention_inputs(net, p, layer, s->qkv, false, norm_rstd), d = columns_of(net, d_qkv);
    dev_attn_bwd(net->dev, shape_of_pass(net, p, layer), d.q, d.k, d.v, d_o, s->o, s->lse, c.q, c.k, c.v);
    rotate(net, p, layer, d, -1);
    if (net->config->qk_norm)
        head_norms_bwd(net, p, layer, d, columns_of(net, s->qkv), norm_rstd);
    arena_release(&net->arena, inner);

    view rstd, h = norm_fwd(net, p, layer, T_ATTN_NORM, s->x, &rstd); /* [c], [c, H] */
    view part = seq_partial(net, p, net->config->hidden);             /* [TP*c, H] */
    project_bwd(net, p, layer, live(p, part), d_qkv, live(p, seq_gather(net, p, h)));
    view d_h = part; /* [c, H] */
    if (net->layout.tp > 1)
        seq_reduce(net, p, d_h = arena_scratch(&net->arena, F32, 1, p->rows, d_x.n[2]), part, false);
    norm_bwd(net, p, layer, T_ATTN_NORM, true, d_x, d_h, s->x, rstd);
    arena_release(&net->arena, mark);
}
