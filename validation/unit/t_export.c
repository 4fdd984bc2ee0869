/* Export: random models of every kind that a Hugging Face form can describe are written, in one file and in
 * several, also rounded to bfloat16, and compared bit by bit: Llama, Qwen2 and Mixtral by reading them,
 * Qwen2-MoE array by array. Also: which form describes which model, the files that are copied, and refusals,
 * which leave nothing behind. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "format/outdir.h"
#include "tap.h"
#include "weights/export.h"
#include "weights/names.h"
#include "weights/config_hf.h"

static char folder[] = "/tmp/t_export.XXXXXX";
static const int64_t ONE_FILE = INT64_C(1) << 40;

static const struct family {
    const char *text, *as, *model_type; /* as: NULL = auto */
    bool tied, qkv_bias;
    int64_t experts, granularity;
    int moe_layers; /* the first so many */
    int64_t shared;
    bool shared_gate, plain; /* plain: softmax-topk that is not renormalised */
} families[] = {
    {.text = "dense", .model_type = "llama"},
    {.text = "dense, tied", .model_type = "llama", .tied = true},
    {.text = "dense with biases", .model_type = "qwen2", .qkv_bias = true},
    {.text = "MoE", .model_type = "mixtral", .experts = 4, .granularity = 1, .moe_layers = 3},
    {.text = "fine-grained MoE", .model_type = "mixtral", .experts = 6, .granularity = 2, .moe_layers = 3},
    {.text = "dense", .as = "mistral", .model_type = "mistral"},
    {.text = "MoE",
     .as = "qwen2_moe",
     .model_type = "qwen2_moe",
     .experts = 4,
     .granularity = 1,
     .moe_layers = 3},
    {"MoE in some layers, tied", NULL, "qwen2_moe", true, false, 3, 1, 2, 0, false, false},
    {"fine-grained MoE in some layers", NULL, "qwen2_moe", false, false, 6, 2, 1, 0, false, false},
    {"MoE with biases", NULL, "qwen2_moe", false, true, 4, 1, 3, 0, false, false},
    {"MoE with a shared expert", NULL, "qwen2_moe", false, false, 4, 1, 3, 1, false, false},
    {"MoE with gated shared experts", NULL, "qwen2_moe", false, true, 4, 2, 2, 2, true, false},
    {"MoE that is not renormalised", NULL, "qwen2_moe", false, false, 4, 1, 3, 0, false, true},
};
enum { FAMILIES = sizeof families / sizeof *families };

static struct config config_of(const struct family *k)
{
    struct config c = {.hidden = 12,
                       .ffn = 10,
                       .layers = 3,
                       .heads = 4,
                       .kv_heads = 2,
                       .head_dim = 6,
                       .vocab = 33,
                       .norm_eps = 1e-6,
                       .rope = {.theta = 5e5},
                       .tied = k->tied,
                       .qkv_bias = k->qkv_bias,
                       .max_positions = 128};
    if (k->experts)
        c.moe = (struct moe){.experts = k->experts,
                             .top_k = 2,
                             .granularity = k->granularity,
                             .order = k->plain ? SOFTMAX_TOPK : TOPK_SOFTMAX,
                             .shared = k->shared,
                             .shared_gate = k->shared_gate};
    for (int l = 0; l < k->moe_layers; l++)
        c.moe.layer[l] = true;
    return c;
}

/* Random values for every tensor of the model, by its name. */
static struct source *random_source(const struct model *m)
{
    struct generated *list = mem_new(m->n_tensors, sizeof *list);
    for (int i = 0; i < m->n_tensors; i++) {
        list[i] = (struct generated){.name = m->tensor[i].name, .std = 0.5};
        memcpy(list[i].dim, m->tensor[i].dim, sizeof list[i].dim);
    }
    struct source *s = source_open_random(9, list, m->n_tensors);
    free(list);
    return s;
}

static float bf16(float x) /* to nearest, ties to even: the carry into the upper half does it */
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000;
    memcpy(&x, &bits, sizeof bits);
    return x;
}

static char *inside(const char *name)
{
    return mem_format("%s/%s", folder, name);
}

static bool exists(const char *dir, const char *file)
{
    char *path = mem_format("%s/%s", dir, file);
    bool there = access(path, F_OK) == 0;
    free(path);
    return there;
}

static void remove_folder(const char *dir)
{
    char *command = mem_format("rm -rf '%s'", dir);
    if (system(command) != 0)
        printf("# %s is left behind\n", dir);
    free(command);
}

