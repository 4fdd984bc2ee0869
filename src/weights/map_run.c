/* Reading by a map. The needed part of an array is cut into boxes, such that every term needs all of a box or
 * nothing of it. Each box is read once, block by block, and goes to all terms that need it: in upcycling, a
 * row of the dense model is read once for all its experts. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#    include <emmintrin.h>
#endif

#include "base/half.h"
#include "base/mem.h"
#include "weights/map.h"

enum { BLOCK = 1 << 16 }; /* values in a block; 256 KiB stay in a core's cache until all copies are made */

union block {
    float f32[BLOCK];
    uint16_t bf16[BLOCK];
};

/* Terms that are read together: all copying terms of an array, or a single other term. */
struct share {
    int source, array, n;
    struct term *term;          /* [n], picks sorted by src */
    int64_t *cut[3], n_cuts[3]; /* for each axis, where the need of some term begins or ends; ascending */
    int64_t at[3];              /* the cell between cuts that share_next looks at next */
    bool bf16;                  /* blocks stay BF16 until they are copied */
};

static int compare_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int compare_src(const void *a, const void *b)
{
    const struct pick *x = a, *y = b;
    return x->src != y->src ? (x->src > y->src) - (x->src < y->src) : (x->dst > y->dst) - (x->dst < y->dst);
}

/* The order of pointers to terms: copies by array, then the others in the order in which they were pushed. */
static int compare_term(const void *a, const void *b)
{
    const struct term *x = *(const struct term *const *)a, *y = *(const struct term *const *)b;
    bool copies = x->does == COPY && y->does == COPY;
    if ((x->does == COPY) != (y->does == COPY))
        return x->does == COPY ? -1 : 1;
    if (copies && x->source != y->source)
        return x->source - y->source;
    if (copies && x->array != y->array)
        return x->array < y->array ? -1 : 1;
    return (x > y) - (x < y);
}

static bool same_share(const struct term *x, const struct term *y)
{
    return x->does == COPY && y->does == COPY && x->source == y->source && x->array == y->array;
}

static struct axis axis_by_source(const struct axis *a)
{
    struct axis sorted = *a;
    if (a->at) {
        sorted.at = mem_new(a->n, sizeof *sorted.at);
        memcpy(sorted.at, a->at, (size_t)a->n * sizeof *sorted.at);
        qsort(sorted.at, (size_t)a->n, sizeof *sorted.at, compare_src);
    }
    return sorted;
}

/* The beginnings and ends of the runs of source indices. Returns how many there are, at most 2n. */
static int64_t axis_cuts(const struct axis *a, int64_t *cut)
{
    int64_t n = 0, end = -1; /* end: the index behind the current run */
    for (int64_t i = 0; i < a->n; i = a->at ? i + 1 : a->n) {
        int64_t src = axis_at(a, i).src;
        if (src > end || n == 0) {
            if (n > 0)
                cut[n++] = end;
            cut[n++] = src;
        }
        end = a->at ? src + 1 : src + a->n;
    }
    cut[n++] = end;
    return n;
}

static void share_cut(struct share *s, int a)
{
    int64_t room = 0, n = 0;
    for (int i = 0; i < s->n; i++)
        room += s->term[i].axis[a].at ? 2 * s->term[i].axis[a].n : 2;
    int64_t *cut = mem_new(room, sizeof *cut);
    for (int i = 0; i < s->n; i++)
        n += axis_cuts(&s->term[i].axis[a], cut + n);
    qsort(cut, (size_t)n, sizeof *cut, compare_i64);
    int64_t unique = 0;
    for (int64_t i = 0; i < n; i++)
        if (unique == 0 || cut[i] != cut[unique - 1])
            cut[unique++] = cut[i];
    s->cut[a] = cut;
    s->n_cuts[a] = unique;
}

static void share_open(struct share *s, const struct term *const *term, int n)
{
    *s = (struct share){.source = term[0]->source, .array = term[0]->array, .n = n};
    s->term = mem_new(n, sizeof *s->term);
    for (int i = 0; i < n; i++) {
        s->term[i] = *term[i];
        for (int a = 0; a < 3; a++)
            s->term[i].axis[a] = axis_by_source(&term[i]->axis[a]);
    }
    for (int a = 0; a < 3; a++)
        share_cut(s, a);
}

static void share_close(struct share *s)
{
    for (int a = 0; a < 3; a++) {
        for (int i = 0; i < s->n; i++)
            free(s->term[i].axis[a].at);
        free(s->cut[a]);
    }
    free(s->term);
}

static bool term_needs(const struct term *t, const int64_t src[3])
{
    for (int a = 0; a < 3; a++) {
        int64_t i = axis_lower(&t->axis[a], true, src[a]);
        if (i == t->axis[a].n || axis_at(&t->axis[a], i).src != src[a])
            return false;
    }
    return true;
}

static bool share_needs(const struct share *s, const int64_t src[3])
{
    for (int i = 0; i < s->n; i++)
        if (term_needs(&s->term[i], src))
            return true;
    return false;
}

