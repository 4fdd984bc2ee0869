/* Export: random models of every kind that Hugging Face can say are written and read back through
 * config.json and the names, bit by bit; in one file and in several; rounded to bfloat16; and what is
 * refused leaves nothing behind. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "tap.h"
#include "weights/export.h"
#include "weights/names.h"
#include "weights/shape.h"

static const struct layout alone = {.world = 1, .dp = 1, .tp = 1, .kv = 1, .edp = 1, .ep = 1, .etp = 1};
static char folder[] = "/tmp/t_export.XXXXXX";
static const int64_t ONE_FILE = INT64_C(1) << 40;

static const struct family {
    const char *text, *model_type;
    bool tied, qkv_bias;
    int64_t experts, granularity;
    int moe_layers; /* the first so many */
} families[] = {
    {"dense", "llama", false, false, 0, 0, 0},
    {"dense, tied", "llama", true, false, 0, 0, 0},
    {"dense with biases", "qwen2", false, true, 0, 0, 0},
    {"MoE", "mixtral", false, false, 4, 1, 3},
    {"MoE in some layers, tied", "mixtral", true, false, 3, 1, 2},
    {"fine-grained MoE", "mixtral", false, false, 6, 2, 3},
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
        c.moe = (struct moe){.experts = k->experts, .top_k = 2, .granularity = k->granularity};
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
    model_open(&m, c, &alone);
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

static void test_family(const struct family *k, const char *type, int64_t shard_bytes)
{
    struct config c = config_of(k), back = {0};
    struct model m;
    model_open(&m, &c, &alone);
    struct source *source = random_source(&m);
    char *dir = inside("out");
    status s = export_hf(source, &c, dir, type, shard_bytes);
    bool shaped = s == OK && shape_of(&back, dir, k->model_type) && back.layers == c.layers &&
                  config_moe_layers(&back) == config_moe_layers(&c) && back.ffn == config_expert_ffn(&c) &&
                  back.max_positions == 128 && config_parameters(&back) == config_parameters(&c);
    int bad = shaped ? differing(dir, &back, source, !strcmp(type, "bfloat16")) : -1;
    bool cut = exists(dir, "model.safetensors.index.json");
    ok(s == OK && shaped && bad == 0 && cut == (shard_bytes < ONE_FILE),
       "%s as %s in %s, read back (%d bad) %s", k->text, k->model_type, cut ? "several files" : "one file",
       bad, bad ? status_text() : type);
    remove_folder(dir);
    free(dir);
    source_close(source);
    model_close(&m);
}

/* ---- refusals ---- */

static void test_inexpressible(void)
{
    struct config c = config_of(&families[3]);
    c.moe.order = SOFTMAX_TOPK;
    ok(export_check(&c) == E_DATA && strstr(status_text(), "renormalise"), "refused: %s", status_text());
    c.moe.renormalise = true;
    ok(export_check(&c) == OK, "renormalised softmax-topk is Mixtral's router");
    c.qkv_bias = true;
    ok(export_check(&c) == E_DATA && strstr(status_text(), "biases"), "refused: %s", status_text());
    c = config_of(&families[5]);
    c.moe.layer[1] = false;
    ok(export_check(&c) == E_DATA && strstr(status_text(), "intermediate_size"), "refused: %s",
       status_text());
}

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
    char *dir = inside("out"), *partial = inside("out.partial"), *stale = inside("out.partial/stale");
    model_open(&m, &c, &alone);
    struct source *source = random_source(&m);
    read_well = source->ops->read;
    const struct source_ops failing = {.read = read_badly, .close = source->ops->close};
    source->ops = &failing;

    reads_left = 7;
    status s = export_hf(source, &c, dir, "float32", 4096);
    ok(s == E_DATA && !exists(folder, "out") && !exists(folder, "out.partial"),
       "a failed read leaves nothing: %s", status_text());
    reads_left = 1 << 20;
    bool made = mkdir(partial, 0777) == 0 && mkdir(stale, 0777) == 0 && rmdir(stale) == 0;
    FILE *f = fopen(stale, "w");
    made = made && f && fclose(f) == 0;
    s = export_hf(source, &c, dir, "float32", ONE_FILE);
    ok(made && s == OK && !exists(dir, "stale") && !exists(folder, "out.partial"),
       "what a killed export left is cleared");
    s = export_hf(source, &c, dir, "float32", ONE_FILE);
    ok(s == E_DECK && strstr(status_text(), "not an empty folder"), "an existing export is not touched");
    ok(export_hf(source, &c, partial, "float16", ONE_FILE) == E_DECK, "refused: %s", status_text());
    c.hidden++;
    ok(export_hf(source, &c, partial, "float32", ONE_FILE) == E_DATA && !exists(folder, "out.partial"),
       "refused: %s", status_text());
    remove_folder(dir);
    source_close(source);
    model_close(&m);
    free(stale);
    free(partial);
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
    test_inexpressible();
    test_failures();
    remove_folder(folder);
    return tap_done();
}
