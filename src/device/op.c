/* The ops of the facade. Each checks its arguments, then runs its kernel with FLOPs, bytes read and outputs
 * for the profile. The macros are in device/check.h. */
#include "device/check.h"

/* ---- plain ---- */
void dev_copy(struct dev *dev, view dst, view src)
{
    NEED(dst.type == src.type || (is_float(dst) && is_float(src)));
    WANT_STACK(dst, dst.type, dst.n[0], dst.n[1], dst.n[2]);
    WANT_STACK(src, src.type, dst.n[0], dst.n[1], dst.n[2]);
    RUN(copy, (dev, dst, src), 0, BYTES(src), dst);
}

void dev_fill(struct dev *dev, view dst, float v)
{
    NEED(is_float(dst));
    WANT_ALIKE(dst, dst, dst.type);
    RUN(fill, (dev, dst, v), 0, 0, dst);
}

void dev_add(struct dev *dev, view y, view x)
{
    NEED(is_float(x) && is_float(y));
    WANT_STACK(y, y.type, y.n[0], y.n[1], y.n[2]);
    WANT_STACK(x, x.type, y.n[0], y.n[1], y.n[2]);
    RUN(add, (dev, y, x), 0, BYTES(y, x), y);
}

void dev_scale(struct dev *dev, view y, float by)
{
    NEED(is_float(y));
    WANT_STACK(y, y.type, y.n[0], y.n[1], y.n[2]);
    RUN(scale, (dev, y, by), 0, BYTES(y), y);
}

void dev_gemm(struct dev *dev, bool ta, bool tb, view a, view b, bool acc, view c)
{
    int64_t m = c.n[1], n = c.n[2], k = ta ? a.n[1] : a.n[2];
    WANT_FLOAT(c, m, n);
    WANT_FLOAT(a, ta ? k : m, ta ? m : k);
    WANT_FLOAT(b, tb ? n : k, tb ? k : n);
    double flops = 2.0 * (double)m * (double)n * (double)k;
    RUN(gemm, (dev, ta, tb, a, b, acc, c), flops, BYTES(a, b), c);
}

void dev_add_bias(struct dev *dev, view y, view bias)
{
    WANT_FLOAT(y, y.n[1], y.n[2]);
    WANT_VECTOR(bias, F32, y.n[2]);
    RUN(add_bias, (dev, y, bias), 0, BYTES(y, bias), y);
}

void dev_colsum(struct dev *dev, view x, bool acc, view y)
{
    WANT_FLOAT(x, x.n[1], x.n[2]);
    WANT_VECTOR(y, F32, x.n[2]);
    RUN_OVER(x, colsum, (dev, x, acc, y), 0, BYTES(x), y);
}

void dev_sum(struct dev *dev, view total, view x)
{
    WANT_VECTOR(total, F64, 1);
    WANT_ALIKE(x, x, F32);
    RUN_OVER(x, sum, (dev, total, x), 0, BYTES(x), total);
}

void dev_sumsq(struct dev *dev, view total, view x)
{
    WANT_VECTOR(total, F64, 1);
    WANT_ALIKE(x, x, F32);
    RUN_OVER(x, sumsq, (dev, total, x), 0, BYTES(x), total);
}

bool dev_finite(struct dev *dev, view x)
{
    bool good = true;
    NEED(is_float(x));
    WANT_ALIKE(x, x, x.type);
    dev->waits += !dev->dry;
    RUN_INTO(good =, x, finite, (dev, x), 0, BYTES(x), view_none());
    return good;
}

void dev_sum_parts(struct dev *dev, view out, view parts, int64_t own, view mine)
{
    int64_t n = view_size(out);
    NEED(out.type != BF16);
    WANT_VECTOR(out, out.type, n);
    WANT_VECTOR(mine, out.type, n);
    WANT(parts, out.type, parts.n[1], n);
    NEED(own >= 0 && own < parts.n[1]);
    RUN_OVER(parts, sum_parts, (dev, out, parts, own, mine), 0, BYTES(parts), out);
}

/* ---- embedding ---- */
void dev_embed_fwd(struct dev *dev, view x, view ids, int64_t v0, view w)
{
    WANT_FLOAT(x, x.n[1], x.n[2]);
    WANT_VECTOR(ids, I32, x.n[1]);
    WANT_FLOAT(w, w.n[1], x.n[2]);
    RUN(embed_fwd, (dev, x, ids, v0, w), 0, BYTES(x, ids), x);
}

