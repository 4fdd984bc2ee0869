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
    long long kv_heads; /* 0 = as many as heads */
    long long max_positions, sliding_window, experts, top_k;
    double norm_eps, rope_theta;
} families[] = {
    {"llama", LLAMA, 0, 2048, 0, 0, 0, 1e-6, 1e4},
    {"mistral", MISTRAL, 8, 131072, 4096, 0, 0, 1e-6, 1e4},
    {"qwen2", QWEN2, 32, 32768, 0, 0, 0, 1e-6, 1e4},
    {"mixtral", MIXTRAL, 8, 131072, 0, 8, 2, 1e-5, 1e6},
};

static const struct family *find_family(const char *name)
{
    for (size_t i = 0; name && i < sizeof families / sizeof families[0]; i++)
        if (strcmp(name, families[i].name) == 0)
            return &families[i];
    return NULL;
}

/* ---- tables of keys, which are read in this order ---- */

static use_key use_rope, use_rope_type;

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
    {"num_local_experts", MIXTRAL, use_count, AT(experts), 1 << 12, NULL},
    {"num_experts", MIXTRAL, use_count, AT(experts), 1 << 12, NULL},
    {"num_experts_per_tok", MIXTRAL, use_count, AT(top_k), 1 << 12, NULL},
    {"coppice_moe_layers", MIXTRAL, use_moe_layers, 0, 0, NULL},
    {"rope_theta", ALL, use_number, AT(rope_theta), 0, NULL},
    {"rope_scaling", ALL, use_rope, 0, 0, NULL},
    {"rope_parameters", ALL, use_rope, 0, 0, NULL},
    {"sliding_window", ALL, use_window, AT(sliding_window), 1LL << 31, NULL},
    {"layer_types", ALL, use_layer_types, 0, 0, NULL},

    {"hidden_act", ALL, only_text, 0, 0, "silu|swish"},
    {"attention_dropout", ALL, only_number, 0, 0, NULL},
    {"hidden_dropout", ALL, only_number, 0, 0, NULL},
    {"resid_pdrop", ALL, only_number, 0, 0, NULL},
    {"embd_pdrop", ALL, only_number, 0, 0, NULL},
    {"attn_pdrop", ALL, only_number, 0, 0, NULL},
    {"partial_rotary_factor", ALL, only_number, 0, 1, NULL},
    {"attention_bias", ALL, only_off, 0, 0, "a bias on the attention's output is not supported"},
    {"mlp_bias", ALL, only_off, 0, 0, "biases in the feed-forward layers are not supported"},
    {"bias", ALL, only_off, 0, 0, "biases beyond those of the model type are not supported"},
    {"use_bias", ALL, only_off, 0, 0, "biases beyond those of the model type are not supported"},
    {"qkv_bias", LLAMA | MISTRAL | MIXTRAL, only_off, 0, 0, "only qwen2 has biases on Q, K and V"},
    {"qk_norm", ALL, only_off, 0, 0, "normalised queries and keys are not supported"},
    {"use_qk_norm", ALL, only_off, 0, 0, "normalised queries and keys are not supported"},
    {"use_sliding_window", ALL, only_off, 0, 0, "sliding-window attention is not supported"},
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

    {"router_aux_loss_coef", MIXTRAL, ignored, 0, 0, "the deck's model.moe.aux_loss_coeff counts"},
    {"router_jitter_noise", MIXTRAL, ignored, 0, 0, "routers have no jitter here"},
    {NULL, 0, NULL, 0, 0, NULL},
};

