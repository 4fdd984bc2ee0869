#include "format/hf_keys.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/mem.h"
#include "base/file.h"
#include "format/file_kind.h"

enum { FILE_LIMIT = 16 << 20, KEY_LIMIT = 100 };

/* ---- families, with the defaults that transformers has for keys that are absent ---- */

static const struct family {
    const char *name;
    int bit;
    struct hf_config silent;
} families[] = {
    {"llama", LLAMA, {.max_positions = 2048, .norm_eps = 1e-6, .rope.theta = 1e4}},
    {"mistral",
     MISTRAL,
     {.kv_heads = 8, .max_positions = 131072, .sliding_window = 4096, .norm_eps = 1e-6, .rope.theta = 1e4}},
    {"qwen2",
     QWEN2,
     {.kv_heads = 32, .max_positions = 32768, .norm_eps = 1e-6, .rope.theta = 1e4, .qkv_bias = true}},
    {"qwen3",
     QWEN3,
     {.kv_heads = 32,
      .head_dim = 128,
      .max_positions = 32768,
      .norm_eps = 1e-6,
      .rope.theta = 1e4,
      .qk_norm = true}},
    {"seed_oss",
     SEED_OSS,
     {.kv_heads = 8,
      .head_dim = 128,
      .max_positions = 524288,
      .norm_eps = 1e-6,
      .rope.theta = 1e4,
      .qkv_bias = true}},
    {"smollm3",
     SMOLLM3,
     {.kv_heads = 4, .max_positions = 32768, .norm_eps = 1e-6, .rope.theta = 2e6, .tied = true}},
    {"granite",
     GRANITE,
     {.max_positions = 2048, .norm_eps = 1e-6, .rope.theta = 1e4, .attention_multiplier = 1}},
    {"mixtral",
     MIXTRAL,
     {.kv_heads = 8, .max_positions = 131072, .experts = 8, .top_k = 2, .norm_eps = 1e-5, .rope.theta = 1e6}},
    {"qwen2_moe",
     QWEN2_MOE,
     {.kv_heads = 16,
      .max_positions = 32768,
      .experts = 60,
      .top_k = 4,
      .expert_width = 1408,
      .shared_width = 5632,
      .norm_eps = 1e-6,
      .rope.theta = 1e4,
      .qkv_bias = true}},
    {"qwen3_moe",
     QWEN3_MOE,
     {.kv_heads = 4,
      .max_positions = 32768,
      .experts = 128,
      .top_k = 8,
      .expert_width = 768,
      .norm_eps = 1e-6,
      .rope.theta = 1e4,
      .qk_norm = true}},
    {"granitemoe",
     GRANITE_MOE,
     {.max_positions = 2048,
      .experts = 8,
      .top_k = 2,
      .norm_eps = 1e-6,
      .rope.theta = 1e4,
      .attention_multiplier = 1}},
};

static const struct family *find_family(const char *name)
{
    for (size_t i = 0; name && i < sizeof families / sizeof families[0]; i++)
        if (strcmp(name, families[i].name) == 0)
            return &families[i];
    return NULL;
}

/* ---- tables of keys, which are read in this order ---- */

static use_key use_rope, use_rope_type, use_truncate;

#define AT(name) offsetof(struct hf_config, name)