void dev_embed_bwd(struct dev *dev, view ids, view dx, int64_t v0, bool acc, view dw)
{
    WANT_FLOAT(dx, dx.n[1], dx.n[2]);
    WANT_VECTOR(ids, I32, dx.n[1]);
    WANT(dw, F32, dw.n[1], dx.n[2]);
    RUN(embed_bwd, (dev, ids, dx, v0, acc, dw), 0, BYTES(ids, dx), dw);
}

/* ---- norm and positions ---- */
void dev_rmsnorm_fwd(struct dev *dev, view y, view rstd, view x, view w, float eps)
{
    int64_t tokens = x.n[1], width = view_size(w);
    NEED(width > 0 && x.n[2] % width == 0);
    WANT_FLOAT(x, tokens, x.n[2]);
    WANT_FLOAT(y, tokens, x.n[2]);
    WANT_VECTOR(rstd, F32, tokens * (x.n[2] / width));
    WANT_VECTOR(w, F32, width);
    RUN(rmsnorm_fwd, (dev, y, rstd, x, w, eps), 0, BYTES(x, w), y, rstd);
}

void dev_rmsnorm_bwd(struct dev *dev, bool acc_dx, view dx, bool acc_dw, view dw, view dy, view x, view rstd,
                     view w)
{
    int64_t tokens = x.n[1], columns = x.n[2], width = view_size(w);
    NEED(width > 0 && columns % width == 0);
    WANT_FLOAT(x, tokens, columns);
    WANT_FLOAT(dx, tokens, columns);
    WANT_FLOAT(dy, tokens, columns);
    WANT_VECTOR(rstd, F32, tokens * (columns / width));
    WANT_VECTOR(w, F32, width);
    WANT_VECTOR(dw, F32, width);
    RUN(rmsnorm_bwd, (dev, acc_dx, dx, acc_dw, dw, dy, x, rstd, w), 0, BYTES(dy, x, rstd, w), dx, dw);
}

void dev_rope(struct dev *dev, view x, int64_t heads, view positions, view cos_sin, float sign)
{
    NEED(heads > 0 && cos_sin.n[1] > 0 && x.n[2] % (2 * heads) == 0);
    WANT_FLOAT(x, x.n[1], x.n[2]);
    WANT(cos_sin, F32, cos_sin.n[1], x.n[2] / heads);
    if (!view_is_none(positions))
        WANT_VECTOR(positions, I32, x.n[1]);
    RUN(rope, (dev, x, heads, positions, cos_sin, sign), 0, BYTES(x, cos_sin), x);
}

/* ---- attention ---- */
/** FLOPs of one product over the causal half: each of the rows [T, heads*hd] meets seq/2 keys. What a mask
 * leaves out is counted, too, so that rates with and without one compare. */
static double causal_flops(struct attn_shape s, int64_t tokens)
{
    return (double)tokens * (double)(s.heads * s.head_dim) * (double)(s.seq + 1);
}

/** Checks for forward and backward. It has the name of an op for their messages. */
static void dev_attn(struct dev *dev, struct attn_shape s, view o, view lse, view q, view k, view v)
{
    int64_t tokens = q.n[1], wide = s.heads * s.head_dim, narrow = s.kv_heads * s.head_dim;
    NEED(s.seq > 0 && s.kv_heads > 0 && s.heads % s.kv_heads == 0 && tokens % s.seq == 0);
    WANT_FLOAT(q, tokens, wide);
    WANT_FLOAT(k, tokens, narrow);
    WANT_FLOAT(v, tokens, narrow);
    WANT_FLOAT(o, tokens, wide);
    WANT(lse, F32, tokens, s.heads);
    if (!view_is_none(s.first))
        WANT_VECTOR(s.first, I32, tokens);
}

void dev_attn_fwd(struct dev *dev, struct attn_shape s, view o, view lse, view q, view k, view v)
{
    dev_attn(dev, s, o, lse, q, k, v);
    RUN(attn_fwd, (dev, s, o, lse, q, k, v), 2 * causal_flops(s, q.n[1]), BYTES(q, k, v), o, lse);
}

