/* Names of tensors in Hugging Face directories (definitions D12), in one table for reading and for export.
 * Not collective. */
#ifndef WEIGHTS_NAMES_H
#define WEIGHTS_NAMES_H
#include "model/tensors.h"
#include "weights/map.h"

/* Mixtral: block_sparse_moe.experts.E.w1 | mlp.experts.gate_up_proj. Qwen2: biases on Q, K and V, which are
 * zeros where the model has none. Qwen2-MoE: these, mlp.experts.E.gate_proj, and a shared expert with a gate
 * in every MoE layer. Qwen3-MoE: mlp.experts.E.gate_proj alone; Qwen2-MoE is read so, too. GraniteMoe: all
 * experts' input_linear, output_linear. HF_QWEN2 and HF_QWEN2_MOE are for export only. */
enum naming { HF_OLD, HF_FUSED, HF_QWEN2, HF_QWEN2_MOE, HF_QWEN3_MOE, HF_GRANITE_MOE };
/* Width of the shared expert of zeros that Qwen2-MoE needs where the model has none: any usual number of
 * tensor-parallel ranks divides it. */
enum { NO_SHARED_WIDTH = 64 };

/* A Hugging Face array. It is rows [at, at+n) of axis 0 of our tensor, times `scale`. */
struct hf_name {
    char name[128];
    int tensor; /* -1: the model has no such tensor, and the array is zeros */
    int64_t at, n;
    float scale;      /* 1 or 2 */
    int rank;         /* dimensions of the array in the file */
    int64_t shape[3]; /* its shape there, in the first `rank` entries */
};
/** The number of its elements. */
int64_t hf_name_size(const struct hf_name *);
/** All Hugging Face arrays of a model. Caller frees. Returns their number. */
int names_list(const struct model *, enum naming, struct hf_name **out);
/** The maps of all tensors of a model over the arrays of a Hugging Face source: maps[n_tensors]. The arrays
 * show which of Mixtral's namings it is. Fused arrays have the same order of elements as our tensors, so
 * their sizes in source->array become ours ([X, 2F, H] -> [2X, F, H]). E_DATA names missing, extra and
 * mis-shaped arrays, the first 20 of them; the maps are then empty. */
status names_maps(const struct model *, struct source *, struct map *maps) MUST_USE;

#endif
