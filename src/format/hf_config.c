#include "format/hf_config.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/mem.h"
#include "format/file.h"

enum { FILE_LIMIT = 16 << 20, KEY_LIMIT = 100 };

/* ---- families: what they assume where config.json is silent (as transformers does) ---- */

enum { LLAMA = 1, MISTRAL = 2, QWEN2 = 4, MIXTRAL = 8, ALL = 15 };

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

/* ---- one key at a time ---- */

struct reader {
    const char *path, *inside; /* inside: "rope_scaling." while its members are read, else "" */
    struct hf_config *config;
    json_t *root;
};

struct key {
    const char *name;
    int families; /* that know the key */
    status (*use)(struct reader *, const struct key *, json_t *value);
    size_t at;        /* member of struct hf_config */
    long long most;   /* of a count: keeps every product of sizes far from overflow */
    const char *text; /* the only value allowed, or why another one is refused or ignored */
};

__attribute__((format(printf, 3, 4))) static status refuse(const struct reader *r, const char *key,
                                                           const char *format, ...)
{
    char reason[256];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    return fail(E_DATA, "%s: key \"%s%s\": %s", r->path, r->inside, key, reason);
}

static void note(struct hf_config *c, char *text)
{
    c->notes = mem_grow(c->notes, c->n_notes + 1, sizeof *c->notes);
    c->notes[c->n_notes++] = text;
}

static void *member(struct reader *r, const struct key *k)
{
    return (char *)r->config + k->at;
}

/* Must be there, unless its family has a default: check_present. */
static status use_count(struct reader *r, const struct key *k, json_t *value)
{
    long long n = json_integer_value(value);
    if (!json_is_integer(value) || n < 1 || n > k->most)
        return refuse(r, k->name, "must be an integer from 1 to %lld", k->most);
    *(long long *)member(r, k) = n;
    return OK;
}

static status use_count_or_null(struct reader *r, const struct key *k, json_t *value)
{
    if (!json_is_null(value))
        return use_count(r, k, value);
    *(long long *)member(r, k) = 0;
    return OK;
}

static status use_number(struct reader *r, const struct key *k, json_t *value)
{
    if (!json_is_number(value) || json_number_value(value) <= 0)
        return refuse(r, k->name, "must be a positive number");
    *(double *)member(r, k) = json_number_value(value);
    return OK;
}

static status use_flag(struct reader *r, const struct key *k, json_t *value)
{
    if (!json_is_boolean(value))
        return refuse(r, k->name, "must be true or false");
    *(_Bool *)member(r, k) = json_is_true(value);
    return OK;
}

static status harmless(struct reader *r, const struct key *k, json_t *value)
{
    (void)r, (void)k, (void)value;
    return OK;
}

static status ignored(struct reader *r, const struct key *k, json_t *value)
{
    if (!json_is_number(value))
        return refuse(r, k->name, "must be a number");
    note(r->config, mem_format("%s: key \"%s\" is ignored: %s", r->path, k->name, k->text));
    return OK;
}

static status only_text(struct reader *r, const struct key *k, json_t *value)
{
    const char *text = json_string_value(value);
    return text && strcmp(text, k->text) == 0 ? OK : refuse(r, k->name, "only \"%s\" is supported", k->text);
}

/* null, false, or absent */
static status only_off(struct reader *r, const struct key *k, json_t *value)
{
    return json_is_null(value) || json_is_false(value) ? OK : refuse(r, k->name, "%s", k->text);
}

/* null or the number `most` */
static status only_number(struct reader *r, const struct key *k, json_t *value)
{
    bool right = json_is_number(value) && json_number_value(value) == (double)k->most;
    return json_is_null(value) || right ? OK : refuse(r, k->name, "only %lld is supported", k->most);
}

static status use_window(struct reader *r, const struct key *k, json_t *value)
{
    struct hf_config *c = r->config;
    TRY(use_count_or_null(r, k, value));
    if (strcmp(c->model_type, "qwen2") == 0)
        c->sliding_window = 0; /* counts only with use_sliding_window, which is refused */
    return OK;
}

static status use_layer_types(struct reader *r, const struct key *k, json_t *value)
{
    size_t i;
    json_t *type;
    if (json_is_null(value))
        return OK;
    if (!json_is_array(value) || (long long)json_array_size(value) != r->config->layers)
        return refuse(r, k->name, "must be a list of %lld types", r->config->layers);
    json_array_foreach(value, i, type)
        if (!json_is_string(type) || strcmp(json_string_value(type), "full_attention") != 0)
            return refuse(r, k->name, "layer %zu: only full_attention is supported", i);
    return OK;
}