static const struct key keys[] = {
    {"model_type", ALL, use_nothing, 0, 0, NULL}, /* it was read before all others */
    {"hidden_size", ALL, use_count, AT(hidden), 1 << 18, NULL},
    {"intermediate_size", ALL, use_count, AT(intermediate), 1 << 20, NULL},
    {"num_hidden_layers", ALL, use_count, AT(layers), 1 << 10, NULL},
    {"num_attention_heads", ALL, use_count, AT(heads), 1 << 12, NULL},
    {"num_key_value_heads", ALL, use_count_or_null, AT(kv_heads), 1 << 12, NULL},
    {"head_dim", ALL, use_count_or_null, AT(head_dim), 1 << 12, NULL},
    {"vocab_size", ALL, use_count, AT(vocab), 1 << 24, NULL},
    {"max_position_embeddings", ALL, use_count, AT(max_positions), 1LL << 31, NULL},
    {"max_sequence_length", ALL, use_length, AT(max_positions), 1LL << 31, NULL},
    {"rms_norm_eps", ALL, use_number, AT(norm_eps), 0, NULL},
    {"tie_word_embeddings", ALL, use_flag, AT(tied), 0, NULL},
    {"num_local_experts", MOE, use_count, AT(experts), 1 << 12, NULL},
    {"num_experts", MOE & ~GRANITE_MOE, use_count, AT(experts), 1 << 12, NULL},
    {"num_experts_per_tok", MOE, use_count, AT(top_k), 1 << 12, NULL},
    {"moe_intermediate_size", QWEN_MOE, use_count, AT(expert_width), 1 << 20, NULL},
    {"shared_expert_intermediate_size", QWEN2_MOE, use_count, AT(shared_width), 1 << 20, NULL},
    {"coppice_no_shared_expert", QWEN2_MOE, use_flag, AT(no_shared), 0, NULL},
    {"norm_topk_prob", QWEN_MOE, use_flag, AT(renormalise), 0, NULL},
    {"coppice_moe_layers", MIXTRAL, use_moe_layers, 0, 0, NULL},
    {"mlp_only_layers", QWEN_MOE, use_dense_layers, 0, 0, NULL},
    {"decoder_sparse_step", QWEN_MOE, use_sparse_step, 0, 1 << 10, NULL},
    {"qkv_bias", QWEN2_MOE, use_flag, AT(qkv_bias), 0, NULL},
    {"embedding_multiplier", GRANITE | GRANITE_MOE, use_number, AT(embedding_multiplier), 0, NULL},
    {"attention_multiplier", GRANITE | GRANITE_MOE, use_number, AT(attention_multiplier), 0, NULL},
    {"residual_multiplier", GRANITE | GRANITE_MOE, use_number, AT(residual_multiplier), 0, NULL},
    {"logits_scaling", GRANITE | GRANITE_MOE, use_number, AT(logits_scaling), 0, NULL},
    {"attention_bias", SEED_OSS, use_flag, AT(qkv_bias), 0, NULL},
    {"no_rope_layer_interval", SMOLLM3, use_no_rope_interval, 0, 1 << 10, NULL},
    {"no_rope_layers", SMOLLM3, use_no_rope_layers, 0, 0, NULL},
    {"rope_theta", ALL, use_number, AT(rope.theta), 0, NULL},
    {"rope_scaling", ALL, use_rope, 0, 0, NULL},
    {"rope_parameters", ALL, use_rope, 0, 0, NULL},
    {"sliding_window", ALL, use_window, AT(sliding_window), 1LL << 31, NULL},
    {"use_sliding_window", SWITCHED, use_window_flag, 0, 0, NULL},
    {"max_window_layers", QWEN2 | QWEN3 | QWEN2_MOE, use_window_from, 0, 0, NULL},
    {"max_window_layers", ALL & ~(QWEN2 | QWEN3 | QWEN2_MOE), use_nothing, 0, 0, NULL},
    {"layer_types", ALL, use_layer_types, 0, 0, NULL},

    {"hidden_act", ALL, only_text, 0, 0, "silu|swish"},
    {"attention_dropout", ALL & ~SEED_OSS, only_number, 0, 0, NULL},
    {"attention_dropout", SEED_OSS, ignored, 0, 0, "nothing is dropped at random here"},
    {"hidden_dropout", ALL, only_number, 0, 0, NULL},
    {"resid_pdrop", ALL, only_number, 0, 0, NULL},
    {"embd_pdrop", ALL, only_number, 0, 0, NULL},
    {"attn_pdrop", ALL, only_number, 0, 0, NULL},
    {"partial_rotary_factor", ALL, only_number, 0, 1, NULL},
    {"attention_bias", ALL & ~SEED_OSS, only_off, 0, 0, "a bias on the attention's output is not supported"},
    {"attention_out_bias", SEED_OSS, only_off, 0, 0, "a bias on the attention's output is not supported"},
    {"residual_dropout", SEED_OSS, ignored, 0, 0, "nothing is dropped at random here"},
    {"mlp_bias", ALL, only_off, 0, 0, "biases in the feed-forward layers are not supported"},
    {"bias", ALL, only_off, 0, 0, "biases beyond those of the model type are not supported"},
    {"use_bias", ALL, only_off, 0, 0, "biases beyond those of the model type are not supported"},
    {"qkv_bias", ALL & ~(QWEN2 | QWEN2_MOE), only_off, 0, 0, "this family has no such biases"},
    {"qk_norm", ALL, only_off, 0, 0, "normalised queries and keys are not supported"},
    {"use_qk_norm", ALL, only_off, 0, 0, "normalised queries and keys are not supported"},
    {"use_sliding_window", ALL & ~SWITCHED, only_off, 0, 0,
     "transformers knows no such switch in this family"},
    {"rope_interleaved", ALL, only_off, 0, 0, "interleaved rotary pairs are not supported"},
    {"use_mrope", ALL, only_off, 0, 0, "multimodal rotary positions are not supported"},
    {"dual_chunk_attention_config", ALL, only_off, 0, 0, "attention in chunks is not supported"},
    {"attn_logit_softcapping", ALL, only_off, 0, 0, "capped logits are not supported"},
    {"final_logit_softcapping", ALL, only_off, 0, 0, "capped logits are not supported"},
    {"pruned_heads", ALL, only_off, 0, 0, "pruned heads are not supported"},
    {"is_encoder_decoder", ALL, only_off, 0, 0, "only decoders are supported"},
    {"tie_encoder_decoder", ALL, only_off, 0, 0, "only decoders are supported"},
    {"add_cross_attention", ALL, only_off, 0, 0, "only decoders are supported"},
    {"cross_attention_hidden_size", ALL, only_off, 0, 0, "only decoders are supported"},
    {"quantization", ALL, only_off, 0, 0, "quantised weights are not supported"},
    {"quantization_config", ALL, only_off, 0, 0, "quantised weights are not supported"},
    {"auto_map", ALL, only_off, 0, 0, "models that bring their own code are not supported"},

    {"router_aux_loss_coef", MOE, ignored, 0, 0, "the deck's model.moe.aux_loss_coeff counts"},
    {"router_jitter_noise", MIXTRAL, ignored, 0, 0, "routers have no jitter here"},
    {NULL, 0, NULL, 0, 0, NULL},
};