/* Members of rope_scaling and of rope_parameters. */
static const struct key rope_keys[] = {
    {"rope_type", ALL, use_rope_type, 0, 0, NULL},
    {"type", ALL, use_rope_type, 0, 0, NULL},
    {"rope_theta", ALL, use_number, AT(rope_theta), 0, NULL},
    {"factor", ALL, use_number, AT(rope_factor), 0, NULL},
    {"low_freq_factor", ALL, use_number, AT(rope_low), 0, NULL},
    {"high_freq_factor", ALL, use_number, AT(rope_high), 0, NULL},
    {"original_max_position_embeddings", ALL, use_number, AT(rope_original), 0, NULL},
    {"partial_rotary_factor", ALL, only_number, 0, 1, NULL},
    {NULL, 0, NULL, 0, 0, NULL},
};

static const struct key *find_key(const struct key *table, const char *name)
{
    for (const struct key *k = table; k->name; k++)
        if (strcmp(k->name, name) == 0)
            return k;
    return NULL;
}

static status check_key(const struct reader *r, const struct key *table, int family, const char *name)
{
    const struct key *k = find_key(table, name);
    if (!file_name_ok(name, KEY_LIMIT))
        return fail(E_DATA, "%s: a key is empty, longer than %d bytes or has control bytes", r->path,
                    KEY_LIMIT);
    if (!k && !hf_key_harmless(name))
        return refuse(r, name,
                      "unknown, so it is refused: it may change what the model computes (if you know that it "
                      "does not, say so in the deck: model.ignore: [%s%s])",
                      r->inside, name);
    if (k && !(k->families & family))
        return refuse(r, name, "%s models have no such key", r->config->model_type);
    return OK;
}

/* Refuse keys of the file that are not in the table, or that the family does not have. */
static status check_known(const struct reader *r, const struct key *table, int family, json_t *object)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
        TRY(check_key(r, table, family, name));
    return OK;
}

static status use_keys(struct reader *r, const struct key *table, json_t *object)
{
    for (const struct key *k = table; k->name; k++) {
        json_t *value = json_object_get(object, k->name);
        if (value)
            TRY(k->use(r, k, value));
    }
    return OK;
}

/* ---- rotary embeddings ---- */

static status use_rope_type(struct reader *r, const struct key *k, json_t *value)
{
    static const char *const types[] = {"default", "linear", "llama3"};
    const char *type = json_string_value(value);
    if (!type)
        return refuse(r, k->name, "must be text");
    for (int i = 0; i < 3; i++)
        if (strcmp(type, types[i]) == 0) {
            r->rope_type = (enum rope_type)i;
            return agree(r, k->name, &r->rope_type, i);
        }
    return refuse(r, k->name, "only default and llama3 are supported, not %.40s", type);
}

static status check_llama3(const struct reader *r)
{
    struct hf_config *c = r->config;
    if (c->rope_original == 0)
        c->rope_original = (double)c->max_positions;
    if (c->rope_factor == 0 || c->rope_low == 0 || c->rope_high == 0)
        return refuse(r, "rope_type", "llama3 needs factor, low_freq_factor and high_freq_factor");
    if (c->rope_factor < 1 || c->rope_low >= c->rope_high)
        return refuse(r, "rope_type", "llama3 needs factor >= 1 and low_freq_factor < high_freq_factor");
    return OK;
}

static status check_rope(const struct reader *r)
{
    struct hf_config *c = r->config;
    c->rope_llama3 = r->rope_type == ROPE_LLAMA3;
    if (c->rope_llama3)
        return check_llama3(r);
    if (r->rope_type == ROPE_LINEAR && c->rope_factor != 1)
        return refuse(r, "rope_type", "only default and llama3 are supported, not linear with a factor");
    if (c->rope_factor == 1) /* linear scaling by 1 changes nothing */
        c->rope_factor = 0;
    if (c->rope_factor != 0 || c->rope_low != 0 || c->rope_high != 0 || c->rope_original != 0)
        return refuse(r, "rope_type", "scaling factors without rope_type llama3");
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
    TRY(check_known(r, rope_keys, ALL, value));
    TRY(use_keys(r, rope_keys, value));
    TRY(check_rope(r));
    r->inside = "";
    return OK;
}

