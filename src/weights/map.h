/* The read plan (definitions D9): target[d0,d1,d2] = s0[d0]*s1[d1]*s2[d2] * source[s...], a list of
 * separable terms, closed under composition and restriction to a slab. Names, growth, upcycling,
 * noise and export are values of it. Product in double, one rounding to float; a plain copy, bits
 * kept, when the scale is 1. Not collective; pure except map_run. */
#ifndef WEIGHTS_MAP_H
#define WEIGHTS_MAP_H
#include "format/source.h"

struct pick { int64_t dst, src; double scale; };
struct axis {                 /* picks ascend in dst; at = NULL: n picks dst = lo+i, src = from+i, scale 1 */
    int64_t n, lo, from;
    struct pick *at;
};
struct term {
    int source;               /* index into the sources given to map_run */
    int array;                /* index into that source's arrays; before composition: a tensor of the inner model */
    bool add;                 /* add to what earlier terms wrote; a copying term assigns (0 + -0 changes bits) */
    struct axis axis[3];
};
struct map { int n; struct term *term; };

struct axis axis_identity(int64_t n);                          /* 0..n-1 from 0..n-1 */
struct axis axis_shift(int64_t lo, int64_t n, int64_t from);   /* lo.. from from.. */
struct axis axis_picks(const struct pick *, int64_t n);        /* copies */
struct map map_one(int source, int array, struct axis a0, struct axis a1, struct axis a2); /* takes the axes */
void map_push(struct map *, struct term);                      /* takes the term */
void map_free(struct map *);
/** outer's arrays are tensors of a model whose own maps are inner[]. New map; arguments stay. */
struct map map_compose(const struct map *outer, const struct map *inner);
/** Only the picks that fall into `box`, with dst counted from the box's corner. */
struct map map_restrict(const struct map *, slab box);
/** Fill out [box of the map's extent n0, n1, n2] (host fp32, contiguous, zeroed by the callee where no
 *  term writes). Within one call each source byte is read once. *bytes_read += file bytes. */
status map_run(const struct map *, struct source *const *sources, const int64_t n[3], float *out, int64_t *bytes_read) MUST_USE;
/** The union of source elements that the (restricted) map needs, times the file's element size:
 *  what map_run must read. */
int64_t map_bytes(const struct map *, struct source *const *sources);

#endif
