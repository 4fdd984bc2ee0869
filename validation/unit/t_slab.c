/* Boxes and pieces against brute force over single elements. */
#include "layout/slab.h"

#include <string.h>
#include "base/mem.h"
#include "base/rng.h"
#include "tap.h"

static uint64_t drawn;

static int64_t draw(int64_t below)
{
    return (int64_t)(rng_uniform(7, 1, drawn++) * (double)below);
}

static void test_block(void)
{
    bool good = true;
    for (int64_t n = 0; n < 40; n++)
        for (int64_t parts = 1; parts < 12; parts++)
            for (int64_t i = 0, next = 0; i < parts; i++) {
                struct range r = block(n, parts, i);
                good = good && r.lo == next && (r.n == n / parts || r.n == (n + parts - 1) / parts);
                next = r.lo + r.n;
                good = good && (i < parts - 1 || next == n);
            }
    ok(good, "block cuts evenly, without gaps");
    struct range r = block(10, 4, 1);
    ok(r.lo == 2 && r.n == 3, "block(10, 4, 1) = [2, 5)");
}

static slab random_box(const int64_t dim[3])
{
    slab s;
    for (int i = 0; i < 3; i++) {
        s.lo[i] = draw(dim[i]);
        s.n[i] = 1 + draw(dim[i] - s.lo[i]);
    }
    return s;
}

static piece random_piece(const int64_t dim[3])
{
    piece p = {.box = random_box(dim)};
    int64_t size = slab_size(&p.box);
    p.lo = draw(size);
    p.n = draw(size - p.lo + 1);
    return p;
}

/* Global index of element e of a box. */
static void global(const slab *box, int64_t e, int64_t at[3])
{
    for (int i = 2; i >= 0; i--) {
        at[i] = box->lo[i] + e % box->n[i];
        e /= box->n[i];
    }
}

static bool inside(const slab *box, const int64_t at[3])
{
    for (int i = 0; i < 3; i++)
        if (at[i] < box->lo[i] || at[i] >= box->lo[i] + box->n[i])
            return false;
    return true;
}

static int64_t offset(const slab *box, const int64_t at[3])
{
    return ((at[0] - box->lo[0]) * box->n[1] + at[1] - box->lo[1]) * box->n[2] + at[2] - box->lo[2];
}

static void test_intersect(const int64_t dim[3])
{
    bool good = true;
    for (int trial = 0; trial < 200; trial++) {
        slab a = random_box(dim), b = random_box(dim), c = slab_intersect(&a, &b), all = slab_whole(dim);
        for (int64_t e = 0; e < slab_size(&all); e++) {
            int64_t at[3];
            global(&all, e, at);
            good = good && inside(&c, at) == (inside(&a, at) && inside(&b, at));
        }
        good = good && slab_equal(&a, &b) == (memcmp(&a, &b, sizeof a) == 0) && slab_equal(&c, &c);
    }
    ok(good, "intersections of random boxes");
}

/* The boxes of a piece, element by element, are the piece in order. */
static bool slabs_are_piece(const piece *p, int *most)
{
    slab box[5];
    int n = piece_slabs(p, box);
    int64_t e = p->lo;
    for (int b = 0; b < n; b++)
        for (int64_t i = 0; i < slab_size(&box[b]); i++, e++) {
            int64_t a[3], w[3];
            global(&box[b], i, a);
            global(&p->box, e, w);
            if (memcmp(a, w, sizeof a) != 0)
                return false;
        }
    *most = n > *most ? n : *most;
    return e == p->lo + p->n;
}

static void test_piece_slabs(const int64_t dim[3])
{
    bool good = true;
    int most = 0;
    for (int trial = 0; trial < 2000; trial++) {
        piece p = random_piece(dim);
        good = good && slabs_are_piece(&p, &most);
    }
    ok(good, "boxes of 2000 random pieces hold their elements in order");
    ok(most == 5, "five boxes occur, and no more");
}

/* Longest runs, one element of `want` after the other. */
static int64_t brute_overlap(const piece *have, const piece *want, struct run *runs)
{
    int64_t n = 0;
    for (int64_t e = 0; e < want->n; e++) {
        int64_t at[3];
        global(&want->box, want->lo + e, at);
        int64_t from = inside(&have->box, at) ? offset(&have->box, at) - have->lo : -1;
        if (from < 0 || from >= have->n)
            continue;
        if (n > 0 && runs[n - 1].from + runs[n - 1].n == from && runs[n - 1].to + runs[n - 1].n == e)
            runs[n - 1].n++;
        else
            runs[n++] = (struct run){from, e, 1};
    }
    return n;
}