/* Members of rope_scaling and of rope_parameters. */
static const struct key rope_keys[] = {
    {"rope_type", ALL, use_rope_type, 0, 0, NULL},
    {"type", ALL, use_rope_type, 0, 0, NULL},
    {"rope_theta", ALL, use_number, AT(rope.theta), 0, NULL},
    {"factor", ALL, use_number_or_null, AT(rope.factor), 0, NULL},
    {"low_freq_factor", ALL, use_number, AT(rope.low_freq), 0, NULL},
    {"high_freq_factor", ALL, use_number, AT(rope.high_freq), 0, NULL},
    {"original_max_position_embeddings", ALL, use_number, AT(rope.original_positions), 0, NULL},
    {"attention_factor", ALL, use_number_or_null, AT(rope.attention_factor), 0, NULL},
    {"beta_fast", ALL, use_number_or_null, AT(rope.beta_fast), 0, NULL},
    {"beta_slow", ALL, use_number_or_null, AT(rope.beta_slow), 0, NULL},
    {"mscale", ALL, use_number_or_null, AT(rope.mscale), 0, NULL},
    {"mscale_all_dim", ALL, use_number_or_null, AT(rope.mscale_all_dim), 0, NULL},
    {"truncate", ALL, use_truncate, 0, 0, NULL},
    {"partial_rotary_factor", ALL, only_number, 0, 1, NULL},
    {NULL, 0, NULL, 0, 0, NULL},
};

/* The row of that name for this family, else one of another family. */
static const struct key *find_key(const struct key *table, const char *name, int family)
{
    const struct key *other = NULL;
    for (const struct key *k = table; k->name; k++)
        if (strcmp(k->name, name) == 0) {
            if (k->families & family)
                return k;
            other = k;
        }
    return other;
}

static status check_key(const struct reader *r, const struct key *table, const char *name)
{
    const struct key *k = find_key(table, name, r->family);
    if (!file_name_ok(name, KEY_LIMIT))
        return fail(E_DATA, "%s: a key is empty, longer than %d bytes or has control bytes", r->path,
                    KEY_LIMIT);
    if (!k && !hf_key_harmless(name))
        return refuse(r, name,
                      "unknown, so it is refused: it may change what the model computes (if you know that it "
                      "does not, say so in the deck: model.ignore: [%s%s])",
                      r->inside, name);
    if (k && !(k->families & r->family))
        return refuse(r, name, "%s models have no such key", r->config->model_type);
    return OK;
}

/* Every key of the file must be one that this table and family know. */
static status check_known(const struct reader *r, const struct key *table, json_t *object)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
        TRY(check_key(r, table, name));
    return OK;
}

static status use_keys(struct reader *r, const struct key *table, json_t *object)
{
    for (const struct key *k = table; k->name; k++) {
        json_t *value = json_object_get(object, k->name);
        if (value && (k->families & r->family))
            TRY(k->use(r, k, value));
    }
    return OK;
}

/* ---- rotary embeddings ---- */

