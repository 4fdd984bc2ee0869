/* Device memory of a model on one rank: flat fp32 buffers by bucket. MASTER is a window of WEIGHT
 * (fp32), not a copy; GRAD is as large as WEIGHT; the moments are one ZeRO-1 part.
 * Owner: whoever opened it. Not collective unless said. */
#ifndef MODEL_STORE_H
#define MODEL_STORE_H
#include "comm/group.h"
#include "model/tensors.h"

struct bucket {
    enum group_id over;
    bool trained;
    int64_t size, part; /* elements; WEIGHT and GRAD hold part*P >= size, padding is 0 */
    float *mem[KINDS];  /* MASTER points into WEIGHT; NULL where the store has none */
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
/** First element of a shard of this store. */
float *store_at(const struct store *, const struct shard *);
/** My part of a bucket's reduced gradient: where MASTER's and the moments' shards begin, for GRAD. */
float *store_owned_grad(const struct store *, int bucket);
/** Sum over my owned pieces of mix(name, global index, fp32 bits) mod 2^64: add over all ranks
 *  (comm_sum_u64) for a hash that is equal on every layout (D10). kind: MASTER or a moment. */
uint64_t store_hash(const struct store *, enum kind);
/** The hash of one run of elements, shared with files and exports: values of `part` in order. */
uint64_t tensor_hash(const char *name, const int64_t dim[3], const piece *part, const float *values);
/** COLLECTIVE: working weights of all ranks from their owners' masters (all-gather per bucket). */
void store_gather_weights(const struct store *, struct group *const group[GROUPS]);
/** COLLECTIVE: sum gradients over each bucket's group; owners hold the result in their part. */
void store_reduce_grads(const struct store *, struct group *const group[GROUPS]);

#endif