/* The next box of the array that some term needs; false behind the last. */
static bool share_next(struct share *s, slab *box)
{
    while (s->at[0] < s->n_cuts[0] - 1) {
        for (int a = 0; a < 3; a++) {
            box->lo[a] = s->cut[a][s->at[a]];
            box->n[a] = s->cut[a][s->at[a] + 1] - box->lo[a];
        }
        for (int a = 2; a >= 0; a--) {
            if (++s->at[a] < s->n_cuts[a] - 1 || a == 0)
                break;
            s->at[a] = 0;
        }
        if (share_needs(s, box->lo))
            return true;
    }
    return false;
}

/* Make the shares of a map, in the order in which they are to be run. Returns their number. */
static int shares_open(const struct map *m, struct share **out)
{
    const struct term **term = mem_new(m->n, sizeof *term);
    struct share *share = mem_new(m->n, sizeof *share);
    int n = 0;
    for (int i = 0; i < m->n; i++)
        term[i] = &m->term[i];
    qsort(term, (size_t)m->n, sizeof *term, compare_term);
    for (int first = 0, end; first < m->n; first = end) {
        for (end = first + 1; end < m->n && same_share(term[first], term[end]);)
            end++;
        share_open(&share[n++], &term[first], end - first);
    }
    free(term);
    *out = share;
    return n;
}

static void shares_close(struct share *share, int n)
{
    for (int i = 0; i < n; i++)
        share_close(&share[i]);
    free(share);
}

int64_t map_bytes(const struct map *m, struct source *const *sources)
{
    struct share *share;
    int n = shares_open(m, &share);
    int64_t bytes = 0;
    slab box;
    for (int i = 0; i < n; i++)
        while (share_next(&share[i], &box))
            bytes += mem_mul(slab_size(&box), sources[share[i].source]->array[share[i].array].element_bytes);
    shares_close(share, n);
    return bytes;
}

static void put(float *y, float x, double scale, bool add)
{
    if (add)
        *y = (float)((double)*y + scale * (double)x);
    else
        *y = scale == 1.0 ? x : (float)(scale * (double)x);
}

/* memcpy without filling the caches: the whole target is far larger than they are and is not read soon. */
static void copy(float *to, const float *from, int64_t n)
{
#ifdef __SSE2__
    for (; n > 0 && (uintptr_t)to % sizeof(__m128); n--)
        *to++ = *from++;
    for (; n >= 4; n -= 4, to += 4, from += 4)
        _mm_stream_ps(to, _mm_loadu_ps(from));
#endif
    memcpy(to, from, (size_t)n * sizeof *to);
}

/* The same from BF16, the upper halves of floats. */
static void copy_bf16(float *to, const uint16_t *from, int64_t n)
{
#ifdef __SSE2__
    const __m128i zero = _mm_setzero_si128();
    for (; n > 0 && (uintptr_t)to % sizeof(__m128); n--)
        *to++ = float_of_bf16(*from++);
    for (; n >= 8; n -= 8, to += 8, from += 8) {
        __m128i x = _mm_loadu_si128((const void *)from);
        _mm_stream_si128((void *)to, _mm_unpacklo_epi16(zero, x));
        _mm_stream_si128((void *)(to + 4), _mm_unpackhi_epi16(zero, x));
    }
#endif
    for (; n > 0; n--)
        *to++ = float_of_bf16(*from++);
}

/* Copy one row: picks [p.lo, p.lo + p.n) of the last axis. from[0] is column `lo` of the source. */
static void scatter_row(const struct term *t, struct range p, int64_t lo, double scale, const float *from,
                        float *to)
{
    const struct axis *a = &t->axis[2];
    if (a->at) {
        for (int64_t i = p.lo; i < p.lo + p.n; i++)
            put(&to[a->at[i].dst], from[a->at[i].src - lo], scale * a->at[i].scale, t->does == ADD);
        return;
    }
    to += a->lo + p.lo;
    from += a->from + p.lo - lo;
    if (scale == 1.0 && t->does != ADD)
        copy(to, from, p.n);
    else
        for (int64_t i = 0; i < p.n; i++)
            put(&to[i], from[i], scale, t->does == ADD);
}

/* Copy a block, which is `box` of the source, to all places of out [n] to which the term maps it. */
static void scatter(const struct term *t, const slab *box, const union block *block, bool bf16,
                    const int64_t n[3], float *out)
{
    const struct axis *a = &t->axis[2];
    struct range p[3];
    for (int i = 0; i < 3; i++) {
        p[i].lo = axis_lower(&t->axis[i], true, box->lo[i]);
        p[i].n = axis_lower(&t->axis[i], true, box->lo[i] + box->n[i]) - p[i].lo;
    }
    for (int64_t i = p[0].lo; i < p[0].lo + p[0].n; i++) {
        for (int64_t j = p[1].lo; p[2].n > 0 && j < p[1].lo + p[1].n; j++) {
            struct pick e = axis_at(&t->axis[0], i), r = axis_at(&t->axis[1], j);
            int64_t at = ((e.src - box->lo[0]) * box->n[1] + r.src - box->lo[1]) * box->n[2];
            float *to = out + (e.dst * n[1] + r.dst) * n[2];
            if (bf16)
                copy_bf16(to + a->lo + p[2].lo, block->bf16 + at + a->from + p[2].lo - box->lo[2], p[2].n);
            else
                scatter_row(t, p[2], box->lo[2], e.scale * r.scale, block->f32 + at, to);
        }
    }
}

