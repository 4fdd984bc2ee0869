/* Causal attention by tiles of ROWS queries x KEYS keys (FlashAttention: Dao et al. 2022): scores exist
 * for one tile at a time, forward keeps a running maximum and sum per row, backward computes the
 * scores again from lse. Tiles that lie wholly in the future are never touched; masked scores of the
 * tiles on the diagonal become 0.
 *
 * Tasks write disjoint outputs, so it does not matter for the bits which thread takes which: forward
 * (sequence, head, block of rows); backward (sequence, KV head), which owns that head's dk and dv and
 * adds to them over the query heads of its group in order. */
#include "device/cpu/vmath.h"
#include "device/cpu/wide.h"
#include <math.h>
#include <omp.h>
#include <string.h>

enum { ROWS = 64, KEYS = 256 };
_Static_assert(KEYS % ROWS == 0, "a block of rows never straddles the first key of a tile");

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Columns of head h in the rows of sequence b: [seq, head_dim]; of lse: [seq, 1]. */
static view head_of(view v, int64_t seq, int64_t b, int64_t h, int64_t columns)
{
    return view_cols(view_rows(v, b * seq, seq), h * columns, columns);
}

/* The calling thread's n-th tile. */
static view tile_of(float *scratch, int n, int64_t rows, int64_t keys)
{
    int64_t tile = omp_get_thread_num() * 2 + n;
    return (view){scratch + tile * ROWS * KEYS, F32, {1, rows, keys}, KEYS};
}

static float *scratch_tiles(struct dev *dev)
{
    return cpu_scratch(dev, omp_get_max_threads() * (int64_t)(2 * ROWS * KEYS * sizeof(float)));
}

static void gemm(bool ta, bool tb, view a, view b, float beta, view c)
{
    cpu_sgemm(ta, tb, c.n[1], c.n[2], a.n[ta ? 1 : 2], a.data, a.ld, b.data, b.ld, beta, c.data, c.ld);
}

/* ---- forward ---- */

/* The first `valid` scores of a row become exp(scale*s - max), the rest 0. Where the maximum rises, the
 * sum and the output so far shrink; before the first tile (max = -inf) there is none. */
KERNEL static void online_softmax(float *s, int64_t valid, int64_t n, float scale, float *max, float *sum,
                                  float *o, int64_t head_dim)
{
    float top = -INFINITY, part = 0;
#pragma omp simd reduction(max : top)
    for (int64_t j = 0; j < valid; j++)
        top = s[j] > top ? s[j] : top;
    top = fmaxf(*max, scale * top);
#pragma omp simd reduction(+ : part)
    for (int64_t j = 0; j < valid; j++) {
        s[j] = vm_exp(scale * s[j] - top);
        part += s[j];
    }
    for (int64_t j = valid; j < n; j++)
        s[j] = 0;
    float shrink = vm_exp(*max - top);
    for (int64_t i = 0; i<head_dim && * max> - INFINITY; i++)
        o[i] *= shrink;
    *sum = *sum * shrink + part;
    *max = top;
}

/* Output and lse of the query rows q = r0 .. r0 + q.n[1] of one head, whose keys are k and v. */
static void fwd_block(view o, view lse, view q, view k, view v, int64_t r0, float *scratch)
{
    int64_t rows = q.n[1], head_dim = q.n[2], end = r0 + rows;
    float max[ROWS], sum[ROWS], scale = 1 / sqrtf((float)head_dim);
    for (int64_t i = 0; i < rows; i++) {
        max[i] = -INFINITY;
        sum[i] = 0;
    }
    for (int64_t k0 = 0; k0 < end; k0 += KEYS) {
        int64_t keys = min(KEYS, end - k0);
        view s = tile_of(scratch, 0, rows, keys);
        gemm(false, true, q, view_rows(k, k0, keys), 0, s);
        for (int64_t i = 0; i < rows; i++)
            online_softmax(f32_row(s, i), min(keys, r0 + i + 1 - k0), keys, scale, &max[i], &sum[i],
                           f32_row(o, i), head_dim);
        gemm(false, false, s, view_rows(v, k0, keys), k0 > 0, o);
    }
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < head_dim; j++)
            f32_row(o, i)[j] /= sum[i];
        *f32_row(lse, i) = max[i] + logf(sum[i]);
    }
}

/* Late blocks see the most keys: they go first. */
static void attn_fwd(struct dev *dev, struct attn_shape a, view o, view lse, view q, view k, view v)
{
    int64_t blocks = (a.seq + ROWS - 1) / ROWS, per_kv = a.heads / a.kv_heads;
    int64_t tasks = blocks ? q.n[1] / a.seq * a.heads * blocks : 0;
    float *scratch = scratch_tiles(dev);
#pragma omp parallel for schedule(dynamic)
    for (int64_t task = 0; task < tasks; task++) {
        int64_t b = task / blocks / a.heads, h = task / blocks % a.heads, d = a.head_dim;
        int64_t r0 = (blocks - 1 - task % blocks) * ROWS, rows = min(ROWS, a.seq - r0);
        fwd_block(view_rows(head_of(o, a.seq, b, h, d), r0, rows),
                  view_rows(head_of(lse, a.seq, b, h, 1), r0, rows),
                  view_rows(head_of(q, a.seq, b, h, d), r0, rows), head_of(k, a.seq, b, h / per_kv, d),
                  head_of(v, a.seq, b, h / per_kv, d), r0, scratch);
    }
}