/* ---- model.ignore: keys that the user knows to change nothing ---- */

/* A key that says what the model is cannot be ignored. */
static bool may_be_ignored(const char *name)
{
    const char *inner = strncmp(name, "rope_scaling.", 13) == 0      ? name + 13
                        : strncmp(name, "rope_parameters.", 16) == 0 ? name + 16
                                                                     : NULL;
    const struct key *k = inner ? find_key(rope_keys, inner) : find_key(keys, name);
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
        if (!may_be_ignored(ignore[i]))
            return fail(E_DECK, "model.ignore: %s says what the model is; it cannot be ignored", ignore[i]);
        if (take_out(r->root, ignore[i]))
            note(r->config, mem_format("%s: key \"%s\" is ignored: model.ignore", r->path, ignore[i]));
    }
    return OK;
}

/* ---- the whole file ---- */

static status check_present(const struct reader *r, int family)
{
    for (const struct key *k = keys; k->name; k++)
        if (k->use == use_count && (k->families & family) && *(long long *)((char *)r->config + k->at) == 0)
            return refuse(r, k->name, "missing");
    return OK;
}

/* Set what follows from other keys, and check what must fit together. */
static status complete(const struct reader *r)
{
    struct hf_config *c = r->config;
    if (c->kv_heads == 0)
        c->kv_heads = c->heads;
    if (c->heads % c->kv_heads)
        return refuse(r, "num_key_value_heads", "%lld heads are no multiple of %lld", c->heads, c->kv_heads);
    if (c->head_dim == 0 && c->hidden % c->heads)
        return refuse(r, "hidden_size", "%lld is no multiple of %lld heads, and there is no head_dim",
                      c->hidden, c->heads);
    if (c->head_dim == 0)
        c->head_dim = c->hidden / c->heads;
    if (c->head_dim % 2)
        return refuse(r, "head_dim", "%lld is odd; rotary embeddings need pairs", c->head_dim);
    if (c->top_k > c->experts)
        return refuse(r, "num_experts_per_tok", "%lld is more than the %lld experts", c->top_k, c->experts);
    if (c->sliding_window && c->sliding_window < c->max_positions)
        note(c, mem_format("%s: attention has a sliding window: sequences up to %lld tokens only", r->path,
                           c->sliding_window));
    return OK;
}

static void set_defaults(struct hf_config *c, const struct family *f)
{
    *c = (struct hf_config){
        .kv_heads = f->kv_heads,
        .max_positions = f->max_positions,
        .sliding_window = f->sliding_window,
        .norm_eps = f->norm_eps,
        .rope_theta = f->rope_theta,
        .qkv_bias = f->bit == QWEN2,
        .experts = f->experts,
        .top_k = f->top_k,
        .n_moe_layers = -1,
    };
    strcpy(c->model_type, f->name);
}

static status read_config(struct reader *r, char *const *ignore, int n)
{
    const char *type = json_string_value(json_object_get(r->root, "model_type"));
    const struct family *f = find_family(type);
    if (!json_is_object(r->root))
        return fail(E_DATA, "%s: not a JSON object", r->path);
    if (!f)
        return refuse(r, "model_type", "only llama, mistral, qwen2 and mixtral are supported, not %.40s",
                      type && file_name_ok(type, KEY_LIMIT) ? type : "this");
    set_defaults(r->config, f);
    TRY(drop_ignored(r, ignore, n));
    TRY(check_known(r, keys, f->bit, r->root));
    TRY(use_keys(r, keys, r->root));
    TRY(check_present(r, f->bit));
    r->config->carried = carried_keys(r->root);
    return complete(r);
}

status hf_config_read(struct hf_config *c, const char *dir, char *const *ignore, int n)
{
    char *path = mem_format("%s/config.json", dir);
    struct reader r = {.path = path, .inside = "", .config = c};
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
    free(c->carried);
    *c = (struct hf_config){.n_moe_layers = -1};
}