/* What each type says by keys of its own. */
static const struct rope_type {
    const char *name;
    enum rope_scaling scaling;
    bool factor, bands, original, yarn;
} rope_types[] = {
    {"default", ROPE_DEFAULT, false, false, false, false}, {"linear", ROPE_LINEAR, true, false, false, false},
    {"dynamic", ROPE_DYNAMIC, true, false, false, false},  {"llama3", ROPE_LLAMA3, true, true, true, false},
    {"yarn", ROPE_YARN, true, false, true, true},
};
enum { ROPE_TYPES = sizeof rope_types / sizeof *rope_types };

static status use_rope_type(struct reader *r, const struct key *k, json_t *value)
{
    const char *type = json_string_value(value);
    if (!type)
        return refuse(r, k->name, "must be text");
    for (int i = 0; i < ROPE_TYPES; i++)
        if (strcmp(type, rope_types[i].name) == 0) {
            r->config->rope.scaling = rope_types[i].scaling;
            return agree(r, k->name, &r->config->rope.scaling, i);
        }
    return refuse(r, k->name, "only default, linear, dynamic, llama3 and yarn are supported, not %.40s",
                  type);
}

static status use_truncate(struct reader *r, const struct key *k, json_t *value)
{
    if (!json_is_boolean(value))
        return refuse(r, k->name, "must be true or false");
    r->config->rope.exact_bounds = json_is_false(value);
    return OK;
}

/* Numbers that another type has would be lost. */
static status check_rope_members(const struct reader *r, const struct rope_type *t)
{
    const struct rope *p = &r->config->rope;
    bool yarn = p->attention_factor != 0 || p->beta_fast != 0 || p->beta_slow != 0 || p->mscale != 0 ||
                p->mscale_all_dim != 0 || p->exact_bounds;
    if (t->factor && p->factor == 0)
        return refuse(r, "rope_type", "%s needs factor", t->name);
    if (t->factor && p->factor < 1)
        return refuse(r, "rope_type", "%s needs factor >= 1", t->name);
    if (t->bands && (p->low_freq == 0 || p->low_freq >= p->high_freq))
        return refuse(r, "rope_type", "%s needs low_freq_factor < high_freq_factor", t->name);
    if ((!t->factor && p->factor != 0) || (!t->bands && (p->low_freq != 0 || p->high_freq != 0)) ||
        (!t->original && p->original_positions != 0) || (!t->yarn && yarn))
        return refuse(r, "rope_type", "scaling factors that %s does not have", t->name);
    return OK;
}

static status check_rope(const struct reader *r)
{
    struct rope *p = &r->config->rope;
    const struct rope_type *t = rope_types;
    while (t->scaling != p->scaling)
        t++;
    if (p->scaling == ROPE_DEFAULT && p->factor == 1) /* what it divides by */
        p->factor = 0;
    if (t->original && p->original_positions == 0)
        p->original_positions = (double)r->config->max_positions;
    if (p->scaling == ROPE_YARN && p->factor == 0)
        p->factor = (double)r->config->max_positions / p->original_positions;
    TRY(check_rope_members(r, t));
    if (p->scaling == ROPE_LINEAR && p->factor == 1)
        p->scaling = ROPE_DEFAULT, p->factor = 0;
    return OK;
}

static status use_rope(struct reader *r, const struct key *k, json_t *value)
{
    if (json_is_null(value))
        return OK;
    if (!json_is_object(value))
        return refuse(r, k->name, "must be an object or null");
    bool new_form = strcmp(k->name, "rope_parameters") == 0;
    json_t *old_form = json_object_get(r->root, "rope_scaling");
    if (new_form && json_is_object(old_form) && !json_equal(old_form, value))
        return refuse(r, k->name, "contradicts \"rope_scaling\"; which one counts? Take the wrong one out");
    r->inside = new_form ? "rope_parameters." : "rope_scaling.";
    TRY(check_known(r, rope_keys, value));
    TRY(use_keys(r, rope_keys, value));
    TRY(check_rope(r));
    r->inside = "";
    return OK;
}

/* ---- model.ignore: keys that the user knows to change nothing ---- */

/* One that says what the model is cannot be left out. */
static bool may_be_ignored(const struct reader *r, const char *name)
{
    const char *inner = strncmp(name, "rope_scaling.", 13) == 0      ? name + 13
                        : strncmp(name, "rope_parameters.", 16) == 0 ? name + 16
                                                                     : NULL;
    const struct key *k = inner ? find_key(rope_keys, inner, r->family) : find_key(keys, name, r->family);
    return !k || k->use == only_text || k->use == only_off || k->use == only_number || k->use == ignored;
}