void dev_attn_bwd(struct dev *dev, struct attn_shape s, view dq, view dk, view dv, view d_o, view o, view lse,
                  view q, view k, view v)
{
    dev_attn(dev, s, o, lse, q, k, v);
    WANT_FLOAT(d_o, q.n[1], q.n[2]);
    WANT_FLOAT(dq, q.n[1], q.n[2]);
    WANT_FLOAT(dk, k.n[1], k.n[2]);
    WANT_FLOAT(dv, k.n[1], k.n[2]);
    RUN(attn_bwd, (dev, s, dq, dk, dv, d_o, o, lse, q, k, v), 5 * causal_flops(s, q.n[1]),
        BYTES(d_o, o, lse, q, k, v), dq, dk, dv);
}

/* How much of the cache a row sees is known on the device alone: FLOPs and bytes of the cache are not
 * counted. */
void dev_attn_cached(struct dev *dev, struct attn_shape s, view o, view q, view k, view v, view first,
                     view last)
{
    int64_t tokens = q.n[1], wide = s.heads * s.head_dim, narrow = s.kv_heads * s.head_dim;
    NEED(s.kv_heads > 0 && s.heads % s.kv_heads == 0);
    WANT_FLOAT(q, tokens, wide);
    WANT_FLOAT(o, tokens, wide);
    WANT_FLOAT(k, k.n[1], narrow);
    WANT_FLOAT(v, k.n[1], narrow);
    WANT_VECTOR(first, I32, tokens);
    WANT_VECTOR(last, I32, tokens);
    RUN(attn_cached, (dev, s, o, q, k, v, first, last), 0, BYTES(q, first, last), o);
}

/* ---- SwiGLU ---- */
void dev_swiglu_fwd(struct dev *dev, view act, view gu, view weight)
{
    WANT_FLOAT(act, act.n[1], act.n[2]);
    WANT_FLOAT(gu, act.n[1], 2 * act.n[2]);
    if (!view_is_none(weight))
        WANT_VECTOR(weight, F32, act.n[1]);
    RUN(swiglu_fwd, (dev, act, gu, weight), 0, BYTES(gu, weight), act);
}

void dev_swiglu_bwd(struct dev *dev, view d_gu, view act, view d_weight, view d_act, view gu, view weight)
{
    int64_t rows = act.n[1], width = act.n[2];
    WANT_FLOAT(act, rows, width);
    WANT_FLOAT(d_act, rows, width);
    WANT_FLOAT(gu, rows, 2 * width);
    WANT_FLOAT(d_gu, rows, 2 * width);
    NEED(view_is_none(weight) == view_is_none(d_weight));
    if (!view_is_none(weight)) {
        WANT_VECTOR(weight, F32, rows);
        WANT_VECTOR(d_weight, F32, rows);
    }
    RUN(swiglu_bwd, (dev, d_gu, act, d_weight, d_act, gu, weight), 0, BYTES(d_act, gu, weight), d_gu, act,
        d_weight);
}

/* ---- router ---- */
void dev_router_logits(struct dev *dev, view logits, view x, view w)
{
    int64_t tokens = x.n[1], hidden = x.n[2], experts = w.n[1];
    WANT_FLOAT(x, tokens, hidden);
    WANT(w, F32, experts, hidden);
    WANT(logits, F32, tokens, experts);
    double flops = 2.0 * (double)tokens * (double)hidden * (double)experts;
    RUN(router_logits, (dev, logits, x, w), flops, BYTES(x, w), logits);
}

void dev_router_choose(struct dev *dev, struct route r, view idx, view gate, view counts, view stats,
                       view logits, view bias)
{
    int64_t tokens = logits.n[1], experts = logits.n[2];
    NEED(r.top_k >= 1 && r.top_k <= experts);
    WANT(logits, F32, tokens, experts);
    WANT(idx, I32, tokens, r.top_k);
    WANT(gate, F32, tokens, r.top_k);
    WANT_VECTOR(counts, I32, experts);
    WANT_VECTOR(stats, F32, experts + 2);
    if (!view_is_none(bias))
        WANT_VECTOR(bias, F32, experts);
    if (!view_is_none(r.padding))
        WANT_VECTOR(r.padding, I32, tokens);
    RUN(router_choose, (dev, r, idx, gate, counts, stats, logits, bias), 0, BYTES(logits, bias), idx, gate,
        counts, stats);
}

void dev_router_losses(struct dev *dev, struct router_losses l, view seeds, view total, view loads,
                       view counts, view stats, view load)
{
    int64_t domains = seeds.n[1], experts = seeds.n[2];
    NEED(l.top_k >= 1);
    WANT(seeds, F32, domains, experts);
    WANT(counts, I32, domains, experts);
    WANT(stats, F32, domains, experts + 2);
    WANT_VECTOR(total, F64, 3);
    WANT_VECTOR(loads, F64, experts);
    if (!view_is_none(load))
        WANT_VECTOR(load, F32, experts);
    RUN(router_losses, (dev, l, seeds, total, loads, counts, stats, load), 0, BYTES(counts, stats, load),
        seeds);
}

