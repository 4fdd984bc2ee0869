/* Maps (definitions D9) say how a tensor is made from arrays of sources. A map is a list of terms, each of
 * the form target[d0, d1, d2] = scale0[d0] * scale1[d1] * scale2[d2] * source[s0(d0), s1(d1), s2(d2)]. Maps
 * can be composed, and restricted to a slab. Names, growth, upcycling, noise and export are maps. The product
 * is computed in double and rounded once to float; with scale 1 it is a copy of the bits.
 *
 * At most one copying term writes an element of the target. Terms that add or replace come after all copies,
 * in the order in which they were pushed. So a value does not depend on the slab for which it is computed.
 * Not collective; pure except map_run. Free a map by map_free. */
#ifndef WEIGHTS_MAP_H
#define WEIGHTS_MAP_H
#include "format/source.h"

struct pick {
    int64_t dst, src;
    double scale;
};
struct axis { /* n picks with strictly ascending dst */
    int64_t n;
    int64_t lo, from; /* if at = NULL: dst = lo+i, src = from+i, scale 1 */
    struct pick *at;
};
struct term {
    int source; /* index into the sources of map_run */
    int array;  /* index into that source's arrays; before composition, a tensor of the inner model */
    enum { COPY, ADD, REPLACE } does; /* ADD and REPLACE change what earlier terms wrote */
    struct axis axis[3];
};
struct map {
    int n;
    struct term *term;
};

struct axis axis_identity(int64_t n);                        /* 0..n-1 from 0..n-1 */
struct axis axis_shift(int64_t lo, int64_t n, int64_t from); /* lo+i from from+i */
/** An axis of n picks, which are copied. */
struct axis axis_picks(const struct pick *, int64_t n);
/** A map of one copying term. Takes ownership of the axes. */
struct map map_one(int source, int array, struct axis a0, struct axis a1, struct axis a2);
/** Add a term, and take ownership of it. An empty term is dropped. */
void map_push(struct map *, struct term);
void map_free(struct map *);
/** Compose maps: the arrays of `outer` are tensors of a model, and inner[] are the maps of these tensors.
 * Where `outer` does more than copy, inner[] may only copy. The result is new; the arguments stay. */
struct map map_compose(const struct map *outer, const struct map *inner);
/** A new map with the picks that fall into `box`, whose dst count from the corner of the box. */
struct map map_restrict(const struct map *, slab box);
/** Fill out [n0, n1, n2] (host fp32, contiguous) with what the terms write, and zeros elsewhere. All copying
 * terms together read each source byte once; a term that adds or replaces reads for itself. *bytes_read +=
 * bytes read from files. Errors are those of source_read, and leave `out` undefined. */
status map_run(const struct map *, struct source *const *sources, const int64_t n[3], float *out,
               int64_t *bytes_read) MUST_USE;
/** Bytes that map_run will read from files. */
int64_t map_bytes(const struct map *, struct source *const *sources);

/* ---- shared with map_run.c ---- */
struct pick axis_at(const struct axis *, int64_t i); /* the i-th pick */
/** The first i whose pick has dst >= key, or with by_src, src >= key; n if there is none. The picks must
 * ascend in it.
 */
int64_t axis_lower(const struct axis *, bool by_src, int64_t key);

#endif
