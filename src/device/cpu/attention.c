/* Causal attention by tiles of queries x keys (FlashAttention, Dao et al. 2022). Scores exist for one tile at
 * a time. Forward keeps a running maximum and sum for each row; backward computes the scores again from lse.
 * Tiles wholly in the future, or before the first key of all their rows, are skipped; masked scores in the
 * tiles at the edges become 0.
 *
 * Tasks write different outputs, so the bits do not depend on which thread takes which task. A task of
 * forward is (sequence, head, block of rows). A task of backward is (sequence, KV head): it owns the head's
 * dk and dv and adds to them over the query heads of its group in order. If there are fewer of these than
 * threads, backward does one sequence after the other by tasks (query head, chunk of rows): a task owns its
 * rows of dq and has a dk and a dv of its own, which are then added by head and chunk in order. */
#include "device/cpu/vmath.h"
#include "device/cpu/wide.h"
#include <math.h>
#include <omp.h>
#include <string.h>

/* Tile sizes by head dimension. Products over few columns need larger tiles. keys % rows = 0, so that the
 * first key of a tile never lies inside a block of rows. */
enum { MOST_ROWS = 128 };
struct tiling {
    int64_t rows, keys;
};

static struct tiling tiling_of(int64_t head_dim)
{
    static const struct tiling narrow = {MOST_ROWS, 512}, wide = {64, 256};
    return head_dim <= 32 ? narrow : wide;
}

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t at_least(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The first keys of the rows of sequence b; NULL: 0. */
static const int32_t *firsts_of(struct attn_shape a, int64_t b)
{
    return a.first.data ? (const int32_t *)a.first.data + b * a.seq : NULL;
}

static int64_t first_of(const int32_t *firsts, int64_t row)
{
    return firsts ? firsts[row] : 0;
}

/* Which of the keys [k0, k0 + keys) a row sees, counted from k0; n = 0 if none. */
struct seen {
    int64_t lo, n;
};

static struct seen seen_by(const int32_t *firsts, int64_t row, int64_t k0, int64_t keys)
{
    int64_t lo = at_least(first_of(firsts, row) - k0, 0), end = min(keys, row + 1 - k0);
    return lo < end ? (struct seen){lo, end - lo} : (struct seen){0, 0};
}

/* The scores of a row that it does not see become 0. */
static void hide(float *s, struct seen seen, int64_t keys)
{
    memset(s, 0, (size_t)seen.lo * sizeof *s);
    memset(s + seen.lo + seen.n, 0, (size_t)(keys - seen.lo - seen.n) * sizeof *s);
}

/* The columns of head h in the rows of sequence b: [seq, head_dim], or [seq, 1] of lse. */
static view head_of(view v, int64_t seq, int64_t b, int64_t h, int64_t columns)
{
    return view_cols(view_rows(v, b * seq, seq), h * columns, columns);
}

/* The calling thread's n-th tile. */
static view tile_of(float *scratch, struct tiling tile, int n, int64_t rows, int64_t keys)
{
    int64_t at = omp_get_thread_num() * 2 + n;
    return (view){scratch + at * tile.rows * tile.keys, F32, {1, rows, keys}, tile.keys};
}

/* The floats of two tiles for each thread. */
static int64_t tiles_size(struct tiling tile)
{
    return omp_get_max_threads() * 2 * tile.rows * tile.keys;
}

static float *scratch_floats(struct dev *dev, int64_t n)
{
    return cpu_scratch(dev, n * (int64_t)sizeof(float));
}

static void gemm(bool ta, bool tb, view a, view b, float beta, view c)
{
    cpu_sgemm(ta, tb, c.n[1], c.n[2], a.n[ta ? 1 : 2], a.data, a.ld, b.data, b.ld, beta, c.data, c.ld);
}

/* ---- forward ---- */

/* The n > 0 scores that a row sees become exp(scale*s - max). If the maximum rises, the sum and the output so
 * far are scaled down; before the first tile (max = -inf) there is nothing to scale. */
KERNEL static void online_softmax(float *s, int64_t n, float scale, float *max, float *sum, float *o,
                                  int64_t head_dim)
{
    float top = -INFINITY, part = 0;
#pragma omp simd reduction(max : top)
    for (int64_t j = 0; j < n; j++)
        top = s[j] > top ? s[j] : top;
    top = fmaxf(*max, scale * top);
#pragma omp simd reduction(+ : part)
    for (int64_t j = 0; j < n; j++) {
        s[j] = vm_exp(scale * s[j] - top);
        part += s[j];
    }
    float shrink = vm_exp(*max - top);
    for (int64_t i = 0; i<head_dim && * max> - INFINITY; i++)
        o[i] *= shrink;
    *sum = *sum * shrink + part;
    *max = top;
}

/* Output and lse of query rows [r0, r0 + q.n[1]) of one head, with its keys k and values v. */
static void fwd_block(struct tiling tile, const int32_t *firsts, view o, view lse, view q, view k, view v,
                      int64_t r0, float *scratch)
{
    int64_t rows = q.n[1], head_dim = q.n[2], end = r0 + rows, from = first_of(firsts, r0);
    float max[MOST_ROWS], sum[MOST_ROWS], scale = 1 / sqrtf((float)head_dim);
    for (int64_t i = 0; i < rows; i++) {
        max[i] = -INFINITY;
        sum[i] = 0;
    }
    for (int64_t k0 = from; k0 < end; k0 += tile.keys) {
        int64_t keys = min(tile.keys, end - k0);
        view s = tile_of(scratch, tile, 0, rows, keys);
        gemm(false, true, q, view_rows(k, k0, keys), 0, s);
        for (int64_t i = 0; i < rows; i++) {
            struct seen seen = seen_by(firsts, r0 + i, k0, keys);
            if (seen.n > 0)
                online_softmax(f32_row(s, i) + seen.lo, seen.n, scale, &max[i], &sum[i], f32_row(o, i),
                               head_dim);
            hide(f32_row(s, i), seen, keys);
        }
        gemm(false, false, s, view_rows(v, k0, keys), k0 > from, o);
    }
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < head_dim; j++)
            f32_row(o, i)[j] /= sum[i];
        *f32_row(lse, i) = max[i] + logf(sum[i]);
    }
}

