/* The weights of a store, from where the deck says: random numbers; a Hugging Face directory or a checkpoint
 * as it is; or one of these, grown and upcycled while it is read. Each rank reads the bytes of its own slabs,
 * and ranks send each other no weights. */
#ifndef WEIGHTS_FILL_H
#define WEIGHTS_FILL_H
#include "comm/comm.h"
#include "model/store.h"
#include "weights/grow.h"
#include "weights/map.h"
#include "weights/upcycle.h"

enum { PARENTS_MOST = 32, PLAN_SOURCES = 2 + PARENTS_MOST };

struct fill_plan { /* for a target model: map[n_tensors] over source[]; free it by plan_free */
    struct map *map;
    struct source
        *source[PLAN_SOURCES]; /* the generator, the start's files, those of parents; NULL = unused */
    int n_tensors;
    int head[PLAN_SOURCES]; /* the stored head of a source that ties its head to the embedding; else -1 */
};

/** Plan for random weights (D8): N(0, 0.02), divided by sqrt(2 layers) in o and down; norms 1, biases 0. */
status plan_random(struct fill_plan *, const struct model *target, uint64_t seed) MUST_USE;
/** Plan for weights of the same shape, from a source with Hugging Face names or with our own (a checkpoint).
 * The plan takes ownership of the source, also on failure. Local. E_DATA. */
status plan_same(struct fill_plan *, const struct model *target, struct source *) MUST_USE;
/** Plan for a model that is grown to the trunk of `target` where the shapes differ, and upcycled where
 * `target` has more experts (D9). Drawn numbers depend on global indices alone. `from` is the source's table;
 * source[0] is the source, and source[1 + i] is parent i of the experts, of the same shape. The plan takes
 * ownership of all, also on failure. Local. E_DECK if the source cannot become the target, E_DATA. */
status plan_upcycle(struct fill_plan *, const struct model *target, const struct model *from,
                    struct source *const source[], const struct grow *, const struct upcycle *,
                    uint64_t seed) MUST_USE;
/** Check that stored heads of models with tied heads are equal to their embeddings: part `part` of `parts` of
 * the rows. *bytes_read += bytes read. Local. E_DATA. */
status plan_check_heads(const struct fill_plan *, int part, int parts, int64_t *bytes_read) MUST_USE;
void plan_free(struct fill_plan *);
/** Bytes that `rank` must read: the sum over its tensors of the source bytes that each needs, counted once.
 */
int64_t plan_bytes(const struct fill_plan *, const struct model *, const struct layout *, int rank);
/** COLLECTIVE: check the plan's heads and fill WEIGHT and MASTER of the store. *bytes_read: by this rank. */
status weights_fill(struct store *, struct comm *, const struct fill_plan *, int64_t *bytes_read) MUST_USE;

#endif
