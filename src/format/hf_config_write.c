#include "format/hf_config.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/mem.h"

static void put(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0)
        bug("config.json: %s has no value: is a text not UTF-8, or a number not finite?", key);
}

static void put_number(json_t *object, const char *key, double value)
{
    if (value != 0)
        put(object, key, json_real(value));
}

static json_t *rope_scaling_json(const struct rope *r)
{
    static const char *const type[] = {NULL, "llama3", "linear", "dynamic", "yarn"};
    if (r->scaling == ROPE_DEFAULT)
        return json_null();
    json_t *rope = json_object();
    put(rope, "rope_type", json_string(type[r->scaling]));
    put_number(rope, "factor", r->factor);
    put_number(rope, "low_freq_factor", r->low_freq);
    put_number(rope, "high_freq_factor", r->high_freq);
    if (r->original_positions != 0)
        put(rope, "original_max_position_embeddings", json_integer((json_int_t)r->original_positions));
    put_number(rope, "attention_factor", r->attention_factor);
    put_number(rope, "beta_fast", r->beta_fast);
    put_number(rope, "beta_slow", r->beta_slow);
    put_number(rope, "mscale", r->mscale);
    put_number(rope, "mscale_all_dim", r->mscale_all_dim);
    if (r->exact_bounds)
        put(rope, "truncate", json_false());
    return rope;
}

static json_t *shape_json(const struct hf_config *c, const char *architecture, const char *dtype)
{
    json_t *root = json_object();
    put(root, "architectures", json_pack("[s]", architecture));
    put(root, "model_type", json_string(c->model_type));
    put(root, "torch_dtype", json_string(dtype));
    put(root, "hidden_size", json_integer(c->hidden));
    put(root, "intermediate_size", json_integer(c->intermediate));
    put(root, "num_hidden_layers", json_integer(c->layers));
    put(root, "num_attention_heads", json_integer(c->heads));
    put(root, "num_key_value_heads", json_integer(c->kv_heads));
    put(root, "head_dim", json_integer(c->head_dim));
    put(root, "vocab_size", json_integer(c->vocab));
    put(root, "max_position_embeddings", json_integer(c->max_positions));
    put(root, "hidden_act", json_string("silu"));
    put(root, "rms_norm_eps", json_real(c->norm_eps));
    put(root, "rope_theta", json_real(c->rope.theta));
    put(root, "rope_scaling", rope_scaling_json(&c->rope));
    put(root, "tie_word_embeddings", json_boolean(c->tied));
    return root;
}

/* ---- families ---- */

static bool is_moe_layer(const struct hf_config *c, int layer)
{
    for (int i = 0; i < c->n_moe_layers; i++)
        if (c->moe_layers[i] == layer)
            return true;
    return c->n_moe_layers < 0;
}

static json_t *dense_layers_json(const struct hf_config *c)
{
    json_t *list = json_array();
    for (int l = 0; l < c->layers; l++)
        if (!is_moe_layer(c, l))
            json_array_append_new(list, json_integer(l));
    return list;
}

/* An absent sliding_window would mean 4096 in Mistral. */
static void add_mistral(json_t *root, const struct hf_config *c)
{
    put(root, "sliding_window", c->sliding_window ? json_integer(c->sliding_window) : json_null());
}

static void add_mixtral(json_t *root, const struct hf_config *c)
{
    add_mistral(root, c);
    put(root, "num_local_experts", json_integer(c->experts));
    put(root, "num_experts_per_tok", json_integer(c->top_k));
}

/* Versions of transformers without layer_types look at max_window_layers: layers have the window from it on
 * in Qwen2, and up to it in Qwen2-MoE. */
static void add_window(json_t *root, const struct hf_config *c, long long max_window_layers)
{
    put(root, "use_sliding_window", json_boolean(c->sliding_window > 0));
    if (c->sliding_window == 0)
        return;
    json_t *types = json_array();
    for (int l = 0, i = 0; l < c->layers; l++) {
        bool whole = i < c->n_whole_layers && c->whole_layers[i] == l;
        i += whole;
        json_array_append_new(types, json_string(whole ? "full_attention" : "sliding_attention"));
    }
    put(root, "sliding_window", json_integer(c->sliding_window));
    put(root, "max_window_layers", json_integer(max_window_layers));
    put(root, "layer_types", types);
}

static void add_qwen2(json_t *root, const struct hf_config *c)
{
    add_window(root, c, c->n_whole_layers);
}

static void add_qwen2_moe(json_t *root, const struct hf_config *c)
{
    add_window(root, c, c->layers - c->n_whole_layers);
    put(root, "qkv_bias", json_true());
    put(root, "num_experts", json_integer(c->experts));
    put(root, "num_experts_per_tok", json_integer(c->top_k));
    put(root, "moe_intermediate_size", json_integer(c->expert_width));
    put(root, "shared_expert_intermediate_size", json_integer(c->shared_width));
    if (c->no_shared)
        put(root, "coppice_no_shared_expert", json_true());
    put(root, "norm_topk_prob", json_boolean(c->renormalise));
    put(root, "decoder_sparse_step", json_integer(1));
    put(root, "mlp_only_layers", dense_layers_json(c));
}

