/* Writes a small Hugging Face directory for the scripts in this folder. The values depend on the tensor's
 * name and the element's index: integers from -127 to 127 times 2^EXPONENT, which are exact in BF16, F16
 * (down to 2^-24) and F32. Norms are 1. hf_model DIR [OPTION...]
 *   --family llama|mistral|qwen2|mixtral    --dtype F32|F16|BF16    --exponent N (-7)    --shards N (1)
 *   --set KEY=JSON     a key of config.json          --without KEY    one less
 *   --tied             no lm_head.weight
 *   --array NAME=NAME  one more array, a copy of another        --array NAME=RxC  one more of that shape
 *   --drop NAME        one array less                --rename OLD=NEW every name that begins with OLD
 *   --first NAME=X     the array's first element (nan, inf, 1e-39, ...)
 *   --unlisted NAME    in a shard, but not in the index           --no-config   weights alone */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "format/safetensors.h"
#include "weights/names.h"
#include "weights/config_hf.h"

enum { MOST = 4096 };

struct extra {
    char name[128], values_of[128]; /* its values are those of this name */
    int rank;
    int64_t shape[3];
    double first; /* NAN unless `changed` */
    bool changed, unlisted;
};

struct maker {
    const char *dir, *family;
    enum st_type type;
    int exponent, shards, n;
    bool no_config;
    json_t *config;
    struct extra array[MOST];
};

static _Noreturn void stop(const char *what)
{
    fprintf(stderr, "hf_model: %s %s\n", what, status_text());
    exit(64);
}

/* ---- config.json ---- */

static json_t *base_config(const char *family)
{
    json_t *c = json_pack("{ss si si si si si si si sf sb}", "model_type", family, "hidden_size", 32,
                          "intermediate_size", 48, "num_hidden_layers", 2, "num_attention_heads", 4,
                          "num_key_value_heads", 2, "vocab_size", 128, "max_position_embeddings", 64,
                          "rms_norm_eps", 1e-5, "tie_word_embeddings", 0);
    if (!strcmp(family, "mixtral"))
        json_object_update_new(c, json_pack("{si si}", "num_local_experts", 4, "num_experts_per_tok", 2));
    if (!strcmp(family, "mistral"))
        json_object_set_new(c, "sliding_window", json_null());
    return c;
}

static void set_key(struct maker *m, const char *pair)
{
    char key[128];
    json_error_t error;
    size_t n = strcspn(pair, "=");
    if (n >= sizeof key || !pair[n])
        stop(pair);
    snprintf(key, sizeof key, "%.*s", (int)n, pair);
    json_t *value = json_loads(pair + n + 1, JSON_DECODE_ANY, &error);
    if (!value)
        stop(pair);
    json_object_set_new(m->config, key, value);
}

/* ---- arrays ---- */

static struct extra *find(struct maker *m, const char *name)
{
    for (int i = 0; i < m->n; i++)
        if (!strcmp(m->array[i].name, name))
            return &m->array[i];
    stop(name);
}

/* Those of the plain model of that family and tying. */
static void list_arrays(struct maker *m, bool tied)
{
    struct hf_config hf = {.hidden = 32,
                           .intermediate = 48,
                           .layers = 2,
                           .heads = 4,
                           .kv_heads = 2,
                           .head_dim = 8,
                           .vocab = 128,
                           .norm_eps = 1e-5,
                           .rope.theta = 1e4,
                           .tied = tied,
                           .max_positions = 64,
                           .n_moe_layers = -1};
    struct config config;
    struct model model;
    struct hf_name *name;
    hf.qkv_bias = !strcmp(m->family, "qwen2");
    if (!strcmp(m->family, "mixtral"))
        hf.experts = 4, hf.top_k = 2;
    if (config_from_hf(&config, &hf) != OK)
        stop(m->family);
    model_open(&model, &config, &layout_alone);
    m->n = names_list(&model, HF_OLD, &name);
    for (int i = 0; i < m->n; i++) {
        struct extra *a = &m->array[i];
        snprintf(a->name, sizeof a->name, "%s", name[i].name);
        strcpy(a->values_of, a->name);
        a->rank = name[i].rank;
        memcpy(a->shape, name[i].shape, sizeof a->shape);
    }
    free(name);
    model_close(&model);
}

static void add_array(struct maker *m, const char *name, const char *as)
{
    struct extra a = {.rank = 2};
    long long rows, columns;
    if (sscanf(as, "%lldx%lld", &rows, &columns) == 2) {
        a.shape[0] = rows;
        a.shape[1] = columns;
        snprintf(a.values_of, sizeof a.values_of, "%s", name);
    } else
        a = *find(m, as);
    snprintf(a.name, sizeof a.name, "%s", name);
    m->array[m->n++] = a;
}

static void rename_arrays(struct maker *m, const char *old, const char *new)
{
    size_t n = strlen(old);
    for (int i = 0; i < m->n; i++) {
        char rest[128];
        if (strncmp(m->array[i].name, old, n))
            continue;
        snprintf(rest, sizeof rest, "%s", m->array[i].name + n);
        if (snprintf(m->array[i].name, sizeof rest, "%s%s", new, rest) >= (int)sizeof rest)
            stop(new);
    }
}

