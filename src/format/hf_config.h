/* config.json of a Hugging Face directory (definitions D12), in the old and the new form. Every key is used,
 * is known to be harmless, is ignored with a line for the user, or is refused by name. Not collective. */
#ifndef FORMAT_HF_CONFIG_H
#define FORMAT_HF_CONFIG_H
#include <stdbool.h>
#include "base/status.h"
#include "format/rope.h"

/* What the file says. */
struct hf_config {
    char model_type[32]; /* a family of hf_config.c, or one that is only written (hf_config_write.c) */
    long long hidden, intermediate, layers, heads, kv_heads, head_dim, vocab, max_positions;
    double norm_eps;
    struct rope rope;
    bool tied, qkv_bias, qk_norm;
    double embedding_multiplier, attention_multiplier, residual_multiplier, logits_scaling; /* 0: none */
    long long sliding_window;             /* keys that a token sees; 0 = all before it */
    long long experts, top_k;             /* 0: dense */
    long long expert_width, shared_width; /* of all shared experts; 0: the family has no such key */
    bool no_shared;                       /* the shared expert is zeros, because this form must have one */
    bool renormalise;                     /* norm_topk_prob */
    int n_moe_layers;                     /* mlp_only_layers, coppice_moe_layers; -1 = all or none */
    int *moe_layers;                      /* ascending; owned */
    int n_bare_layers;                    /* layers without rotary positions: no_rope_layers */
    int *bare_layers;                     /* ascending; owned */
    int n_whole_layers;                   /* layers without the window: full_attention */
    int *whole_layers;                    /* ascending; owned */
    char *carried; /* a JSON object: the file's token ids and initializer_range; owned, NULL = none */
    char **notes;  /* lines for the user about ignored keys */
    int n_notes;
};
/** Read dir/config.json. Keys of the shape must be there; other absent keys have transformers' defaults. The
 * n keys of `ignore` ("a", or "rope_scaling.a") count as absent, with a note; E_DECK if one of them says what
 * the model is. E_DATA: "FILE: key "x": ...". On failure there is nothing to free. */
status hf_config_read(struct hf_config *, const char *dir, char *const *ignore, int n) MUST_USE;
/** Does a key change nothing, whatever its value? */
bool hf_key_harmless(const char *name);
void hf_config_free(struct hf_config *);
/** Write dir/config.json in the old form. dtype: "float32" or "bfloat16". E_DATA if the model type cannot
 *  describe the model, E_SPACE if the file cannot be written. */
status hf_config_write(const struct hf_config *, const char *dir, const char *dtype) MUST_USE;

#endif