/* Tensors of the folder that differ from `want` (rounded if `rounded`); -1 if it cannot be read. */
static int differing(const char *dir, const struct config *c, struct source *want, bool rounded)
{
    struct source *have = NULL;
    struct model m;
    model_open(&m, c, &layout_alone);
    struct map *map = mem_new(m.n_tensors, sizeof *map);
    int bad = source_open_hf(&have, dir) == OK && names_maps(&m, have, map) == OK ? 0 : -1;
    for (int i = 0; i < m.n_tensors && bad >= 0; i++) {
        const int64_t *dim = m.tensor[i].dim, n = dim[0] * dim[1] * dim[2];
        float *a = mem_new(n, sizeof *a), *b = mem_new(n, sizeof *b);
        int64_t bytes = 0;
        bool good = map_run(&map[i], &have, dim, a, &bytes) == OK &&
                    source_read(want, source_find(want, m.tensor[i].name), slab_whole(dim), b, &bytes) == OK;
        for (int64_t k = 0; k < n; k++)
            good = good && a[k] == (rounded ? bf16(b[k]) : b[k]);
        bad += !good;
        free(a);
        free(b);
    }
    for (int i = 0; i < m.n_tensors; i++)
        map_free(&map[i]);
    free(map);
    source_close(have);
    model_close(&m);
    return bad;
}

/* One array of the folder: the source's rows times the scale, or zeros. */
static bool array_is(struct source *have, const struct hf_name *h, const struct model *m, struct source *want)
{
    int64_t shape[3] = {1, 1, 1}, n = 1, bytes = 0;
    int at = source_find(have, h->name);
    memcpy(shape + 3 - h->rank, h->shape, (size_t)h->rank * sizeof *shape);
    if (at < 0 || memcmp(shape, have->array[at].dim, sizeof shape))
        return false;
    for (int i = 0; i < 3; i++)
        n *= shape[i];
    float *a = mem_new(n, sizeof *a), *b = mem_new(n, sizeof *b);
    bool good = source_read(have, at, slab_whole(shape), a, &bytes) == OK;
    if (h->tensor >= 0) {
        const struct tensor *t = &m->tensor[h->tensor];
        slab rows = {{h->at, 0, 0}, {h->n, t->dim[1], t->dim[2]}};
        good = good && source_read(want, source_find(want, t->name), rows, b, &bytes) == OK;
    }
    for (int64_t i = 0; i < n; i++)
        good = good && a[i] == h->scale * b[i];
    free(a);
    free(b);
    return good;
}

/* Arrays of a Qwen2-MoE folder that differ; -1 if it cannot be read or holds another number of them. */
static int differing_arrays(const char *dir, const struct model *m, struct source *want)
{
    struct source *have = NULL;
    struct hf_name *name;
    int n = names_list(m, HF_QWEN2_MOE, &name);
    int bad = source_open_hf(&have, dir) == OK && have->n == n ? 0 : -1;
    for (int i = 0; i < n && bad >= 0; i++)
        bad += !array_is(have, &name[i], m, want);
    source_close(have);
    free(name);
    return bad;
}

/* The config.json of the folder as a shape; its model_type must be `type`. */
static bool shape_of(struct config *c, const char *dir, const char *type)
{
    struct hf_config h;
    if (hf_config_read(&h, dir, NULL, 0) != OK)
        return false;
    bool good = config_from_hf(c, &h) == OK && !strcmp(h.model_type, type);
    hf_config_free(&h);
    return good;
}

static status export_as(struct source *source, const struct config *c, const char *dir, const char *as,
                        const char *type, int64_t shard_bytes)
{
    return export_hf(source, c, dir, &(struct export_options){as, type, shard_bytes});
}

/* Read back: number of tensors that differ, -1 if the shape does. */
static int read_back(const struct family *k, const struct config *c, const char *dir, const struct model *m,
                     struct source *source, bool rounded)
{
    struct config back = {0};
    if (!strcmp(k->model_type, "qwen2_moe"))
        return differing_arrays(dir, m, source);
    bool shaped = shape_of(&back, dir, k->model_type) && back.layers == c->layers &&
                  config_moe_layers(&back) == config_moe_layers(c) && back.ffn == config_expert_ffn(c) &&
                  back.max_positions == 128 && config_parameters(&back) == config_parameters(c);
    return shaped ? differing(dir, &back, source, rounded) : -1;
}

