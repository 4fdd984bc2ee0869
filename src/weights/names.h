/* Names of tensors in Hugging Face directories (definitions D12): one table for reading and for
 * export. Not collective; pure but for names_maps, which views arrays of its source as our shapes. */
#ifndef WEIGHTS_NAMES_H
#define WEIGHTS_NAMES_H
#include "model/tensors.h"
#include "weights/map.h"

enum naming { HF_OLD, HF_FUSED }; /* Mixtral: block_sparse_moe.experts.E.w1 | mlp.experts.gate_up_proj */

/* A Hugging Face array and the part of our tensor that it is: rows [at, at+n) of axis 0. */
struct hf_name {
    char name[128];
    int tensor;
    int64_t at, n;
    int rank;         /* of the array in the file */
    int64_t shape[3]; /* its shape there, first `rank` entries */
};
/** All Hugging Face arrays of a model. Caller frees. Returns their number. */
int names_list(const struct model *, enum naming, struct hf_name **out);
/** Maps of all tensors of `model` from a Hugging Face source (maps[n_tensors], array indices of
 *  `source`); Mixtral's naming is found out from the arrays. Fused arrays lie in memory as our
 *  tensors do, so their dims in source->array are rewritten to ours ([X, 2F, H] -> [2X, F, H]).
 *  Missing, extra and mis-shaped arrays are all named in one record (the first 20), E_DATA; the maps
 *  are then empty. */
status names_maps(const struct model *, struct source *, struct map *maps) MUST_USE;

#endif
