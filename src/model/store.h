/* Device memory of a model on one rank: flat buffers by bucket. WEIGHT has the bucket's stored type, all
 * others are fp32. GRAD has as many elements as WEIGHT; MASTER and the moments have one ZeRO-1 part. Where
 * WEIGHT is fp32, MASTER is a window of it. Where WEIGHT is BF16, MASTER has memory of its own, and WEIGHT is
 * MASTER rounded to nearest even. A store that does not train has WEIGHT alone. Not collective unless said.
 */
#ifndef MODEL_STORE_H
#define MODEL_STORE_H
#include "comm/group.h"
#include "model/hash.h"
#include "model/tensors.h"

struct bucket {
    enum group_id over;
    bool trained;
    dtype type;         /* of WEIGHT */
    int64_t size, part; /* elements: of its tensors; of one ZeRO-1 part */
    int64_t mine;       /* first element of this rank's part */
    void *mem[KINDS];   /* NULL if the store has no such buffer */
};

struct store {
    const struct model *model;
    struct layout layout;
    int rank;
    struct dev *dev;
    struct bucket *bucket;
    struct shard *owned; /* what this rank owns of MASTER, and of the moments of trained tensors */
    int n_owned;
    ticket *gathered; /* [layers of the table] of a gather on COMM that COMPUTE has not waited for */
    void *base;
    int64_t bytes; /* device memory held */
};

/** Allocate the buffers. training = false: WEIGHT alone. E_RESOURCE. */
status store_open(struct store *, const struct model *, const struct layout *, int rank, struct dev *,
                  bool training) MUST_USE;
void store_close(struct store *);
/** Bytes that store_open would take, for any (layout, rank): pure. */
int64_t store_bytes(const struct model *, const struct layout *, int rank, bool training);
/** The same by kind; MASTER is 0 where WEIGHT is it. Pure. */
void store_bytes_by_kind(const struct model *, const struct layout *, int rank, bool training,
                         int64_t bytes[KINDS]);
/** The local slab of a tensor as [n0, n1, n2]; WEIGHT or GRAD. After a gather on COMM all ranks must look at
 * the WEIGHT of a layer at the same place among their group calls, because links may be blocking. */
view store_view(const struct store *, int tensor, enum kind);
/** A shard of MASTER or a moment: F32 [1, 1, part.n]. */
view store_shard(const struct store *, const struct shard *);
/** The reduced gradient F32 [part.n] of an owned shard, and its working weight BF16 [part.n]; view_none()
 * where WEIGHT is fp32, because MASTER is the working weight then. */
view store_shard_grad(const struct store *, const struct shard *);
view store_shard_working(const struct store *, const struct shard *);
/** This rank's part of a bucket's reduced gradient, F32 [1, 1, part]. */
view store_owned_grad(const struct store *, int bucket);
/** Set this rank's slab of a tensor from `values` on the host: WEIGHT, and MASTER of what the rank owns. */
void store_set(struct store *, int tensor, const float *values);
/** Round the working weights that this rank owns from their masters. */
void store_round_weights(const struct store *);
/** The hash (model/hash.h) of my owned pieces: add over all ranks (comm_sum_u64) for one that is equal on
 * every layout. kind: MASTER or a moment. */
uint64_t store_hash(const struct store *, enum kind);
/** COLLECTIVE: all working weights from their owners (all-gather per bucket), on a stream. On COMM the layers
 * follow each other from the first, after what COMPUTE was given until now, and store_view lets COMPUTE wait
 * for the layer that it shows. Until then the part that a rank owns may be read, not written. */
void store_gather_weights(const struct store *, struct group *const group[GROUPS], enum stream);
/** COLLECTIVE: sum gradients over each bucket's group. Each owner holds the sum of its part. */
void store_reduce_grads(const struct store *, struct group *const group[GROUPS]);
/** COLLECTIVE: the same for one layer of the table, on a stream. On COMM it comes after what COMPUTE was
 * given until now, and COMPUTE must wait for COMM before it reads the sums. */
void store_reduce_layer(const struct store *, struct group *const group[GROUPS], int layer, enum stream);

#endif