/* Operands in fp32, and their buffers. */
enum { WIDE_Q, WIDE_K, WIDE_V, WIDE_O, WIDE_D_O, WIDE_DQ, WIDE_DK, WIDE_DV };

void cpu_attn_fwd(struct dev *dev, struct attn_shape a, view o, view lse, view q, view k, view v)
{
    view wide = wide_view(dev, WIDE_O, o, false);
    attn_fwd(dev, a, wide, lse, wide_view(dev, WIDE_Q, q, true), wide_view(dev, WIDE_K, k, true),
             wide_view(dev, WIDE_V, v, true));
    wide_view_store(o, wide);
}

/* ---- backward ---- */

/* Scores s -> p = exp(scale*s - lse), dp -> ds = scale * p * (dp - dot); both 0 beyond `valid`. */
KERNEL static void softmax_bwd(float *s, float *dp, int64_t valid, int64_t n, float scale, float lse,
                               float dot)
{
#pragma omp simd
    for (int64_t j = 0; j < valid; j++) {
        s[j] = vm_exp(scale * s[j] - lse);
        dp[j] = scale * s[j] * (dp[j] - dot);
    }
    for (int64_t j = valid; j < n; j++)
        s[j] = dp[j] = 0;
}

KERNEL static float row_dot(const float *x, const float *y, int64_t n)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

/* One head: views [seq, .] for queries, or of the KV head that it reads. */
struct head {
    view q, k, v, o, lse, d_o, dq, dk, dv;
};

/* Query rows r0 .. against the keys k0 .. that they see: dq (+)=, dk, dv +=. */
static void bwd_tile(const struct head *h, int64_t r0, int64_t k0, float *scratch)
{
    int64_t rows = min(ROWS, h->q.n[1] - r0), keys = min(KEYS, r0 + rows - k0);
    view q = view_rows(h->q, r0, rows), d_o = view_rows(h->d_o, r0, rows), k = view_rows(h->k, k0, keys);
    view p = tile_of(scratch, 0, rows, keys), ds = tile_of(scratch, 1, rows, keys);
    float scale = 1 / sqrtf((float)q.n[2]);
    gemm(false, true, q, k, 0, p);
    gemm(false, true, d_o, view_rows(h->v, k0, keys), 0, ds);
    for (int64_t i = 0; i < rows; i++) {
        float dot = row_dot(f32_row(d_o, i), f32_row(h->o, r0 + i), d_o.n[2]);
        softmax_bwd(f32_row(p, i), f32_row(ds, i), min(keys, r0 + i + 1 - k0), keys, scale,
                    *f32_row(h->lse, r0 + i), dot);
    }
    gemm(true, false, p, d_o, 1, view_rows(h->dv, k0, keys));
    gemm(true, false, ds, q, 1, view_rows(h->dk, k0, keys));
    gemm(false, false, ds, k, k0 > 0, view_rows(h->dq, r0, rows));
}

static void zero(view v)
{
    for (int64_t r = 0; r < v.n[1]; r++)
        memset(f32_row(v, r), 0, (size_t)v.n[2] * sizeof(float));
}

static void attn_bwd(struct dev *dev, struct attn_shape a, view dq, view dk, view dv, view d_o, view o,
                     view lse, view q, view k, view v)
{
    int64_t per_kv = a.heads / a.kv_heads, tasks = a.seq ? q.n[1] / a.seq * a.kv_heads : 0;
    float *scratch = scratch_tiles(dev);
#pragma omp parallel for schedule(static)
    for (int64_t task = 0; task < tasks; task++) {
        int64_t b = task / a.kv_heads, kv = task % a.kv_heads, d = a.head_dim, s = a.seq;
        struct head h = {.k = head_of(k, s, b, kv, d),
                         .v = head_of(v, s, b, kv, d),
                         .dk = head_of(dk, s, b, kv, d),
                         .dv = head_of(dv, s, b, kv, d)};
        zero(h.dk);
        zero(h.dv);
        for (int64_t i = kv * per_kv; i < (kv + 1) * per_kv; i++) {
            h.q = head_of(q, s, b, i, d);
            h.o = head_of(o, s, b, i, d);
            h.d_o = head_of(d_o, s, b, i, d);
            h.dq = head_of(dq, s, b, i, d);
            h.lse = head_of(lse, s, b, i, 1);
            for (int64_t k0 = 0; k0 < s; k0 += KEYS)
                for (int64_t r0 = k0; r0 < s; r0 += ROWS)
                    bwd_tile(&h, r0, k0, scratch);
        }
    }
}

void cpu_attn_bwd(struct dev *dev, struct attn_shape a, view dq, view dk, view dv, view d_o, view o, view lse,
                  view q, view k, view v)
{
    view wq = wide_view(dev, WIDE_DQ, dq, false), wk = wide_view(dev, WIDE_DK, dk, false),
         wv = wide_view(dev, WIDE_DV, dv, false);
    attn_bwd(dev, a, wq, wk, wv, wide_view(dev, WIDE_D_O, d_o, true), wide_view(dev, WIDE_O, o, true), lse,
             wide_view(dev, WIDE_Q, q, true), wide_view(dev, WIDE_K, k, true),
             wide_view(dev, WIDE_V, v, true));
    wide_view_store(dq, wq);
    wide_view_store(dk, wk);
    wide_view_store(dv, wv);
}