static void test_overlap(const int64_t dim[3], const char *what)
{
    enum { MOST = 1024 };
    static struct run a[MOST], b[MOST];
    bool good = true, counted = true, bounded = true;
    for (int trial = 0; trial < 2000; trial++) {
        piece have = random_piece(dim), want = random_piece(dim);
        int64_t n = brute_overlap(&have, &want, b);
        memset(a, 0xff, sizeof a);
        counted = counted && piece_overlap(&have, &want, NULL, 0) == n;
        good = good && piece_overlap(&have, &want, a, MOST) == n && memcmp(a, b, (size_t)n * sizeof *a) == 0;
        memset(a, 0xff, sizeof a);
        piece_overlap(&have, &want, a, 1);
        bounded = bounded && a[1].n == -1 && (n == 0 || memcmp(a, b, sizeof *a) == 0);
    }
    ok(good, "runs of 2000 random pairs of pieces, %s", what);
    ok(counted, "their number with max = 0, %s", what);
    ok(bounded, "max = 1 writes one run, %s", what);
}

static void test_large(void)
{
    const int64_t dim[3] = {8, 28672, 8192}; /* 1.9e9 elements, so offsets pass 31 bits */
    piece all = {.box = slab_whole(dim)}, part = {.box = {{3, 0, 0}, {1, 28672, 8192}}};
    struct run r;
    all.n = slab_size(&all.box);
    part.n = slab_size(&part.box);
    int64_t n = piece_overlap(&all, &part, &r, 1);
    ok(n == 1 && r.from == 3 * part.n && r.to == 0 && r.n == part.n,
       "an expert of a large tensor is one run");
}

/* In how many of the pieces each element lies. */
static bool brute_tile(const piece *p, int n, const int64_t dim[3])
{
    slab whole = slab_whole(dim);
    for (int64_t e = 0; e < slab_size(&whole); e++) {
        int64_t at[3], in = 0;
        global(&whole, e, at);
        for (int i = 0; i < n; i++) {
            int64_t o = inside(&p[i].box, at) ? offset(&p[i].box, at) - p[i].lo : -1;
            in += o >= 0 && o < p[i].n;
        }
        if (in != 1)
            return false;
    }
    return true;
}

/* Cut box i of *n in two along an axis, if it is long enough. */
static void cut_box(piece *p, int *n, int i, int axis)
{
    slab *box = &p[i].box;
    if (box->n[axis] < 2)
        return;
    int64_t half = 1 + draw(box->n[axis] - 1);
    p[*n] = p[i];
    p[*n].box.lo[axis] += half;
    p[*n].box.n[axis] -= half;
    box->n[axis] = half;
    ++*n;
}

/* Cut an array into random boxes and each box into runs. */
static int random_tiles(piece *p, const int64_t dim[3])
{
    int n = 1;
    p[0] = (piece){.box = slab_whole(dim)};
    for (int cut = 0; cut < 4; cut++)
        cut_box(p, &n, (int)draw(n), (int)draw(3));
    for (int i = 0, boxes = n; i < boxes; i++) {
        int64_t size = slab_size(&p[i].box), first = draw(size);
        p[i].n = size;
        if (first == 0)
            continue;
        p[n] = p[i];
        p[i].n = p[n].lo = first;
        p[n++].n = size - first;
    }
    return n;
}

/* Tiles, and tiles with one fault: one left out, one twice, one in the place of another, one moved or
 * shortened. */
static void spoil(piece *p, int *n)
{
    int i = (int)draw(*n), j = (int)draw(*n);
    switch (draw(6)) {
    case 0: p[i] = p[--*n]; break;
    case 1: p[*n] = p[i], ++*n; break;
    case 2: p[i] = p[j]; break;
    case 3: p[i].n -= p[i].n > 1; break;
    case 4: p[i].lo -= p[i].lo > 0; break;
    default: break;
    }
}

static void test_tile(const int64_t dim[3], const char *what)
{
    int good = 0, bad = 0, wrong = 0;
    for (int trial = 0; trial < 4000; trial++) {
        piece p[16];
        int n = random_tiles(p, dim);
        spoil(p, &n);
        bool expected = brute_tile(p, n, dim);
        good += expected;
        bad += !expected;
        wrong += pieces_tile(p, n, dim) != expected;
    }
    ok(wrong == 0 && good > 500 && bad > 500, "%d tilings and %d that are none are told apart, %s", good, bad,
       what);
}

int main(void)
{
    const int64_t cube[3] = {4, 5, 6}, matrix[3] = {1, 9, 7}, vector[3] = {1, 1, 50};
    test_block();
    test_intersect(cube);
    test_piece_slabs(cube);
    test_overlap(cube, "three axes");
    test_overlap(matrix, "a matrix");
    test_overlap(vector, "a vector");
    test_large();
    test_tile(cube, "three axes");
    test_tile(matrix, "a matrix");
    test_tile(vector, "a vector");
    return tap_done();
}