void dev_router_margin(struct dev *dev, view least, int64_t top_k, view logits, view bias)
{
    NEED(top_k >= 1 && top_k < logits.n[2]);
    WANT_VECTOR(least, F64, 1);
    WANT(logits, F32, logits.n[1], logits.n[2]);
    if (!view_is_none(bias))
        WANT_VECTOR(bias, F32, logits.n[2]);
    RUN(router_margin, (dev, least, top_k, logits, bias), 0, BYTES(logits, bias), least);
}

void dev_router_bwd(struct dev *dev, struct route r, view d_logits, view logits, view idx, view gate,
                    view d_gate, view aux, float z, float max_z)
{
    int64_t tokens = logits.n[1], experts = logits.n[2];
    NEED(r.top_k >= 1 && r.top_k <= experts);
    WANT(logits, F32, tokens, experts);
    WANT(d_logits, F32, tokens, experts);
    WANT(idx, I32, tokens, r.top_k);
    WANT(gate, F32, tokens, r.top_k);
    WANT(d_gate, F32, tokens, r.top_k);
    WANT_VECTOR(aux, F32, experts);
    RUN(router_bwd, (dev, r, d_logits, logits, idx, gate, d_gate, aux, z, max_z), 0,
        BYTES(logits, idx, gate, d_gate, aux), d_logits);
}

void dev_jitter(struct dev *dev, bool acc, view y, view x, float eps, uint64_t key, int64_t row)
{
    WANT_FLOAT(x, x.n[1], x.n[2]);
    WANT_FLOAT(y, x.n[1], x.n[2]);
    RUN(jitter, (dev, acc, y, x, eps, key, row), 0, BYTES(x), y);
}

void dev_sigmoid_fwd(struct dev *dev, view y, view x)
{
    WANT_ALIKE(y, x, F32);
    RUN(sigmoid_fwd, (dev, y, x), 0, BYTES(x), y);
}

void dev_sigmoid_bwd(struct dev *dev, view dx, view dy, view y)
{
    WANT_ALIKE(dx, y, F32);
    WANT_ALIKE(dy, y, F32);
    RUN(sigmoid_bwd, (dev, dx, dy, y), 0, BYTES(dy, y), dx);
}

/* ---- moving rows ---- */
void dev_capacity(struct dev *dev, struct capacity c, view kept, view dropped, view least, view idx,
                  view gate)
{
    NEED(c.experts > 0 && c.most >= 0 && c.first >= 0 && c.first + kept.n[1] <= idx.n[1]);
    WANT(idx, I32, idx.n[1], idx.n[2]);
    WANT(gate, F32, idx.n[1], idx.n[2]);
    WANT(kept, I32, kept.n[1], idx.n[2]);
    NEED(view_contiguous(idx) && view_contiguous(gate) && view_contiguous(kept));
    WANT_VECTOR(dropped, F64, 1);
    WANT_VECTOR(least, F64, 1);
    RUN(capacity, (dev, c, kept, dropped, least, idx, gate), 0, BYTES(idx, gate), kept);
}

void dev_expert_order(struct dev *dev, view order, view back, view cnt, int64_t q)
{
    NEED(q > 0 && cnt.n[1] % q == 0);
    WANT(cnt, I32, cnt.n[1], cnt.n[2]);
    WANT_VECTOR(order, I32, view_size(order));
    WANT_VECTOR(back, I32, view_size(order));
    RUN(expert_order, (dev, order, back, cnt, q), 0, BYTES(cnt), order, back);
}

void dev_balance_bias(struct dev *dev, view value, view counts, int64_t first, float rate, view control)
{
    NEED(first >= 0 && first + view_size(value) <= view_size(counts));
    WANT_VECTOR(value, F32, view_size(value));
    WANT_VECTOR(counts, F64, view_size(counts));
    WANT_VECTOR(control, F32, 2);
    RUN(balance_bias, (dev, value, counts, first, rate, control), 0, BYTES(value, counts), value);
}