static void test_family(const struct family *k, const char *type, int64_t shard_bytes)
{
    struct config c = config_of(k);
    struct model m;
    model_open(&m, &c, &layout_alone);
    struct source *source = random_source(&m);
    char *dir = inside("out");
    status s = export_as(source, &c, dir, k->as, type, shard_bytes);
    int bad = s == OK ? read_back(k, &c, dir, &m, source, !strcmp(type, "bfloat16")) : -1;
    bool cut = exists(dir, "model.safetensors.index.json");
    ok(s == OK && bad == 0 && cut == (shard_bytes < ONE_FILE) && !exists(dir, "coppice-writes-here"),
       "%s as %s in %s, read back (%d bad) %s", k->text, k->model_type, cut ? "several files" : "one file",
       bad, bad ? status_text() : type);
    remove_folder(dir);
    free(dir);
    source_close(source);
    model_close(&m);
}

/* Qwen2-MoE's arrays by their names in transformers: a shared expert without a gate has the gate vector 0 and
 * twice its weights; biases that the model has not are zeros. */
static void test_literal(void)
{
    static const struct {
        const char *tensor; /* "" = zeros */
        struct hf_name is;
    } arrays[] = {
        {"", {"model.layers.0.mlp.shared_expert_gate.weight", -1, 0, 0, 1, 2, {1, 12}}},
        {"layers.0.shared_down",
         {"model.layers.0.mlp.shared_expert.down_proj.weight", 0, 0, 1, 2, 2, {12, 10}}},
        {"layers.0.shared_gate_up",
         {"model.layers.0.mlp.shared_expert.up_proj.weight", 0, 1, 1, 1, 2, {10, 12}}},
        {"", {"model.layers.2.self_attn.q_proj.bias", -1, 0, 0, 1, 1, {24}}},
        {"", {"model.layers.2.self_attn.v_proj.bias", -1, 0, 0, 1, 1, {12}}},
        {"layers.1.router", {"model.layers.1.mlp.gate.weight", 0, 0, 1, 1, 2, {4, 12}}},
        {"layers.1.gate_up", {"model.layers.1.mlp.experts.3.up_proj.weight", 0, 7, 1, 1, 2, {10, 12}}},
        {"layers.1.gate_up", {"model.layers.1.mlp.experts.2.gate_proj.weight", 0, 4, 1, 1, 2, {10, 12}}},
        {"layers.1.down", {"model.layers.1.mlp.experts.2.down_proj.weight", 0, 2, 1, 1, 2, {12, 10}}},
    };
    struct config c = config_of(&families[10]);
    struct model m;
    struct source *have = NULL;
    char *dir = inside("out");
    model_open(&m, &c, &layout_alone);
    struct source *source = random_source(&m);
    if (!ok(export_as(source, &c, dir, NULL, "float32", ONE_FILE) == OK && source_open_hf(&have, dir) == OK,
            "an export to look into"))
        return;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        struct hf_name is = arrays[i].is;
        is.tensor = *arrays[i].tensor ? model_find(&m, arrays[i].tensor) : -1;
        ok(array_is(have, &is, &m, source), "%s is %g x %s", is.name, (double)is.scale,
           is.tensor < 0 ? "zeros" : arrays[i].tensor);
    }
    source_close(have);
    source_close(source);
    model_close(&m);
    remove_folder(dir);
    free(dir);
}

/* config.json of an export; the caller drops it. NULL if there is none. */
static json_t *exported_config(const struct config *c, const char *as)
{
    struct model m;
    json_t *config = NULL;
    char *dir = inside("out"), *path = inside("out/config.json");
    model_open(&m, c, &layout_alone);
    struct source *source = random_source(&m);
    if (export_as(source, c, dir, as, "float32", ONE_FILE) != OK ||
        json_read_file(&config, path, 1 << 20) != OK)
        printf("# %s\n", status_text());
    remove_folder(dir);
    source_close(source);
    model_close(&m);
    free(path);
    free(dir);
    return config;
}

/* Does the object hold all of this JSON? */
static bool holds(json_t *config, const char *text)
{
    const char *key;
    json_t *want = json_loads(text, 0, NULL), *value;
    bool all = config && want;
    json_object_foreach(want, key, value)
        if (!json_equal(json_object_get(config, key), value)) {
            printf("# %s\n", key);
            all = false;
        }
    json_decref(want);
    json_decref(config);
    return all;
}

