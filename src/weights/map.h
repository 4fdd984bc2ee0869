/* The read plan (definitions D9): target[d0,d1,d2] = s0[d0]*s1[d1]*s2[d2] * source[s0,s1,s2], a list
 * of separable terms, closed under composition and restriction to a slab. Names, growth, upcycling,
 * noise and export are values of it. Product in double, one rounding to float; a plain copy, bits
 * kept, when the scale is 1.
 *
 * An element of the target gets at most one copying term; terms that add or replace come after all
 * copies, in the order in which they were pushed. So a value never depends on the slab it is computed for.
 * Not collective; pure except map_run. A map is owned by its holder (map_free). */
#ifndef WEIGHTS_MAP_H
#define WEIGHTS_MAP_H
#include "format/source.h"

struct pick {
    int64_t dst, src;
    double scale;
};
struct axis { /* n picks that strictly ascend in dst */
    int64_t n;
    int64_t lo, from; /* at = NULL: dst = lo+i, src = from+i, scale 1 */
    struct pick *at;
};
struct term {
    int source; /* index into the sources given to map_run */
    int array;  /* index into that source's arrays; before composition: a tensor of the inner model */
    enum { COPY, ADD, REPLACE } does; /* ADD, REPLACE: to or over what earlier terms wrote */
    struct axis axis[3];
};
struct map {
    int n;
    struct term *term;
};

struct axis axis_identity(int64_t n);                        /* 0..n-1 from 0..n-1 */
struct axis axis_shift(int64_t lo, int64_t n, int64_t from); /* lo.. from from.. */
/** A copy of n picks; contiguous unscaled ones become a shift. */
struct axis axis_picks(const struct pick *, int64_t n);
/** One copying term; takes the axes. */
struct map map_one(int source, int array, struct axis a0, struct axis a1, struct axis a2);
/** Takes the term; an empty one is dropped. */
void map_push(struct map *, struct term);
void map_free(struct map *);
/** Compose two steps: the arrays of `outer` are tensors of a model, and inner[] are their maps. Where `outer`
 * does more than copy, inner[] may only copy. The result is new; the arguments stay. */
struct map map_compose(const struct map *outer, const struct map *inner);
/** Only the picks that fall into `box`, with dst counted from the box's corner. New map. */
struct map map_restrict(const struct map *, slab box);
/** Fill out [n0, n1, n2] (host fp32, contiguous); it is zero where no term writes. All copying terms together
 *  read each source byte once, in blocks or directly into `out`. A term that adds or replaces reads for
 * itself. *bytes_read += file bytes. After an error, which is source_read's, `out` is undefined. */
status map_run(const struct map *, struct source *const *sources, const int64_t n[3], float *out,
               int64_t *bytes_read) MUST_USE;
/** File bytes that map_run will read: the union of the source elements that the copying terms need,
 *  plus those of each other term. */
int64_t map_bytes(const struct map *, struct source *const *sources);

/* ---- parts, shared with map_run.c ---- */
struct pick axis_at(const struct axis *, int64_t i); /* the i-th pick */
/** First i whose pick has dst (by_src: src) >= key; n if none. The picks must ascend in it. */
int64_t axis_lower(const struct axis *, bool by_src, int64_t key);

#endif
