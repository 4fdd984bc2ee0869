/* The hash of weights and moments (definitions D10): a sum over elements, mod 2^64, of a mix of tensor's
 * name, global index and fp32 bits. Parts add up in any order, so it is equal on every layout, in files and
 * in exports. Pure. */
#ifndef MODEL_HASH_H
#define MODEL_HASH_H
#include <stdbool.h>
#include "layout/slab.h"

/* What one pass over the values of a piece tells. */
struct scanned {
    uint64_t hash;
    bool finite; /* neither NaN nor infinity among them */
};
/** values: of `part` of the tensor `name` [dim], in order. One thread. */
struct scanned tensor_scan(const char *name, const int64_t dim[3], const piece *part, const float *values);
/** Its hash alone, by OpenMP's threads. */
uint64_t tensor_hash(const char *name, const int64_t dim[3], const piece *part, const float *values);

#endif
