/* Attention of new tokens to a cache of keys and values, row by row. A task is a row with the query heads
 * that share one head of keys and values, so that the cache is read once. It is read in blocks, which become
 * fp32 on the way. */
#include <math.h>
#include "device/cpu/vmath.h"
#include "device/cpu/wide.h"

enum { KEYS = 64 }; /* rows of a block */
enum { SLOT_QUERIES, SLOT_BLOCK, SLOT_SCORES, SLOT_OUTPUT };

/* Rows [from, from + n) of x as floats, *ld apart. */
static const float *block_of(view x, int64_t from, int64_t n, int64_t *ld)
{
    *ld = x.type == F32 ? x.ld : x.n[2];
    if (x.type == F32)
        return f32_row(x, from);
    float *block = wide_buffer(SLOT_BLOCK, KEYS * x.n[2]);
    for (int64_t i = 0; i < n; i++)
        wide_load(block + i * x.n[2], row_of(x, from + i), x.n[2]);
    return block;
}

/* s [heads, all] at column 0 .. keys: the scaled products of q [heads, d] with k [keys, d]. */
KERNEL static void scores(float *s, int64_t all, int64_t heads, const float *q, int64_t d, float scale,
                          const float *k, int64_t ld, int64_t keys)
{
    for (int64_t j = 0; j < keys; j++)
        for (int64_t h = 0; h < heads; h++) {
            float sum = 0;
#pragma omp simd reduction(+ : sum)
            for (int64_t i = 0; i < d; i++)
                sum += q[h * d + i] * k[j * ld + i];
            s[h * all + j] = scale * sum;
        }
}

KERNEL static void softmax(float *s, int64_t n)
{
    float top = s[0], sum = 0;
#pragma omp simd reduction(max : top)
    for (int64_t j = 0; j < n; j++)
        top = s[j] > top ? s[j] : top;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) {
        s[j] = vm_exp(s[j] - top);
        sum += s[j];
    }
    for (int64_t j = 0; j < n; j++)
        s[j] /= sum;
}

/* o [heads, d] += p [heads, keys] v [keys, d]; rows of p are `all` apart. */
KERNEL static void mix(float *o, int64_t heads, int64_t d, const float *p, int64_t all, const float *v,
                       int64_t ld, int64_t keys)
{
    for (int64_t h = 0; h < heads; h++)
        for (int64_t j = 0; j < keys; j++)
#pragma omp simd
            for (int64_t i = 0; i < d; i++)
                o[h * d + i] += p[h * all + j] * v[j * ld + i];
}

/* o, q: the row's columns of these heads; k, v: the cache's columns of their head. The row sees n rows from
 * `first` on. */
static void attend(view o, view q, view k, view v, int64_t row, int64_t first, int64_t n)
{
    int64_t d = k.n[2], heads = q.n[2] / d, ld;
    float *out = wide_room(o, row, SLOT_OUTPUT);
    memset(out, 0, (size_t)q.n[2] * sizeof *out);
    if (n > 0) {
        const float *queries = wide_row(q, row, SLOT_QUERIES);
        float *s = wide_buffer(SLOT_SCORES, heads * n), scale = 1 / sqrtf((float)d);
        for (int64_t at = 0, keys; at < n; at += keys) {
            keys = n - at < KEYS ? n - at : KEYS;
            const float *block = block_of(k, first + at, keys, &ld);
            scores(s + at, n, heads, queries, d, scale, block, ld, keys);
        }
        for (int64_t h = 0; h < heads; h++)
            softmax(s + h * n, n);
        for (int64_t at = 0, keys; at < n; at += keys) {
            keys = n - at < KEYS ? n - at : KEYS;
            const float *block = block_of(v, first + at, keys, &ld);
            mix(out, heads, d, s + at, n, block, ld, keys);
        }
    }
    wide_store(o, row, out);
}

void cpu_attn_cached(struct dev *dev, struct attn_shape a, view o, view q, view k, view v, view first,
                     view last)
{
    (void)dev;
    const int32_t *from = first.data, *to = last.data;
    int64_t d = a.head_dim, wide = a.heads / a.kv_heads * d;
#pragma omp parallel for schedule(dynamic)
    for (int64_t task = 0; task < q.n[1] * a.kv_heads; task++) {
        int64_t t = task / a.kv_heads, h = task % a.kv_heads;
        attend(view_cols(o, h * wide, wide), view_cols(q, h * wide, wide), view_cols(k, h * d, d),
               view_cols(v, h * d, d), t, from[t], to[t] - from[t] + 1);
    }
}