/* Late blocks go first, because they have the most keys. */
static void attn_fwd(struct dev *dev, struct attn_shape a, view o, view lse, view q, view k, view v)
{
    struct tiling tile = tiling_of(a.head_dim);
    int64_t blocks = (a.seq + tile.rows - 1) / tile.rows, per_kv = a.heads / a.kv_heads;
    int64_t tasks = blocks ? q.n[1] / a.seq * a.heads * blocks : 0;
    float *scratch = scratch_floats(dev, tiles_size(tile));
    if (dev->dry)
        return;
#pragma omp parallel for schedule(dynamic)
    for (int64_t task = 0; task < tasks; task++) {
        int64_t b = task / blocks / a.heads, h = task / blocks % a.heads, d = a.head_dim;
        int64_t r0 = (blocks - 1 - task % blocks) * tile.rows, rows = min(tile.rows, a.seq - r0);
        fwd_block(tile, firsts_of(a, b), view_rows(head_of(o, a.seq, b, h, d), r0, rows),
                  view_rows(head_of(lse, a.seq, b, h, 1), r0, rows),
                  view_rows(head_of(q, a.seq, b, h, d), r0, rows), head_of(k, a.seq, b, h / per_kv, d),
                  head_of(v, a.seq, b, h / per_kv, d), r0, scratch);
    }
}

/* Buffers for the operands in fp32. */
enum { WIDE_Q, WIDE_K, WIDE_V, WIDE_O, WIDE_D_O, WIDE_DQ, WIDE_DK, WIDE_DV };

void cpu_attn_fwd(struct dev *dev, struct attn_shape a, view o, view lse, view q, view k, view v)
{
    view wide = wide_view(dev, WIDE_O, o, false);
    attn_fwd(dev, a, wide, lse, wide_view(dev, WIDE_Q, q, true), wide_view(dev, WIDE_K, k, true),
             wide_view(dev, WIDE_V, v, true));
    wide_view_store(dev, o, wide);
}

/* ---- backward ---- */

/* The n scores that a row sees become p = exp(scale*s - lse), and dp becomes ds = scale * p * (dp - dot). */
KERNEL static void softmax_bwd(float *s, float *dp, int64_t n, float scale, float lse, float dot)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++) {
        s[j] = vm_exp(scale * s[j] - lse);
        dp[j] = scale * s[j] * (dp[j] - dot);
    }
}