static status use_moe_layers(struct reader *r, const struct key *k, json_t *value)
{
    struct hf_config *c = r->config;
    long long last = -1;
    if (!json_is_array(value) || (long long)json_array_size(value) > c->layers)
        return refuse(r, k->name, "must be a list of layers");
    c->n_moe_layers = (int)json_array_size(value);
    c->moe_layers = mem_new(c->n_moe_layers, sizeof *c->moe_layers);
    for (int i = 0; i < c->n_moe_layers; i++) {
        const json_t *layer = json_array_get(value, (size_t)i);
        if (!json_is_integer(layer) || json_integer_value(layer) <= last ||
            json_integer_value(layer) >= c->layers)
            return refuse(r, k->name, "must list layers from 0 to %lld, ascending", c->layers - 1);
        last = json_integer_value(layer);
        c->moe_layers[i] = (int)last;
    }
    return OK;
}

/* ---- tables of keys, used in this order ---- */

static status use_rope(struct reader *, const struct key *, json_t *);
static status use_rope_type(struct reader *, const struct key *, json_t *);

#define AT(name) offsetof(struct hf_config, name)

static const struct key keys[] = {
    {"model_type", ALL, harmless, 0, 0, NULL}, /* read before all others */
    {"hidden_size", ALL, use_count, AT(hidden), 1 << 18, NULL},
    {"intermediate_size", ALL, use_count, AT(intermediate), 1 << 20, NULL},
    {"num_hidden_layers", ALL, use_count, AT(layers), 1 << 10, NULL},
    {"num_attention_heads", ALL, use_count, AT(heads), 1 << 12, NULL},
    {"num_key_value_heads", ALL, use_count_or_null, AT(kv_heads), 1 << 12, NULL},
    {"head_dim", ALL, use_count_or_null, AT(head_dim), 1 << 12, NULL},
    {"vocab_size", ALL, use_count, AT(vocab), 1 << 24, NULL},
    {"max_position_embeddings", ALL, use_count, AT(max_positions), 1LL << 31, NULL},
    {"rms_norm_eps", ALL, use_number, AT(norm_eps), 0, NULL},
    {"tie_word_embeddings", ALL, use_flag, AT(tied), 0, NULL},
    {"num_local_experts", MIXTRAL, use_count, AT(experts), 1 << 12, NULL},
    {"num_experts_per_tok", MIXTRAL, use_count, AT(top_k), 1 << 12, NULL},
    {"coppice_moe_layers", MIXTRAL, use_moe_layers, 0, 0, NULL},
    {"rope_theta", ALL, use_number, AT(rope_theta), 0, NULL},
    {"rope_scaling", ALL, use_rope, 0, 0, NULL},
    {"rope_parameters", ALL, use_rope, 0, 0, NULL},
    {"sliding_window", ALL, use_window, AT(sliding_window), 1LL << 31, NULL},
    {"layer_types", ALL, use_layer_types, 0, 0, NULL},

    {"hidden_act", ALL, only_text, 0, 0, "silu"},
    {"attention_dropout", ALL, only_number, 0, 0, NULL},
    {"pretraining_tp", ALL, only_number, 0, 1, NULL},
    {"partial_rotary_factor", ALL, only_number, 0, 1, NULL},
    {"attention_bias", ALL, only_off, 0, 0, "a bias on the attention's output is not supported"},
    {"mlp_bias", ALL, only_off, 0, 0, "biases in the feed-forward layers are not supported"},
    {"qk_norm", ALL, only_off, 0, 0, "normalised queries and keys are not supported"},
    {"use_qk_norm", ALL, only_off, 0, 0, "normalised queries and keys are not supported"},
    {"use_sliding_window", ALL, only_off, 0, 0, "sliding-window attention is not supported"},
    {"rope_interleaved", ALL, only_off, 0, 0, "interleaved rotary pairs are not supported"},
    {"quantization_config", ALL, only_off, 0, 0, "quantised weights are not supported"},
    {"auto_map", ALL, only_off, 0, 0, "models that bring their own code are not supported"},

    {"router_aux_loss_coef", MIXTRAL, ignored, 0, 0, "the deck's model.moe.aux_loss_coeff counts"},
    {"router_jitter_noise", MIXTRAL, ignored, 0, 0, "routers have no jitter here"},

    {"architectures", ALL, harmless, 0, 0, NULL},
    {"torch_dtype", ALL, harmless, 0, 0, NULL}, /* the types in the safetensors files count */
    {"dtype", ALL, harmless, 0, 0, NULL},
    {"transformers_version", ALL, harmless, 0, 0, NULL},
    {"transformers.js_config", ALL, harmless, 0, 0, NULL},
    {"use_cache", ALL, harmless, 0, 0, NULL},
    {"initializer_range", ALL, harmless, 0, 0, NULL},
    {"max_window_layers", ALL, harmless, 0, 0, NULL},
    {"output_router_logits", ALL, harmless, 0, 0, NULL},
    {"is_llama_config", ALL, harmless, 0, 0, NULL},
    {"_name_or_path", ALL, harmless, 0, 0, NULL},
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

static bool token_id(const char *name)
{
    static const char suffix[] = "_token_id";
    size_t n = strlen(name);
    return n >= sizeof suffix && strcmp(name + n - (sizeof suffix - 1), suffix) == 0;
}

/* Every key of the file must be one that this table and family know. */
static status check_known(const struct reader *r, const struct key *table, int family, json_t *object)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value) {
        const struct key *k = table;
        if (!file_name_ok(name, KEY_LIMIT))
            return fail(E_DATA, "%s: a key is empty, longer than %d bytes or has control bytes", r->path,
                        KEY_LIMIT);
        while (k->name && strcmp(k->name, name) != 0)
            k++;
        if (!k->name && !token_id(name))
            return refuse(r, name, "unknown, so it is refused: it may change what the model computes");
        if (k->name && !(k->families & family))
            return refuse(r, name, "%s models have no such key", r->config->model_type);
    }
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
    const char *type = json_string_value(value);
    if (!type)
        return refuse(r, k->name, "must be text");
    r->config->rope_llama3 = strcmp(type, "llama3") == 0;
    if (r->config->rope_llama3 || strcmp(type, "default") == 0)
        return OK;
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

