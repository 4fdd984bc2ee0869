/* Slabs of global arrays, and pieces of slabs. Every tensor has three axes [expert, row, column]: a matrix is
 * [1, r, c], a vector [1, 1, n]. Sizes are logical and never padded; order is row-major. Pure. */
#ifndef LAYOUT_SLAB_H
#define LAYOUT_SLAB_H
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int64_t lo[3], n[3];
} slab; /* a box: lo[i] <= index[i] < lo[i] + n[i] */

typedef struct {
    slab box;
    int64_t lo, n;
} piece; /* elements [lo, lo+n) of box in row-major order: what a ZeRO-1 owner holds */

struct run {
    int64_t from, to, n; /* n elements, from offset `from` of one piece to offset `to` of another */
};

struct range {
    int64_t lo, n;
};

/** The i-th of `parts` near-equal ranges of 0..n-1: [floor(i*n/parts), floor((i+1)*n/parts)). */
struct range block(int64_t n, int64_t parts, int64_t i);

int64_t slab_size(const slab *s);
slab slab_whole(const int64_t dim[3]);
slab slab_intersect(const slab *a, const slab *b); /* some n[i] = 0 if they share nothing */
bool slab_equal(const slab *a, const slab *b);

/** Cut a piece into at most 5 boxes, in order. Returns their number; box i holds the next slab_size(&out[i])
 *  elements of the piece. */
int piece_slabs(const piece *p, slab out[5]);

/** Runs of elements that two pieces of one global array share, in ascending order of `to`. Offsets count from
 * the first element of each piece. Writes at most `max` runs and returns how many there are; max = 0 only
 * counts. */
int64_t piece_overlap(const piece *have, const piece *want, struct run *runs, int64_t max);

/** Does every element of an array of these sizes lie in exactly one of the n pieces? They may be given in
 *  any order. The boxes of the pieces lie within the array. */
bool pieces_tile(const piece *p, int64_t n, const int64_t dim[3]);

#endif