KERNEL static float row_dot(const float *x, const float *y, int64_t n)
{
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

/* One query head: its views [seq, .], and those of its KV head. */
struct head {
    view q, k, v, o, lse, d_o, dq, dk, dv;
    const int32_t *firsts;
};

/* The query rows from r0 on against those of the tile's keys from k0 on that they see: dq (+)=, dk +=, dv +=.
 */
static void bwd_tile(const struct head *h, struct tiling tile, int64_t r0, int64_t tile0, float *scratch)
{
    int64_t from = first_of(h->firsts, r0), k0 = at_least(tile0, from), rows = min(tile.rows, h->q.n[1] - r0);
    int64_t keys = min(tile0 + tile.keys, r0 + rows) - k0;
    if (keys <= 0)
        return;
    view q = view_rows(h->q, r0, rows), d_o = view_rows(h->d_o, r0, rows), k = view_rows(h->k, k0, keys);
    view p = tile_of(scratch, tile, 0, rows, keys), ds = tile_of(scratch, tile, 1, rows, keys);
    float scale = 1 / sqrtf((float)q.n[2]);
    gemm(false, true, q, k, 0, p);
    gemm(false, true, d_o, view_rows(h->v, k0, keys), 0, ds);
    for (int64_t i = 0; i < rows; i++) {
        float dot = row_dot(f32_row(d_o, i), f32_row(h->o, r0 + i), d_o.n[2]);
        struct seen seen = seen_by(h->firsts, r0 + i, k0, keys);
        softmax_bwd(f32_row(p, i) + seen.lo, f32_row(ds, i) + seen.lo, seen.n, scale,
                    *f32_row(h->lse, r0 + i), dot);
        hide(f32_row(p, i), seen, keys);
        hide(f32_row(ds, i), seen, keys);
    }
    gemm(true, false, p, d_o, 1, view_rows(h->dv, k0, keys));
    gemm(true, false, ds, q, 1, view_rows(h->dk, k0, keys));
    gemm(false, false, ds, k, k0 > from, view_rows(h->dq, r0, rows));
}

/* Rows [from, to) against all keys that they see. */
static void bwd_rows(const struct head *h, struct tiling tile, int64_t from, int64_t to, float *scratch)
{
    for (int64_t k0 = 0; k0 < to; k0 += tile.keys)
        for (int64_t r0 = at_least(k0, from); r0 < to; r0 += tile.rows)
            bwd_tile(h, tile, r0, k0, scratch);
}

static void zero(view v)
{
    for (int64_t r = 0; r < v.n[1]; r++)
        memset(f32_row(v, r), 0, (size_t)v.n[2] * sizeof(float));
}

/* The arguments of a call, all in fp32. */
struct bwd {
    struct attn_shape a;
    struct tiling tile;
    view dq, dk, dv, d_o, o, lse, q, k, v;
};

/* Query head i of sequence b, with the dk and dv of its KV head. */
static struct head query_head(const struct bwd *x, int64_t b, int64_t i)
{
    int64_t s = x->a.seq, d = x->a.head_dim, kv = i / (x->a.heads / x->a.kv_heads);
    return (struct head){.q = head_of(x->q, s, b, i, d),
                         .k = head_of(x->k, s, b, kv, d),
                         .v = head_of(x->v, s, b, kv, d),
                         .o = head_of(x->o, s, b, i, d),
                         .lse = head_of(x->lse, s, b, i, 1),
                         .d_o = head_of(x->d_o, s, b, i, d),
                         .dq = head_of(x->dq, s, b, i, d),
                         .dk = head_of(x->dk, s, b, kv, d),
                         .dv = head_of(x->dv, s, b, kv, d),
                         .firsts = firsts_of(x->a, b)};
}

static void bwd_by_kv_heads(struct dev *dev, const struct bwd *x, int64_t tasks)
{
    int64_t per_kv = x->a.heads / x->a.kv_heads;
    float *scratch = scratch_floats(dev, tiles_size(x->tile));
    if (dev->dry)
        return;
#pragma omp parallel for schedule(static)
    for (int64_t task = 0; task < tasks; task++) {
        int64_t b = task / x->a.kv_heads, first = task % x->a.kv_heads * per_kv;
        for (int64_t i = first; i < first + per_kv; i++) {
            struct head h = query_head(x, b, i);
            if (i == first) {
                zero(h.dk);
                zero(h.dv);
            }
            bwd_rows(&h, x->tile, 0, x->a.seq, scratch);
        }
    }
}

/* Chunks [first, first + n) of a sequence's rows, for all query heads. The dk and dv of a task, [2, seq,
 * head_dim], are at part(head, chunk). */
struct wave {
    int64_t b, first, n, rows; /* sequence, chunks, rows of a chunk */
    float *parts;
};

static view part_of(const struct bwd *x, const struct wave *w, int64_t head, int64_t chunk)
{
    int64_t seq = x->a.seq, d = x->a.head_dim;
    return view_of(w->parts + (head * w->n + chunk) * 2 * seq * d, F32, 2, seq, d);
}

static int64_t end_of(const struct bwd *x, const struct wave *w, int64_t chunk)
{
    return min(x->a.seq, (w->first + chunk + 1) * w->rows);
}

/* Late chunks go first, because they have the most keys. */
static void wave_run(const struct bwd *x, const struct wave *w, float *scratch)
{
#pragma omp parallel for schedule(dynamic)
    for (int64_t task = 0; task < w->n * x->a.heads; task++) {
        int64_t i = task % x->a.heads, chunk = w->n - 1 - task / x->a.heads, end = end_of(x, w, chunk);
        view part = part_of(x, w, i, chunk);
        struct head h = query_head(x, w->b, i);
        h.dk = view_at(part, 0);
        h.dv = view_at(part, 1);
        zero(view_rows(h.dk, 0, end));
        zero(view_rows(h.dv, 0, end));
        bwd_rows(&h, x->tile, (w->first + chunk) * w->rows, end, scratch);
    }
}

static void row_add(float *y, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += x[i];
}

/* Add the parts of the query heads to dk and dv of their KV head, by head and chunk. */
static void wave_add(const struct bwd *x, const struct wave *w)
{
    int64_t seq = x->a.seq, d = x->a.head_dim, per_kv = x->a.heads / x->a.kv_heads;
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < x->a.kv_heads * seq; row++) {
        int64_t kv = row / seq, r = row % seq;
        float *dk = f32_row(x->dk, w->b * seq + r) + kv * d, *dv = f32_row(x->dv, w->b * seq + r) + kv * d;
        for (int64_t task = kv * per_kv * w->n; task < (kv + 1) * per_kv * w->n; task++) {
            if (r >= end_of(x, w, task % w->n))
                continue;
            view part = part_of(x, w, task / w->n, task % w->n);
            row_add(dk, f32_row(part, r), d);
            row_add(dv, f32_row(part, seq + r), d);
        }
    }
}

