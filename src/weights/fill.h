/* Weights of a store from where the deck says they come: random, a Hugging Face directory or a
 * checkpoint as it is, or one that is grown and upcycled on the way (names o grow o upcycle -> slab). Each
 * rank reads only the bytes of its slabs; no weight passes between ranks. */
#ifndef WEIGHTS_FILL_H
#define WEIGHTS_FILL_H
#include "comm/comm.h"
#include "model/store.h"
#include "weights/grow.h"
#include "weights/map.h"
#include "weights/upcycle.h"

enum { PARENTS_MOST = 32, PLAN_SOURCES = 2 + PARENTS_MOST };

struct fill_plan { /* of a target model: map[n_tensors] over sources[]; free with plan_free */
    struct map *map;
    struct source
        *source[PLAN_SOURCES]; /* the generator, the start's file, those of parents; NULL = not there */
    int n_tensors;
    int head[PLAN_SOURCES]; /* of a source that ties its head and stores it all the same, else -1 */
};

/** Plan for random weights (D8): N(0, 0.02), o and down / sqrt(2 layers), norms 1, biases 0. */
status plan_random(struct fill_plan *, const struct model *target, uint64_t seed) MUST_USE;
/** Plan for weights of the same shape from a source with Hugging Face names or with our own (a
 *  checkpoint), which the plan takes, also on failure. Local. E_DATA. */
status plan_same(struct fill_plan *, const struct model *target, struct source *) MUST_USE;
/** Plan for a model, from such sources, grown to the trunk of `target` where the shapes differ and upcycled
 *  where `target` has more experts (D9; what is drawn is so by global index). `from` is the source's table;
 *  source[0] is the source, source[1 + i] parent i of the experts, of the same shape; the plan takes them
 *  all, also on failure. Local. E_DECK if it cannot become the target, E_DATA. */
status plan_upcycle(struct fill_plan *, const struct model *target, const struct model *from,
                    struct source *const source[], const struct grow *, const struct upcycle *,
                    uint64_t seed) MUST_USE;
/** Are the stored heads of models that tie them their embeddings? Part `part` of `parts` of the work;
 * *bytes_read
 *  +=. Local. E_DATA. */
status plan_check_heads(const struct fill_plan *, int part, int parts, int64_t *bytes_read) MUST_USE;
void plan_free(struct fill_plan *);
/** Bytes that `rank` must read: sum over its tensors of the union of source bytes each needs. */
int64_t plan_bytes(const struct fill_plan *, const struct model *, const struct layout *, int rank);
/** COLLECTIVE: check the plan's heads, fill WEIGHT of the store; local part, then agree. *bytes_read: this
 *  rank's. */
status weights_fill(struct store *, struct comm *, const struct fill_plan *, int64_t *bytes_read) MUST_USE;

#endif