static void add_qwen3(json_t *root, const struct hf_config *c)
{
    add_window(root, c, c->n_whole_layers);
    put(root, "attention_bias", json_false());
}

static void add_qwen3_moe(json_t *root, const struct hf_config *c)
{
    add_window(root, c, c->layers);
    put(root, "attention_bias", json_false());
    put(root, "num_experts", json_integer(c->experts));
    put(root, "num_experts_per_tok", json_integer(c->top_k));
    put(root, "moe_intermediate_size", json_integer(c->expert_width));
    put(root, "norm_topk_prob", json_boolean(c->renormalise));
    put(root, "decoder_sparse_step", json_integer(1));
    put(root, "mlp_only_layers", dense_layers_json(c));
}

static void add_smollm3(json_t *root, const struct hf_config *c)
{
    json_t *list = json_array();
    for (int l = 0, i = 0; l < c->layers; l++) {
        bool bare = i < c->n_bare_layers && c->bare_layers[i] == l;
        i += bare;
        json_array_append_new(list, json_integer(!bare));
    }
    put(root, "no_rope_layers", list);
    put(root, "attention_bias", json_false());
    add_window(root, c, c->n_whole_layers);
}

static json_t *multiplier_json(double value)
{
    return json_real(value != 0 ? value : 1);
}

static void add_granite(json_t *root, const struct hf_config *c)
{
    put(root, "attention_bias", json_false());
    put(root, "embedding_multiplier", multiplier_json(c->embedding_multiplier));
    put(root, "attention_multiplier", json_real(c->attention_multiplier));
    put(root, "residual_multiplier", multiplier_json(c->residual_multiplier));
    put(root, "logits_scaling", multiplier_json(c->logits_scaling));
}

static void add_granitemoe(json_t *root, const struct hf_config *c)
{
    add_granite(root, c);
    put(root, "num_local_experts", json_integer(c->experts));
    put(root, "num_experts_per_tok", json_integer(c->top_k));
}

/* What each family can say. */
static const struct family {
    const char *name, *architecture;
    bool moe, qkv_bias, window;
    void (*add)(json_t *, const struct hf_config *); /* its own keys; NULL = none */
} families[] = {
    {"llama", "LlamaForCausalLM", false, false, false, NULL},
    {"mistral", "MistralForCausalLM", false, false, true, add_mistral},
    {"qwen2", "Qwen2ForCausalLM", false, true, true, add_qwen2},
    {"qwen3", "Qwen3ForCausalLM", false, false, true, add_qwen3},
    {"smollm3", "SmolLM3ForCausalLM", false, false, true, add_smollm3},
    {"granite", "GraniteForCausalLM", false, false, false, add_granite},
    {"mixtral", "MixtralForCausalLM", true, false, true, add_mixtral},
    {"qwen2_moe", "Qwen2MoeForCausalLM", true, true, true, add_qwen2_moe},
    {"qwen3_moe", "Qwen3MoeForCausalLM", true, false, true, add_qwen3_moe},
    {"granitemoe", "GraniteMoeForCausalLM", true, false, false, add_granitemoe},
};

static const struct family *find_family(const char *name)
{
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (strcmp(name, families[i].name) == 0)
            return &families[i];
    return NULL;
}

/* Add token ids and other keys that the source had. */
static status add_carried(json_t *root, const struct hf_config *c)
{
    json_t *keys = NULL;
    if (!c->carried)
        return OK;
    TRY(json_parse(&keys, "the model's token ids", c->carried, (int64_t)strlen(c->carried)));
    json_object_update_missing(root, keys);
    json_decref(keys);
    return OK;
}

status hf_config_write(const struct hf_config *c, const char *dir, const char *dtype)
{
    const struct family *f = find_family(c->model_type);
    if (!f || (c->experts > 0) != f->moe)
        return fail(E_DATA, "%s: %s models of Hugging Face cannot have %lld experts", dir, c->model_type,
                    c->experts);
    if (c->qkv_bias != f->qkv_bias)
        return fail(E_DATA, "%s: %s models of Hugging Face %s biases on queries, keys and values", dir,
                    c->model_type, c->qkv_bias ? "cannot have" : "always have");
    if (!strcmp(f->name, "mixtral") && c->n_moe_layers >= 0 && c->n_moe_layers < c->layers)
        return fail(E_DATA, "%s: mixtral models of Hugging Face have experts in every layer", dir);
    if (c->sliding_window && !f->window)
        return fail(E_DATA, "%s: %s models of Hugging Face cannot have a sliding window", dir, c->model_type);
    json_t *root = shape_json(c, f->architecture, dtype);
    if (f->add)
        f->add(root, c);
    char *path = mem_format("%s/config.json", dir);
    status s = add_carried(root, c);
    if (s == OK)
        s = json_write_file(root, path, 2);
    free(path);
    json_decref(root);
    return s;
}