/* There are so many chunks that threads share them evenly, although late ones take longer. As many run at a
 * time as fit into PARTS bytes, but at least a task for each thread. */
static void bwd_by_chunks(struct dev *dev, const struct bwd *x)
{
    enum { TASKS = 3, PARTS = 512 << 20 };
    int64_t threads = omp_get_max_threads(), seq = x->a.seq, heads = x->a.heads, rows = x->tile.rows;
    int64_t blocks = (seq + rows - 1) / rows, wanted = (TASKS * threads + heads - 1) / heads;
    struct wave w = {.rows = wanted < blocks ? blocks / wanted * rows : rows};
    int64_t chunks = (seq + w.rows - 1) / w.rows, size = heads * 2 * seq * x->a.head_dim;
    int64_t fit = PARTS / (size * (int64_t)sizeof(float)), least = (threads + heads - 1) / heads;
    int64_t most = min(chunks, fit > least ? fit : least);
    float *scratch = scratch_floats(dev, tiles_size(x->tile) + most * size);
    if (dev->dry)
        return;
    w.parts = scratch + tiles_size(x->tile);
    zero(x->dk);
    zero(x->dv);
    for (w.b = 0; w.b < x->q.n[1] / seq; w.b++)
        for (w.first = 0; w.first < chunks; w.first += w.n) {
            w.n = min(most, chunks - w.first);
            wave_run(x, &w, scratch);
            wave_add(x, &w);
        }
}

static void attn_bwd(struct dev *dev, const struct bwd *x)
{
    int64_t tasks = x->a.seq ? x->q.n[1] / x->a.seq * x->a.kv_heads : 0;
    if (tasks == 0 || tasks >= omp_get_max_threads())
        bwd_by_kv_heads(dev, x, tasks);
    else
        bwd_by_chunks(dev, x);
}

void cpu_attn_bwd(struct dev *dev, struct attn_shape a, view dq, view dk, view dv, view d_o, view o, view lse,
                  view q, view k, view v)
{
    struct bwd x = {.a = a,
                    .tile = tiling_of(a.head_dim),
                    .dq = wide_view(dev, WIDE_DQ, dq, false),
                    .dk = wide_view(dev, WIDE_DK, dk, false),
                    .dv = wide_view(dev, WIDE_DV, dv, false),
                    .d_o = wide_view(dev, WIDE_D_O, d_o, true),
                    .o = wide_view(dev, WIDE_O, o, true),
                    .lse = lse,
                    .q = wide_view(dev, WIDE_Q, q, true),
                    .k = wide_view(dev, WIDE_K, k, true),
                    .v = wide_view(dev, WIDE_V, v, true)};
    attn_bwd(dev, &x);
    wide_view_store(dev, dq, x.dq);
    wide_view_store(dev, dk, x.dk);
    wide_view_store(dev, dv, x.dv);
}
