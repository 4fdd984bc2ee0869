/* Boxes of global arrays and runs of boxes. Every tensor has three axes [expert, row, column]: a
 * matrix is [1, r, c], a vector [1, 1, n]. Logical sizes, never padded. Pure; row-major order. */
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
} piece; /* elements lo .. lo+n of box in row-major order: what a ZeRO-1 owner holds */

struct run {
    int64_t from, to, n; /* n elements, from offset `from` of one piece to offset `to` of another */
};

struct range {
    int64_t lo, n;
};

/** block(n, parts, i) of the definitions: [floor(i*n/parts), floor((i+1)*n/parts)). */
struct range block(int64_t n, int64_t parts, int64_t i);

int64_t slab_size(const slab *s);
slab slab_whole(const int64_t dim[3]);
slab slab_intersect(const slab *a, const slab *b); /* an empty box has some n = 0 */
bool slab_equal(const slab *a, const slab *b);

/** Cut piece p into at most 5 boxes of the global array that together hold its elements in order.
 *  Returns their number; box i holds the next slab_size(&out[i]) elements. */
int piece_slabs(const piece *p, slab out[5]);

/** Runs of elements that `have` and `want` (pieces of boxes of one global array) share, in
 *  ascending order of `to`; offsets count from the pieces' first elements. Writes at most `max`
 *  runs and returns how many there are (call with max = 0 to count). */
int64_t piece_overlap(const piece *have, const piece *want, struct run *runs, int64_t max);

#endif
