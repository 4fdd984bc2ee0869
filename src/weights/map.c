/* Maps as values: make, compose, restrict. map_run.c reads by them. */
#include "weights/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct axis axis_identity(int64_t n)
{
    return axis_shift(0, n, 0);
}

struct axis axis_shift(int64_t lo, int64_t n, int64_t from)
{
    return (struct axis){.n = n, .lo = lo, .from = from};
}

struct pick axis_at(const struct axis *a, int64_t i)
{
    return a->at ? a->at[i] : (struct pick){a->lo + i, a->from + i, 1.0};
}

int64_t axis_lower(const struct axis *a, bool by_src, int64_t key)
{
    int64_t lo = 0, hi = a->n;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        struct pick p = axis_at(a, mid);
        if ((by_src ? p.src : p.dst) < key)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Are the picks a plain shift? Most are; a shift needs no memory and is copied by memcpy. */
static bool is_shift(const struct pick *at, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (at[i].dst != at[0].dst + i || at[i].src != at[0].src + i || at[i].scale != 1.0)
            return false;
    return n > 0;
}

/* An axis of n picks. Takes ownership of `at`. */
static struct axis axis_take(struct pick *at, int64_t n)
{
    struct axis a = {.n = n, .at = at};
    if (is_shift(at, n))
        a = axis_shift(at[0].dst, n, at[0].src);
    if (a.at && n > 0)
        return a;
    free(at);
    a.at = NULL;
    return a;
}

struct axis axis_picks(const struct pick *picks, int64_t n)
{
    struct pick *at = mem_new(n, sizeof *at);
    if (n > 0)
        memcpy(at, picks, (size_t)n * sizeof *at);
    return axis_take(at, n);
}

/* Compose two axes: keep the picks of `outer` whose source index `inner` writes, and read from where `inner`
 * reads. */
static struct axis axis_compose(const struct axis *outer, const struct axis *inner)
{
    struct pick *at = mem_new(outer->n, sizeof *at);
    int64_t n = 0;
    for (int64_t i = 0; i < outer->n; i++) {
        struct pick o = axis_at(outer, i);
        int64_t k = axis_lower(inner, false, o.src);
        struct pick p = k < inner->n ? axis_at(inner, k) : (struct pick){.dst = -1};
        if (p.dst == o.src)
            at[n++] = (struct pick){o.dst, p.src, o.scale * p.scale};
    }
    return axis_take(at, n);
}

static struct axis axis_restrict(const struct axis *a, int64_t lo, int64_t n)
{
    int64_t first = axis_lower(a, false, lo), end = axis_lower(a, false, lo + n);
    if (!a->at)
        return axis_shift(a->lo + first - lo, end - first, a->from + first);
    struct pick *at = mem_new(end - first, sizeof *at);
    for (int64_t i = 0; i < end - first; i++) {
        at[i] = a->at[first + i];
        at[i].dst -= lo;
    }
    return axis_take(at, end - first);
}

static void term_free(struct term *t)
{
    for (int a = 0; a < 3; a++)
        free(t->axis[a].at);
}

void map_push(struct map *m, struct term t)
{
    if (t.axis[0].n <= 0 || t.axis[1].n <= 0 || t.axis[2].n <= 0) {
        term_free(&t);
        return;
    }
    m->term = mem_grow(m->term, m->n + 1, sizeof *m->term);
    int at = m->n++;
    for (; t.does == COPY && at > 0 && m->term[at - 1].does != COPY; at--) /* copies come first */
        m->term[at] = m->term[at - 1];
    m->term[at] = t;
}

struct map map_one(int source, int array, struct axis a0, struct axis a1, struct axis a2)
{
    struct map m = {0};
    map_push(&m, (struct term){.source = source, .array = array, .axis = {a0, a1, a2}});
    return m;
}

void map_free(struct map *m)
{
    for (int i = 0; i < m->n; i++)
        term_free(&m->term[i]);
    free(m->term);
    *m = (struct map){0};
}

static struct term term_compose(const struct term *outer, const struct term *inner)
{
    if (outer->does != COPY && inner->does != COPY)
        bug("map: what adds or replaces is composed over what does too");
    struct term t = {.source = inner->source, .array = inner->array};
    t.does = inner->does == COPY ? outer->does : inner->does;
    for (int a = 0; a < 3; a++)
        t.axis[a] = axis_compose(&outer->axis[a], &inner->axis[a]);
    return t;
}

struct map map_compose(const struct map *outer, const struct map *inner)
{
    struct map m = {0};
    for (int i = 0; i < outer->n; i++) {
        const struct term *o = &outer->term[i];
        for (int k = 0; k < inner[o->array].n; k++)
            map_push(&m, term_compose(o, &inner[o->array].term[k]));
    }
    return m;
}

struct map map_restrict(const struct map *map, slab box)
{
    struct map m = {0};
    for (int i = 0; i < map->n; i++) {
        struct term t = map->term[i];
        for (int a = 0; a < 3; a++)
            t.axis[a] = axis_restrict(&map->term[i].axis[a], box.lo[a], box.n[a]);
        map_push(&m, t);
    }
    return m;
}