static void test_config(void)
{
    struct config c = config_of(&families[8]);
    ok(holds(exported_config(&c, NULL),
             "{\"model_type\": \"qwen2_moe\", \"architectures\": [\"Qwen2MoeForCausalLM\"],"
             "\"intermediate_size\": 10, \"moe_intermediate_size\": 5, \"mlp_only_layers\": [1, 2],"
             "\"decoder_sparse_step\": 1, \"num_experts\": 6, \"num_experts_per_tok\": 2,"
             "\"norm_topk_prob\": true, \"shared_expert_intermediate_size\": 64, \"head_dim\": 6,"
             "\"use_sliding_window\": false, \"qkv_bias\": true, \"rms_norm_eps\": 1e-6}"),
       "Qwen2-MoE: every key of a mixed, fine-grained model");
    c = config_of(&families[11]);
    c.moe.order = SOFTMAX_TOPK;
    ok(holds(exported_config(&c, NULL),
             "{\"shared_expert_intermediate_size\": 10, \"norm_topk_prob\": false}"),
       "two shared experts are one of twice the width; softmax-topk is norm_topk_prob false");
    c = config_of(&families[3]);
    c.window = 100;
    strcpy(c.carried.keys, "{\"bos_token_id\": 7, \"eos_token_id\": [8, 9], \"pad_token_id\": null}");
    ok(holds(exported_config(&c, NULL),
             "{\"model_type\": \"mixtral\", \"sliding_window\": 100, \"bos_token_id\": 7,"
             "\"eos_token_id\": [8, 9], \"pad_token_id\": null}"),
       "token ids and a sliding window go along");
    ok(holds(exported_config(&c, "qwen2_moe"),
             "{\"sliding_window\": 100, \"use_sliding_window\": true, \"layer_types\":"
             "[\"sliding_attention\", \"sliding_attention\", \"sliding_attention\"]}"),
       "a sliding window in Qwen2-MoE is one in every layer");
    c = config_of(&families[0]);
    c.window = 100;
    ok(holds(exported_config(&c, NULL), "{\"model_type\": \"mistral\", \"sliding_window\": 100}"),
       "a dense model with a window is a Mistral");
}

/* ---- which form ---- */

static bool form_is(const struct config *c, const char *wanted, const char *type)
{
    const struct form *form;
    return export_form(&form, c, wanted) == OK && !strcmp(form->type, type);
}

static bool refuses(const struct config *c, const char *wanted, const char *reason)
{
    const struct form *form;
    return export_form(&form, c, wanted) == E_DATA && strstr(status_text(), reason);
}

static void test_forms(void)
{
    struct config moe = config_of(&families[3]), c = moe;
    const struct form *form;
    c.moe.order = SOFTMAX_TOPK;
    ok(form_is(&c, "auto", "qwen2_moe") && refuses(&c, "mixtral", "model.moe.renormalise"), "%s",
       status_text());
    c.moe.renormalise = true;
    ok(form_is(&c, NULL, "mixtral"), "renormalised softmax-topk is Mixtral's router");
    c.moe.renormalise = false;
    c.moe.top_k = c.moe.experts;
    ok(form_is(&c, NULL, "mixtral"), "the weights of all experts sum to 1");
    c = moe;
    c.qkv_bias = true;
    ok(form_is(&c, NULL, "qwen2_moe") && refuses(&c, "mixtral", "biases"), "%s", status_text());
    c = moe;
    c.moe.layer[1] = false;
    ok(form_is(&c, NULL, "qwen2_moe") && refuses(&c, "mixtral", "model.moe.layers"), "%s", status_text());
    c = moe;
    c.moe.shared = 1;
    ok(form_is(&c, NULL, "qwen2_moe") && refuses(&c, "mixtral", "model.moe.shared"), "%s", status_text());
    ok(refuses(&c, "llama", "no experts") && refuses(&c, "qwen2", "no experts"), "%s", status_text());
    c = moe;
    c.moe.bias_rate = 1e-3;
    ok(refuses(&c, NULL, "model.moe.bias_update_rate") && refuses(&c, "qwen2_moe", "bias_update_rate"), "%s",
       status_text());
    c = config_of(&families[0]);
    ok(form_is(&c, NULL, "llama") && form_is(&c, "qwen2", "qwen2") && refuses(&c, "mixtral", "dense"), "%s",
       status_text());
    c.window = 64;
    ok(form_is(&c, NULL, "mistral") && refuses(&c, "llama", "window"), "%s", status_text());
    ok(export_form(&form, &c, "gpt2") == E_DECK && strstr(status_text(), "qwen2_moe"), "%s", status_text());
}

/* ---- the new folder ---- */

static bool write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    bool good = f && fputs(text, f) >= 0;
    return f && fclose(f) == 0 && good;
}