void dev_balance_load(struct dev *dev, view value, view counts, int64_t first, view control)
{
    NEED(first >= 0 && first + view_size(value) <= view_size(counts));
    WANT_VECTOR(value, F32, view_size(value));
    WANT_VECTOR(counts, F64, view_size(counts));
    WANT_VECTOR(control, F32, 2);
    RUN(balance_load, (dev, value, counts, first, control), 0, BYTES(counts), value);
}

void dev_route_plan(struct dev *dev, view counts, view slot, view pick, view idx, int64_t room)
{
    int64_t experts = view_size(counts);
    NEED(room >= 0);
    WANT(idx, I32, idx.n[1], idx.n[2]);
    WANT(slot, I32, idx.n[1], idx.n[2]);
    WANT_VECTOR(pick, I32, room > 0 ? experts * room : view_size(idx));
    WANT_VECTOR(counts, I32, experts);
    RUN(route_plan, (dev, counts, slot, pick, idx, room), 0, BYTES(idx), counts, slot, pick);
}

void dev_gather_rows(struct dev *dev, view y, view x, view row, int64_t div)
{
    NEED(div > 0);
    WANT_FLOAT(y, y.n[1], y.n[2]);
    WANT_FLOAT(x, x.n[1], y.n[2]);
    WANT_VECTOR(row, I32, y.n[1]);
    RUN(gather_rows, (dev, y, x, row, div), 0, BYTES(y, row), y);
}

void dev_put_rows(struct dev *dev, view y, view x, view row)
{
    WANT_FLOAT(x, x.n[1], x.n[2]);
    WANT_FLOAT(y, y.n[1], x.n[2]);
    WANT_VECTOR(row, I32, x.n[1]);
    RUN_OVER(x, put_rows, (dev, y, x, row), 0, BYTES(x, row), y);
}

void dev_combine(struct dev *dev, view out, view y, view slot, bool acc)
{
    WANT_FLOAT(out, out.n[1], out.n[2]);
    WANT_FLOAT(y, y.n[1], out.n[2]);
    WANT(slot, I32, out.n[1], slot.n[2]);
    RUN(combine, (dev, out, y, slot, acc), 0, BYTES(y, slot), out);
}

/* ---- cross-entropy ---- */
void dev_ce_stats(struct dev *dev, view stats, view logits, view target, int64_t v0)
{
    int64_t tokens = logits.n[1];
    WANT_FLOAT(logits, tokens, logits.n[2]);
    WANT(stats, F32, 3, tokens);
    WANT_VECTOR(target, I32, tokens);
    RUN(ce_stats, (dev, stats, logits, target, v0), 0, BYTES(logits, target), stats);
}

void dev_ce_merge(struct dev *dev, view lse, view nll, view stats, view target)
{
    int64_t tokens = view_size(target);
    WANT_STACK(stats, F32, stats.n[0], 3, tokens);
    WANT_VECTOR(target, I32, tokens);
    WANT_VECTOR(lse, F32, tokens);
    WANT_VECTOR(nll, F32, tokens);
    RUN(ce_merge, (dev, lse, nll, stats, target), 0, BYTES(stats, target), lse, nll);
}

void dev_ce_grad(struct dev *dev, view logits, view lse, view target, int64_t v0, float scale)
{
    WANT_FLOAT(logits, logits.n[1], logits.n[2]);
    WANT_VECTOR(lse, F32, logits.n[1]);
    WANT_VECTOR(target, I32, logits.n[1]);
    RUN(ce_grad, (dev, logits, lse, target, v0, scale), 0, BYTES(logits, lse, target), logits);
}

/* ---- optimizer ---- */
void dev_clip(struct dev *dev, view control, view squares, view loss, struct clip most)
{
    WANT_VECTOR(control, F32, 2);
    WANT_VECTOR(squares, F64, 1);
    WANT_VECTOR(loss, F64, 1);
    RUN(clip, (dev, control, squares, loss, most), 0, BYTES(squares, loss), control);
}

void dev_adamw(struct dev *dev, struct adamw a, view p, view m, view v, view g, view w, view control)
{
    int64_t n = view_size(p);
    WANT_VECTOR(p, F32, n);
    WANT_VECTOR(m, F32, n);
    WANT_VECTOR(v, F32, n);
    WANT_VECTOR(g, F32, n);
    WANT_VECTOR(control, F32, 2);
    if (!view_is_none(w))
        WANT_VECTOR(w, BF16, n);
    RUN(adamw, (dev, a, p, m, v, g, w, control), 0, BYTES(p, m, v, g), p, m, v, w);
}