/* Remove the key "a", or "a.b" in the object "a". False if it is not there. */
static bool take_out(json_t *root, const char *name)
{
    const char *dot = strchr(name, '.');
    if (json_object_del(root, name) == 0)
        return true;
    char *outer = dot ? mem_format("%.*s", (int)(dot - name), name) : NULL;
    bool there = outer && json_object_del(json_object_get(root, outer), dot + 1) == 0;
    free(outer);
    return there;
}

static status drop_ignored(struct reader *r, char *const *ignore, int n)
{
    for (int i = 0; i < n; i++) {
        if (!may_be_ignored(r, ignore[i]))
            return fail(E_DECK, "model.ignore: %s says what the model is; it cannot be ignored", ignore[i]);
        if (take_out(r->root, ignore[i]))
            note(r->config, mem_format("%s: key \"%s\" is ignored: model.ignore", r->path, ignore[i]));
    }
    return OK;
}

/* ---- the whole file ---- */

static status check_present(const struct reader *r)
{
    for (const struct key *k = keys; k->name; k++)
        if (k->use == use_count && (k->families & r->family) &&
            *(long long *)((char *)r->config + k->at) == 0)
            return refuse(r, k->name, "missing");
    return OK;
}

/* A multiplier of 1 is none. */
static void drop_ones(struct hf_config *c)
{
    double *const all[] = {&c->embedding_multiplier, &c->residual_multiplier, &c->logits_scaling};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (*all[i] == 1)
            *all[i] = 0;
}

/* Fill what follows from other keys; check what must fit together. */
static status complete(const struct reader *r)
{
    struct hf_config *c = r->config;
    TRY(complete_layers(r));
    drop_ones(c);
    if (c->kv_heads == 0)
        c->kv_heads = c->heads;
    if (c->heads % c->kv_heads)
        return refuse(r, "num_key_value_heads", "%lld heads are not a multiple of %lld", c->heads,
                      c->kv_heads);
    if (c->head_dim == 0 && c->hidden % c->heads)
        return refuse(r, "hidden_size", "%lld is not a multiple of %lld heads, and there is no head_dim",
                      c->hidden, c->heads);
    if (c->head_dim == 0)
        c->head_dim = c->hidden / c->heads;
    if (c->head_dim % 2)
        return refuse(r, "head_dim", "%lld is odd; rotary embeddings need pairs", c->head_dim);
    if (c->top_k > c->experts)
        return refuse(r, "num_experts_per_tok", "%lld is more than the %lld experts", c->top_k, c->experts);
    return OK;
}

static status read_config(struct reader *r, char *const *ignore, int n)
{
    const char *type = json_string_value(json_object_get(r->root, "model_type"));
    const struct family *f = find_family(type);
    if (!json_is_object(r->root))
        return fail(E_DATA, "%s: not a JSON object", r->path);
    if (!f)
        return refuse(r, "model_type",
                      "only llama, mistral, qwen2, qwen3, seed_oss, smollm3, granite, mixtral, qwen2_moe, "
                      "qwen3_moe and "
                      "granitemoe are supported, not %.40s",
                      type && file_name_ok(type, KEY_LIMIT) ? type : "this");
    *r->config = f->silent;
    r->config->n_moe_layers = -1;
    strcpy(r->config->model_type, f->name);
    r->family = f->bit;
    TRY(drop_ignored(r, ignore, n));
    TRY(check_known(r, keys, r->root));
    TRY(use_keys(r, keys, r->root));
    TRY(check_present(r));
    r->config->carried = carried_keys(r->root);
    return complete(r);
}

status hf_config_read(struct hf_config *c, const char *dir, char *const *ignore, int n)
{
    char *path = mem_format("%s/config.json", dir);
    struct reader r = {
        .path = path, .inside = "", .config = c, .no_rope = 4, .max_window_layers = 28, .sparse_step = 1};
    *c = (struct hf_config){.n_moe_layers = -1};
    status s = file_explain(json_read_file(&r.root, path, FILE_LIMIT), path);
    if (s == OK)
        s = read_config(&r, ignore, n);
    if (s != OK)
        hf_config_free(c);
    json_decref(r.root);
    free(path);
    return s;
}

void hf_config_free(struct hf_config *c)
{
    for (int i = 0; i < c->n_notes; i++)
        free(c->notes[i]);
    free(c->notes);
    free(c->moe_layers);
    free(c->bare_layers);
    free(c->whole_layers);
    free(c->carried);
    *c = (struct hf_config){.n_moe_layers = -1};
}