/* OUT.partial of somebody else stays; what an export left is cleared, unless one writes there now. */
static void test_partial(struct source *source, const struct config *c)
{
    char *dir = inside("out"), *partial = inside("out.partial"), *theirs = inside("out.partial/theirs");
    struct outdir busy;
    bool made = mkdir(partial, 0777) == 0 && write_file(theirs, "mine");
    status s = export_as(source, c, dir, NULL, "float32", ONE_FILE);
    ok(made && s == E_DECK && exists(partial, "theirs") && !exists(folder, "out"), "not ours: %s",
       status_text());
    remove_folder(partial);
    made = outdir_begin(&busy, dir) == OK && write_file(theirs, "an unfinished file");
    s = export_as(source, c, dir, NULL, "float32", ONE_FILE);
    ok(made && s == E_DECK && exists(partial, "theirs"), "being written: %s", status_text());
    close(busy.marker); /* as if it were killed */
    s = export_as(source, c, dir, NULL, "float32", ONE_FILE);
    ok(s == OK && !exists(dir, "theirs") && !exists(folder, "out.partial"),
       "what a killed export left is cleared");
    free(busy.dir);
    free(busy.partial);
    remove_folder(dir);
    made = mkdir(partial, 0777) == 0 && export_as(source, c, dir, NULL, "float32", ONE_FILE) == OK;
    ok(made, "an empty OUT.partial is nobody's %s", made ? "" : status_text());
    remove_folder(dir);
    ok(write_file(partial, "a file") && export_as(source, c, dir, NULL, "float32", ONE_FILE) == E_DECK &&
           exists(folder, "out.partial"),
       "a file: %s", status_text());
    remove_folder(partial);
    free(theirs);
    free(partial);
    free(dir);
}

static void test_out(struct source *source, const struct config *c)
{
    char *dir = inside("out"), *file = inside("file"), *slashes = inside("out//"), *dot = inside(".");
    ok(mkdir(dir, 0777) == 0 && export_as(source, c, slashes, NULL, "float32", ONE_FILE) == OK,
       "an empty folder is taken, with slashes behind its name");
    ok(export_as(source, c, dir, NULL, "float32", ONE_FILE) == E_DECK && exists(dir, "config.json"), "%s",
       status_text());
    ok(write_file(file, "x") && export_as(source, c, file, NULL, "float32", ONE_FILE) == E_DECK, "%s",
       status_text());
    ok(export_as(source, c, dot, NULL, "float32", ONE_FILE) == E_DECK, "%s", status_text());
    ok(export_as(source, c, "", NULL, "float32", ONE_FILE) == E_DECK, "%s", status_text());
    remove_folder(dir);
    unlink(file);
    free(dot);
    free(slashes);
    free(file);
    free(dir);
}

/* ---- failures ---- */

static int reads_left;
static status (*read_well)(struct source *, int, slab, float *, int64_t *);

static status read_badly(struct source *s, int array, slab box, float *out, int64_t *bytes)
{
    return reads_left-- > 0 ? read_well(s, array, box, out, bytes) : fail(E_DATA, "the disk is gone");
}

static void test_failures(void)
{
    struct config c = config_of(&families[3]);
    struct model m;
    char *dir = inside("out");
    model_open(&m, &c, &layout_alone);
    struct source *source = random_source(&m);
    test_partial(source, &c);
    test_out(source, &c);
    read_well = source->ops->read;
    const struct source_ops failing = {.read = read_badly, .close = source->ops->close};
    source->ops = &failing;
    reads_left = 7;
    status s = export_as(source, &c, dir, NULL, "float32", 4096);
    ok(s == E_DATA && !exists(folder, "out") && !exists(folder, "out.partial"),
       "a failed read leaves nothing: %s", status_text());
    reads_left = 1 << 20;
    ok(export_as(source, &c, dir, NULL, "float16", ONE_FILE) == E_DECK, "refused: %s", status_text());
    c.hidden++;
    ok(export_as(source, &c, dir, NULL, "float32", ONE_FILE) == E_DATA && !exists(folder, "out.partial"),
       "refused: %s", status_text());
    source_close(source);
    model_close(&m);
    free(dir);
}

int main(void)
{
    if (!ok(mkdtemp(folder) != NULL, "a folder"))
        return tap_done();
    for (int i = 0; i < FAMILIES; i++) {
        test_family(&families[i], "float32", ONE_FILE);
        test_family(&families[i], "float32", 5000);
    }
    test_family(&families[3], "bfloat16", ONE_FILE);
    test_literal();
    test_config();
    test_forms();
    test_failures();
    remove_folder(folder);
    return tap_done();
}