static status check_rope(struct reader *r)
{
    const struct hf_config *c = r->config;
    const json_t *outer = json_object_get(r->root, "rope_theta");
    if (outer && json_number_value(outer) != c->rope_theta)
        return refuse(r, "rope_theta", "%g here and %g outside", c->rope_theta, json_number_value(outer));
    if (c->rope_llama3)
        return check_llama3(r);
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
    if (new_form && json_is_object(json_object_get(r->root, "rope_scaling")))
        return refuse(r, k->name, "stands beside rope_scaling; which one counts?");
    r->inside = new_form ? "rope_parameters." : "rope_scaling.";
    TRY(check_known(r, rope_keys, ALL, value));
    TRY(use_keys(r, rope_keys, value));
    TRY(check_rope(r));
    r->inside = "";
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

/* Fill what follows from other keys; check what must fit together. */
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
        .kv_heads = f->kv_heads, .max_positions = f->max_positions, .sliding_window = f->sliding_window,
        .norm_eps = f->norm_eps, .rope_theta = f->rope_theta, .qkv_bias = f->bit == QWEN2,
        .experts = f->experts, .top_k = f->top_k, .n_moe_layers = -1,
    };
    strcpy(c->model_type, f->name);
}

static status read_config(struct reader *r)
{
    const char *type = json_string_value(json_object_get(r->root, "model_type"));
    const struct family *f = find_family(type);
    if (!json_is_object(r->root))
        return fail(E_DATA, "%s: not a JSON object", r->path);
    if (!f)
        return refuse(r, "model_type", "only llama, mistral, qwen2 and mixtral are supported, not %.40s",
                      type && file_name_ok(type, KEY_LIMIT) ? type : "this");
    set_defaults(r->config, f);
    TRY(check_known(r, keys, f->bit, r->root));
    TRY(use_keys(r, keys, r->root));
    TRY(check_present(r, f->bit));
    return complete(r);
}

status hf_config_read(struct hf_config *c, const char *dir)
{
    char *path = mem_format("%s/config.json", dir);
    struct reader r = {.path = path, .inside = "", .config = c};
    *c = (struct hf_config){.n_moe_layers = -1};
    status s = json_read_file(&r.root, path, FILE_LIMIT);
    if (s == OK)
        s = read_config(&r);
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
    *c = (struct hf_config){.n_moe_layers = -1};
}