/* Does the share only copy one box to one contiguous piece of out, so that it can be read there directly? */
static bool is_direct(const struct share *s, const int64_t n[3])
{
    const struct axis *a = s->term[0].axis;
    return s->n == 1 && s->term[0].does == COPY && !a[0].at && !a[1].at && !a[2].at &&
           (a[2].n == n[2] || (a[1].n == 1 && a[0].n == 1)) && (a[1].n == n[1] || a[0].n == 1);
}

static status run_direct(const struct share *s, struct source *source, const int64_t n[3], float *out,
                         int64_t *bytes)
{
    const struct axis *a = s->term[0].axis;
    slab box = {{a[0].from, a[1].from, a[2].from}, {a[0].n, a[1].n, a[2].n}};
    return source_read(source, s->array, box, out + (a[0].lo * n[1] + a[1].lo) * n[2] + a[2].lo, bytes);
}

static status run_block(const struct share *s, struct source *source, const slab *box, const int64_t n[3],
                        float *out, int64_t *bytes)
{
    union block block;
    TRY(s->bf16 ? source_read_bf16(source, s->array, *box, block.bf16, bytes)
                : source_read(source, s->array, *box, block.f32, bytes));
    for (int t = 0; t < s->n; t++)
        scatter(&s->term[t], box, &block, s->bf16, n, out);
#ifdef __SSE2__
    _mm_sfence(); /* so that other threads see what copy() wrote */
#endif
    return OK;
}

/* Read a box in blocks and copy them. */
static status run_box(const struct share *s, struct source *source, const slab *box, const int64_t n[3],
                      float *out, int64_t *bytes)
{
    int64_t columns = box->n[2] < BLOCK ? box->n[2] : BLOCK, rows = BLOCK / columns;
    for (int64_t i = 0; i < box->n[0]; i++)
        for (int64_t j = 0; j < box->n[1]; j += rows)
            for (int64_t k = 0; k < box->n[2]; k += columns) {
                int64_t below = box->n[1] - j, right = box->n[2] - k;
                slab part = {{box->lo[0] + i, box->lo[1] + j, box->lo[2] + k},
                             {1, below < rows ? below : rows, right < columns ? right : columns}};
                TRY(run_block(s, source, &part, n, out, bytes));
            }
    return OK;
}

static bool is_unscaled(const struct axis *a)
{
    for (int64_t i = 0; a->at && i < a->n; i++)
        if (a->at[i].scale != 1)
            return false;
    return true;
}

/* Do all terms copy runs of values without a scale? */
static bool is_plain(const struct share *s)
{
    for (int i = 0; i < s->n; i++) {
        const struct term *t = &s->term[i];
        if (t->does != COPY || t->axis[2].at || !is_unscaled(&t->axis[0]) || !is_unscaled(&t->axis[1]))
            return false;
    }
    return true;
}

static status run_share(struct share *s, struct source *source, const int64_t n[3], float *out,
                        int64_t *bytes)
{
    slab box;
    s->bf16 = source_has_bf16(source, s->array) && is_plain(s);
    if (is_direct(s, n) && !source->concurrent)
        return run_direct(s, source, n, out, bytes);
    while (share_next(s, &box))
        TRY(run_box(s, source, &box, n, out, bytes));
    return OK;
}

/* The number of elements that copying terms write. They write different elements, so their sizes add up. */
static int64_t copied(const struct map *m)
{
    int64_t n = 0;
    for (int i = 0; i < m->n; i++)
        if (m->term[i].does == COPY)
            n += mem_mul(mem_mul(m->term[i].axis[0].n, m->term[i].axis[1].n), m->term[i].axis[2].n);
    return n;
}

static void check_extent(const struct map *m, const int64_t n[3])
{
    for (int i = 0; i < m->n; i++)
        for (int a = 0; a < 3; a++) {
            const struct axis *x = &m->term[i].axis[a];
            if (axis_at(x, 0).dst < 0 || axis_at(x, x->n - 1).dst >= n[a])
                bug("map: term %d writes outside its tensor on axis %d", i, a);
        }
}

status map_run(const struct map *m, struct source *const *sources, const int64_t n[3], float *out,
               int64_t *bytes_read)
{
    int64_t size = mem_mul(mem_mul(n[0], n[1]), n[2]);
    check_extent(m, n);
    if (copied(m) != size)
        memset(out, 0, (size_t)size * sizeof *out);
    struct share *share;
    int n_shares = shares_open(m, &share);
    status result = OK;
    for (int i = 0; i < n_shares && result == OK; i++)
        result = run_share(&share[i], sources[share[i].source], n, out, bytes_read);
    shares_close(share, n_shares);
    return result;
}
