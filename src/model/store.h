/* Device memory of a model on one rank: flat buffers by bucket. WEIGHT has the bucket's stored type, all else
 * is fp32. GRAD has as many elements as WEIGHT; MASTER and the moments are one ZeRO-1 part. Where WEIGHT is
 * fp32, MASTER is a window of it; where it is BF16, MASTER has memory of its own, and WEIGHT is MASTER
 * rounded to nearest even. A store that does not train has WEIGHT alone. Owner: whoever opened it. Not
 * collective unless said. */
#ifndef MODEL_STORE_H
#define MODEL_STORE_H
#include "comm/group.h"
#include "model/tensors.h"

struct bucket {
    enum group_id over;
    bool trained;
    dtype type;         /* of WEIGHT */
    int64_t size, part; /* elements; WEIGHT and GRAD hold part*P >= size, padding is 0 */
    int64_t mine;       /* first element of my part */
    void *mem[KINDS];   /* NULL where the store has none */
};

struct store {
    const struct model *model;
    struct layout layout;
    int rank;
    struct dev *dev;
    struct bucket *bucket;
    struct shard *owned; /* what this rank owns: MASTER's shards; of trained tensors the moments lie alike */
    int n_owned;
    void *base;
    int64_t bytes; /* device memory held */
};

/** Local: allocate (touched once). training = false: weights only. */
status store_open(struct store *, const struct model *, const struct layout *, int rank, struct dev *,
                  bool training) MUST_USE;
void store_close(struct store *);
/** Bytes that store_open would take, for any (layout, rank): pure. */
int64_t store_bytes(const struct model *, const struct layout *, int rank, bool training);
/** The local slab of a tensor as [n0, n1, n2]; WEIGHT or GRAD. */
view store_view(const struct store *, int tensor, enum kind);
/** A shard of MASTER or a moment: F32 [1, 1, part.n]. */
view store_shard(const struct store *, const struct shard *);
/** Of an owned shard its reduced gradient, F32, and its working weight: BF16, or none where MASTER is it. */
view store_shard_grad(const struct store *, const struct shard *);
view store_shard_working(const struct store *, const struct shard *);
/** My part of a bucket's reduced gradient, F32 [1, 1, part]. */
view store_owned_grad(const struct store *, int bucket);
/** A tensor's local slab from `values` on the host: WEIGHT, and MASTER of what I own. */
void store_set(struct store *, int tensor, const float *values);
/** Local: working weights of what I own from their masters. */
void store_round_weights(const struct store *);
/** Sum over my owned pieces of mix(name, global index, fp32 bits) mod 2^64: add over all ranks
 *  (comm_sum_u64) for a hash that is equal on every layout (D10). kind: MASTER or a moment. */
uint64_t store_hash(const struct store *, enum kind);
/** The hash of one run of elements, shared with files and exports: values of `part` in order. */
uint64_t tensor_hash(const char *name, const int64_t dim[3], const piece *part, const float *values);
/** COLLECTIVE: all working weights from their owners (all-gather per bucket). */
void store_gather_weights(const struct store *, struct group *const group[GROUPS]);
/** COLLECTIVE: sum gradients over each bucket's group; owners hold the result in their part. */
void store_reduce_grads(const struct store *, struct group *const group[GROUPS]);

#endif
