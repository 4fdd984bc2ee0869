/* config.json of a Hugging Face directory (definitions D12), both forms. Every key is used, known
 * to be harmless, ignored with a line, or refused by name. Not collective. */
#ifndef FORMAT_HF_CONFIG_H
#define FORMAT_HF_CONFIG_H
#include "base/status.h"

/* This room knows no model (src/model), so the result is a plain record of what the file says. */
struct hf_config {
    char model_type[32];
    long long hidden, intermediate, layers, heads, kv_heads, head_dim, vocab, max_positions;
    double norm_eps, rope_theta;
    _Bool rope_llama3;
    double rope_factor, rope_low, rope_high, rope_original;
    _Bool tied, qkv_bias;
    long long experts, top_k; /* mixtral; 0 otherwise */
    int n_moe_layers;         /* coppice_moe_layers; -1 = all (mixtral) or none */
    int *moe_layers;          /* owned */
    char **notes;             /* lines for the user: ignored keys */
    int n_notes;
};
status hf_config_read(struct hf_config *, const char *dir) MUST_USE;
void hf_config_free(struct hf_config *);
/** Write config.json into dir for a model of this shape (old form keys, float32 or bfloat16). */
status hf_config_write(const struct hf_config *, const char *dir, const char *dtype) MUST_USE;

#endif