static void change_arrays(struct maker *m, const char *option, const char *value)
{
    char name[128];
    size_t n = strcspn(value, "=");
    const char *right = value[n] ? value + n + 1 : "";
    snprintf(name, sizeof name, "%.*s", (int)n, value);
    if (!strcmp(option, "--array"))
        add_array(m, name, right);
    else if (!strcmp(option, "--rename"))
        rename_arrays(m, name, right);
    else if (!strcmp(option, "--drop"))
        *find(m, name) = m->array[--m->n];
    else if (!strcmp(option, "--unlisted"))
        find(m, name)->unlisted = true;
    else if (!strcmp(option, "--first")) {
        find(m, name)->first = strtod(right, NULL);
        find(m, name)->changed = true;
    } else
        stop(option);
}

/* ---- writing ---- */

static void write_values(const struct maker *m, struct st_writer *w, int entry, const struct extra *a)
{
    int64_t elements = 1;
    for (int i = 0; i < a->rank; i++)
        elements *= a->shape[i];
    float *x = mem_new(elements, sizeof *x);
    uint64_t key = rng_name(a->values_of);
    bool norm = strstr(a->values_of, "norm.weight");
    for (int64_t i = 0; i < elements; i++) {
        int k = (int)(rng_mix(key + (uint64_t)i) % 255) - 127;
        x[i] = norm ? 1.0f : (float)ldexp((double)k, m->exponent);
    }
    if (a->changed)
        x[0] = (float)a->first;
    if (st_write_f32(w, entry, 0, elements, x) != OK)
        stop(a->name);
    free(x);
}

static char *shard_name(const struct maker *m, int shard)
{
    return m->shards == 1 ? mem_text("model.safetensors")
                          : mem_format("model-%05d-of-%05d.safetensors", shard + 1, m->shards);
}

/* The arrays in turn: i lies in shard i * shards / n. */
static void write_shard(const struct maker *m, int shard)
{
    struct st_declare *list = mem_new(m->n, sizeof *list);
    struct st_writer *w;
    char *name = shard_name(m, shard), *path = mem_format("%s/%s", m->dir, name);
    int first = (shard * m->n + m->shards - 1) / m->shards, n = 0;
    while (first + n < m->n && (first + n) * m->shards / m->n == shard) {
        const struct extra *a = &m->array[first + n];
        list[n] = (struct st_declare){.name = a->name, .type = m->type, .rank = a->rank};
        memcpy(list[n++].shape, a->shape, sizeof a->shape);
    }
    if (st_create(&w, path, list, n) != OK)
        stop(path);
    for (int i = 0; i < n; i++)
        write_values(m, w, i, &m->array[first + i]);
    if (st_finish(w) != OK)
        stop(path);
    free(path);
    free(name);
    free(list);
}

static void write_index(const struct maker *m)
{
    json_t *map = json_object();
    for (int i = 0; i < m->n; i++) {
        char *shard = shard_name(m, i * m->shards / m->n);
        if (!m->array[i].unlisted)
            json_object_set_new(map, m->array[i].name, json_string(shard));
        free(shard);
    }
    json_t *index = json_pack("{so}", "weight_map", map);
    char *path = mem_format("%s/model.safetensors.index.json", m->dir);
    if (json_write_file(index, path, 1) != OK)
        stop(path);
    free(path);
    json_decref(index);
}

static void write_all(const struct maker *m)
{
    char *path = mem_format("%s/config.json", m->dir);
    mkdir(m->dir, 0777);
    if (!m->no_config && json_write_file(m->config, path, 1) != OK)
        stop(path);
    for (int i = 0; i < m->shards; i++)
        write_shard(m, i);
    if (m->shards > 1)
        write_index(m);
    free(path);
}

/* ---- options ---- */

static enum st_type type_of(const char *name)
{
    for (enum st_type t = ST_F32; t <= ST_BF16; t++)
        if (!strcmp(st_type_name(t), name))
            return t;
    stop(name);
}

/* What the rest depends on, before the rest. */
static void first_options(struct maker *m, int argc, char **argv)
{
    bool tied = false;
    for (int i = 2; i < argc; i++) {
        if (!strcmp(argv[i], "--family") && i + 1 < argc)
            m->family = argv[i + 1];
        tied = tied || !strcmp(argv[i], "--tied");
    }
    m->config = base_config(m->family);
    json_object_set_new(m->config, "tie_word_embeddings", json_boolean(tied));
    list_arrays(m, tied);
}

static void option(struct maker *m, const char *name, const char *value)
{
    if (!strcmp(name, "--family"))
        return;
    if (!strcmp(name, "--dtype"))
        m->type = type_of(value);
    else if (!strcmp(name, "--exponent"))
        m->exponent = atoi(value);
    else if (!strcmp(name, "--shards"))
        m->shards = atoi(value);
    else if (!strcmp(name, "--set"))
        set_key(m, value);
    else if (!strcmp(name, "--without"))
        json_object_del(m->config, value);
    else
        change_arrays(m, name, value);
}

int main(int argc, char **argv)
{
    static struct maker m = {.family = "llama", .type = ST_F32, .exponent = -7, .shards = 1};
    if (argc < 2)
        stop("hf_model DIR [OPTION...]");
    m.dir = argv[1];
    first_options(&m, argc, argv);
    for (int i = 2; i < argc; i++) {
        if (!strcmp(argv[i], "--no-config"))
            m.no_config = true;
        else if (strcmp(argv[i], "--tied")) {
            if (i + 1 == argc)
                stop(argv[i]);
            option(&m, argv[i], argv[i + 1]);
            i++;
        }
    }
    write_all(&m);
    json_decref(m.config);
    return 0;
}
