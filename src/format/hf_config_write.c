#include "format/hf_config.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/mem.h"

/* What each family can say. */
static const struct family {
    const char *name, *architecture;
    bool moe, qkv_bias, window;
} families[] = {
    {"llama", "LlamaForCausalLM", false, false, false},
    {"mistral", "MistralForCausalLM", false, false, true},
    {"qwen2", "Qwen2ForCausalLM", false, true, false},
    {"mixtral", "MixtralForCausalLM", true, false, true},
};

static const struct family *find_family(const char *name)
{
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (strcmp(name, families[i].name) == 0)
            return &families[i];
    return NULL;
}

static json_t *rope_scaling_json(const struct hf_config *c)
{
    if (!c->rope_llama3)
        return json_null();
    return json_pack("{s:s, s:f, s:f, s:f, s:I}", "rope_type", "llama3", "factor", c->rope_factor, "low_freq_factor",
                     c->rope_low, "high_freq_factor", c->rope_high, "original_max_position_embeddings",
                     (json_int_t)c->rope_original);
}

static json_t *shape_json(const struct hf_config *c, const char *architecture, const char *dtype)
{
    return json_pack(
        "{s:[s], s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:f, s:f, s:o, s:b}", "architectures",
        architecture, "model_type", c->model_type, "torch_dtype", dtype, "hidden_size", (json_int_t)c->hidden,
        "intermediate_size", (json_int_t)c->intermediate, "num_hidden_layers", (json_int_t)c->layers,
        "num_attention_heads", (json_int_t)c->heads, "num_key_value_heads", (json_int_t)c->kv_heads, "head_dim",
        (json_int_t)c->head_dim, "vocab_size", (json_int_t)c->vocab, "max_position_embeddings",
        (json_int_t)c->max_positions, "hidden_act", "silu", "rms_norm_eps", c->norm_eps, "rope_theta", c->rope_theta,
        "rope_scaling", rope_scaling_json(c), "tie_word_embeddings", (int)c->tied);
}

static json_t *moe_layers_json(const struct hf_config *c)
{
    json_t *list = json_array();
    for (int i = 0; i < c->n_moe_layers; i++)
        json_array_append_new(list, json_integer(c->moe_layers[i]));
    return list;
}

static void add_family(json_t *root, const struct hf_config *c, const struct family *f)
{
    if (f->window) /* absent would mean 4096 in Mistral */
        json_object_set_new(root, "sliding_window",
                            c->sliding_window ? json_integer(c->sliding_window) : json_null());
    if (f->moe) {
        json_object_set_new(root, "num_local_experts", json_integer(c->experts));
        json_object_set_new(root, "num_experts_per_tok", json_integer(c->top_k));
    }
    if (f->moe && c->n_moe_layers >= 0 && c->n_moe_layers < c->layers)
        json_object_set_new(root, "coppice_moe_layers", moe_layers_json(c));
}

status hf_config_write(const struct hf_config *c, const char *dir, const char *dtype)
{
    const struct family *f = find_family(c->model_type);
    if (!f || (c->experts > 0) != f->moe)
        return fail(E_DATA, "%s: %s models of Hugging Face cannot have %lld experts", dir, c->model_type, c->experts);
    if (c->qkv_bias != f->qkv_bias)
        return fail(E_DATA, "%s: %s models of Hugging Face %s biases on queries, keys and values", dir, c->model_type,
                    c->qkv_bias ? "cannot have" : "always have");
    if (c->sliding_window && !f->window)
        return fail(E_DATA, "%s: %s models of Hugging Face cannot have a sliding window", dir, c->model_type);
    json_t *root = shape_json(c, f->architecture, dtype);
    if (!root)
        bug("config.json cannot be put together: is dtype UTF-8?");
    add_family(root, c, f);
    char *path = mem_format("%s/config.json", dir);
    status s = json_write_file(root, path, 2);
    free(path);
    json_decref(root);
    return s;
}
