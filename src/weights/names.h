/* Names of tensors in Hugging Face directories (definitions D12): one table for reading and for
 * export. Not collective; pure but for names_maps, which views arrays of its source as our shapes. */
#ifndef WEIGHTS_NAMES_H
#define WEIGHTS_NAMES_H
#include "model/tensors.h"
#include "weights/map.h"

/* Mixtral: block_sparse_moe.experts.E.w1 | mlp.experts.gate_up_proj. Qwen2: biases on Q, K and V, which are
 * zeros where the model has none. Qwen2-MoE: these, mlp.experts.E.gate_proj, and a shared expert with a gate
 * in every MoE layer. The last two are for export. */
enum naming { HF_OLD, HF_FUSED, HF_QWEN2, HF_QWEN2_MOE };
/* Width of the shared expert of zeros that Qwen2-MoE needs where the model has none: any usual number of
 * tensor-parallel ranks divides it. */
enum { NO_SHARED_WIDTH = 64 };

/* A Hugging Face array and the part of our tensor that it is: rows [at, at+n) of axis 0, times `scale`. */
struct hf_name {
    char name[128];
    int tensor; /* -1: the model has no such tensor, the array is zeros */
    int64_t at, n;
    float scale;      /* 1 or 2 */
    int rank;         /* of the array in the file */
    int64_t shape[3]; /* its shape there, first `rank` entries */
};
/** Its elements. */
int64_t hf_name_size(const struct hf_name *);
/** All Hugging Face arrays of a model. Caller frees. Returns their number. */
int names_list(const struct model *, enum naming, struct hf_name **out);
/** Maps of all tensors of `model` from a Hugging Face source (maps[n_tensors], array indices of
 *  `source`); Mixtral's naming is found out from the arrays. Fused arrays lie in memory as our
 *  tensors do, so their dims in source->array are rewritten to ours ([X, 2F, H] -> [2X, F, H]).
 *  Missing, extra and mis-shaped arrays are all named in one record (the first 20), E_DATA; the maps
 *  are then empty. */
status names_maps(const struct model *, struct source *, struct map *maps) MUST_USE;

#endif
