#include "layout/slab.h"

#include <stdlib.h>
#include "base/mem.h"
#include "base/status.h"

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

struct range block(int64_t n, int64_t parts, int64_t i)
{
    if (parts <= 0 || i < 0 || i >= parts)
        bug("block(%lld, %lld, %lld): no such part", (long long)n, (long long)parts, (long long)i);
    int64_t lo = mem_mul(i, n) / parts, hi = mem_mul(i + 1, n) / parts;
    return (struct range){lo, hi - lo};
}

int64_t slab_size(const slab *s)
{
    return mem_mul(mem_mul(s->n[0], s->n[1]), s->n[2]);
}

slab slab_whole(const int64_t dim[3])
{
    return (slab){{0, 0, 0}, {dim[0], dim[1], dim[2]}};
}

slab slab_intersect(const slab *a, const slab *b)
{
    slab s;
    for (int i = 0; i < 3; i++) {
        s.lo[i] = max(a->lo[i], b->lo[i]);
        s.n[i] = max(0, min(a->lo[i] + a->n[i], b->lo[i] + b->n[i]) - s.lo[i]);
    }
    return s;
}

bool slab_equal(const slab *a, const slab *b)
{
    for (int i = 0; i < 3; i++)
        if (a->lo[i] != b->lo[i] || a->n[i] != b->n[i])
            return false;
    return true;
}

/* The largest box of at most n elements that starts at element `at` of `box`, in row-major order: whole
 * planes if possible, else whole rows of one plane, else a part of one row. */
static slab next_box(const slab *box, int64_t at, int64_t n)
{
    int64_t row = box->n[2], plane = box->n[1] * row, in_plane = at % plane, in_row = at % row;
    slab s = {{box->lo[0] + at / plane, box->lo[1] + in_plane / row, box->lo[2] + in_row}, {1, 1, 1}};
    if (in_plane == 0 && n >= plane) {
        s.n[0] = n / plane;
        s.n[1] = box->n[1];
        s.n[2] = row;
    } else if (in_row == 0 && n >= row) {
        s.n[1] = min(n, plane - in_plane) / row;
        s.n[2] = row;
    } else {
        s.n[2] = min(n, row - in_row);
    }
    return s;
}

/* A piece is at most: part of a row, rows, planes, rows, part of a row. */
int piece_slabs(const piece *p, slab out[5])
{
    int boxes = 0;
    for (int64_t done = 0; done < p->n; done += slab_size(&out[boxes++]))
        out[boxes] = next_box(&p->box, p->lo + done, p->n - done);
    return boxes;
}

/* Offset of a global index within a box, row-major. */
static int64_t offset_in(const slab *box, const int64_t at[3])
{
    return ((at[0] - box->lo[0]) * box->n[1] + at[1] - box->lo[1]) * box->n[2] + at[2] - box->lo[2];
}

struct overlap {
    const piece *have, *want;
    struct run *runs, last; /* the last run stands apart, so that counting merges runs as writing does */
    int64_t max, count;
};

/* A run that continues the last one in both pieces is merged with it. */
static void add_run(struct overlap *o, struct run r)
{
    bool joins = o->count > 0 && o->last.from + o->last.n == r.from && o->last.to + o->last.n == r.to;
    if (joins) {
        o->last.n += r.n;
    } else {
        o->last = r;
        o->count++;
    }
    if (o->count <= o->max)
        o->runs[o->count - 1] = o->last;
}

/* Go row by row, because the row of one piece may lie in several boxes of the other: in a part row and in
 * rows. */
static void overlap_box(struct overlap *o, const slab *have, int n, const slab *want)
{
    slab shared = slab_intersect(&o->have->box, want), row = shared;
    row.n[0] = row.n[1] = 1;
    for (int64_t i = 0; i < shared.n[0]; i++)
        for (int64_t j = 0; j < shared.n[1]; j++) {
            row.lo[0] = shared.lo[0] + i;
            row.lo[1] = shared.lo[1] + j;
            for (int h = 0; h < n; h++) {
                slab both = slab_intersect(&have[h], &row);
                if (slab_size(&both) > 0)
                    add_run(o, (struct run){offset_in(&o->have->box, both.lo) - o->have->lo,
                                            offset_in(&o->want->box, both.lo) - o->want->lo, both.n[2]});
            }
        }
}

int64_t piece_overlap(const piece *have, const piece *want, struct run *runs, int64_t max)
{
    struct overlap o = {.have = have, .want = want, .runs = runs, .max = max};
    slab from[5], to[5];
    int n_from = piece_slabs(have, from), n_to = piece_slabs(want, to);
    for (int i = 0; i < n_to; i++)
        overlap_box(&o, from, n_from, &to[i]);
    return o.count;
}

/* ---- do pieces tile an array? ---- */

/* Count how many boxes each element lies in, and take the difference of these counts along all three axes:
 * what is left are the corners of the boxes, + where an even number of the three indices is at its box's end,
 * - elsewhere. Counts can be had back from their differences. So the pieces count every element once if, and
 * only if, their corners are those of the whole array. */
struct corner {
    int64_t at[3], count;
};

static struct corner *add_corners(struct corner *next, const slab *box, int64_t count)
{
    for (int c = 0; c < 8; c++, next++) {
        next->count = count;
        for (int i = 0; i < 3; i++) {
            bool end = c >> i & 1;
            next->at[i] = box->lo[i] + (end ? box->n[i] : 0);
            next->count = end ? -next->count : next->count;
        }
    }
    return next;
}

static int by_place(const void *a, const void *b)
{
    const struct corner *x = a, *y = b;
    for (int i = 0; i < 3; i++)
        if (x->at[i] != y->at[i])
            return x->at[i] < y->at[i] ? -1 : 1;
    return 0;
}

/* Do the counts at each place add up to 0? */
static bool corners_cancel(struct corner *corner, int64_t n)
{
    int64_t sum = 0;
    qsort(corner, (size_t)n, sizeof *corner, by_place);
    for (int64_t i = 0; i < n; i++) {
        if (i > 0 && by_place(&corner[i - 1], &corner[i]) != 0 && sum != 0)
            return false;
        sum += corner[i].count;
    }
    return sum == 0;
}

bool pieces_tile(const piece *p, int64_t n, const int64_t dim[3])
{
    slab box[5], whole = slab_whole(dim);
    struct corner *corner = mem_new(mem_mul(8, mem_add(mem_mul(5, n), 1)), sizeof *corner),
                  *next = add_corners(corner, &whole, -1);
    for (int64_t i = 0; i < n; i++)
        for (int b = 0, boxes = piece_slabs(&p[i], box); b < boxes; b++)
            next = add_corners(next, &box[b], 1);
    bool tile = corners_cancel(corner, next - corner);
    free(corner);
    return tile;
}
