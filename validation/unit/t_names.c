/* Names and shapes of Hugging Face directories: every tensor of every golden model is compared, element by
 * element, with arrays whose names are written here once more. Also Mixtral's fused naming, and messages
 * about directories that do not fit. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "format/safetensors.h"
#include "tap.h"
#include "weights/names.h"
#include "weights/config_hf.h"

/* ---- golden models ---- */

/* The array that row `row` of axis 0 of our tensor `name` comes from, spelled out once more. */
static const char *array_of(const char *name, int64_t row, bool moe, char out[160])
{
    static const char *const plain[][2] = {
        {"attn_norm", "input_layernorm.weight"}, {"ffn_norm", "post_attention_layernorm.weight"},
        {"q", "self_attn.q_proj.weight"},        {"k", "self_attn.k_proj.weight"},
        {"v", "self_attn.v_proj.weight"},        {"q_bias", "self_attn.q_proj.bias"},
        {"k_bias", "self_attn.k_proj.bias"},     {"v_bias", "self_attn.v_proj.bias"},
        {"o", "self_attn.o_proj.weight"},        {"router", "block_sparse_moe.gate.weight"},
    };
    int layer, at = 0;
    if (sscanf(name, "layers.%d.%n", &layer, &at) != 1)
        return !strcmp(name, "embed")  ? "model.embed_tokens.weight"
               : !strcmp(name, "norm") ? "model.norm.weight"
                                       : "lm_head.weight";
    const char *rest = name + at;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (!strcmp(rest, plain[i][0]))
            return snprintf(out, 160, "model.layers.%d.%s", layer, plain[i][1]), out;
    bool down = !strcmp(rest, "down"), up = row % 2;
    long long expert = down ? row : row / 2;
    if (moe)
        snprintf(out, 160, "model.layers.%d.block_sparse_moe.experts.%lld.%s.weight", layer, expert,
                 down ? "w2"
                 : up ? "w3"
                      : "w1");
    else
        snprintf(out, 160, "model.layers.%d.mlp.%s_proj.weight", layer, down ? "down" : up ? "up" : "gate");
    return out;
}

static bool rows_agree(const struct model *m, int tensor, const struct st_file *file, const float *got)
{
    const struct tensor *t = &m->tensor[tensor];
    int64_t row = t->dim[1] * t->dim[2];
    float *want = mem_new(row, sizeof *want);
    bool good = true;
    for (int64_t i = 0; i < t->dim[0] && good; i++) {
        char name[160];
        int at = st_find(file, array_of(t->name, i, m->layer[t->layer].type == MOE_BLOCK, name));
        good = at >= 0 && st_read_f32(file, at, 0, row, want) == OK &&
               !memcmp(want, got + i * row, (size_t)row * sizeof *want);
    }
    free(want);
    return good;
}

/* Tensors that do not come out right, -1 if the directory is refused. *bytes_off: read but not needed. */
static int bad_tensors(const struct model *m, struct source *source, const struct st_file *file,
                       int64_t *bytes_off)
{
    struct map *map = mem_new(m->n_tensors, sizeof *map);
    int bad = names_maps(m, source, map) == OK ? 0 : -1;
    *bytes_off = 0;
    for (int i = 0; i < m->n_tensors && bad >= 0; i++) {
        const int64_t *dim = m->tensor[i].dim;
        float *out = mem_new(dim[0] * dim[1] * dim[2], sizeof *out);
        int64_t bytes = 0;
        bad += map_run(&map[i], &source, dim, out, &bytes) != OK || !rows_agree(m, i, file, out);
        *bytes_off += bytes - map_bytes(&map[i], &source);
        free(out);
        map_free(&map[i]);
    }
    free(map);
    return bad;
}

static bool shape_returns(const struct config *c, const struct hf_config *h)
{
    struct hf_config again;
    struct config twice;
    const struct form *form;
    if (export_form(&form, c, NULL) != OK)
        return false;
    if (config_moe_layers(c) > 0 &&
        config_moe_layers(c) < c->layers) /* such a Mixtral is read, but not written */
        return !strcmp(form->type, "qwen2_moe");
    config_to_hf(&again, c, form);
    bool good = config_from_hf(&twice, &again) == OK && !memcmp(&twice.moe, &c->moe, sizeof c->moe) &&
                config_same_trunk(&twice, c) && !strcmp(again.model_type, h->model_type) &&
                again.intermediate == h->intermediate && again.rope.scaling == h->rope.scaling;
    hf_config_free(&again);
    return good;
}

static void test_golden(const char *folder, const char *name)
{
    char *dir = mem_format("%s/%s", folder, name), *path = mem_format("%s/model.safetensors", dir);
    struct hf_config h;
    struct config c = {0};
    struct model m;
    struct source *source = NULL;
    struct st_file file;
    int64_t bytes_off = -1;
    int bad = -1;
    bool read = hf_config_read(&h, dir, NULL, 0) == OK;
    if (ok(read && config_from_hf(&c, &h) == OK && config_check(&c) == OK, "%s: config.json gives a shape %s",
           name, status_text())) {
        ok(shape_returns(&c, &h), "%s: the shape survives a round trip", name);
        model_open(&m, &c, &layout_alone);
        bool open = source_open_hf(&source, dir) == OK && st_open(&file, path) == OK;
        bad = open ? bad_tensors(&m, source, &file, &bytes_off) : -1;
        ok(bad == 0 && bytes_off == 0, "%s: %d tensors read (%d bad) %s", name, m.n_tensors, bad,
           bad < 0 ? status_text() : "");
        if (open)
            st_close(&file);
        source_close(source);
        model_close(&m);
    }
    if (read)
        hf_config_free(&h);
    free(path);
    free(dir);
}

static void test_all_golden(void)
{
    static const char *const names[] = {"llama-mha",  "llama-gqa-tied-odd", "llama-head-dim", "llama3-rope",
                                        "qwen2-bias", "mixtral-e4t2",       "st-e8t3-renorm"};
    const char *shared = getenv("COPPICE_SHARED"), *srcdir = getenv("srcdir");
    char *folder =
        shared ? mem_format("%s/golden", shared) : mem_format("%s/../shared/golden", srcdir ? srcdir : ".");
    if (access(folder, R_OK) == 0)
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            test_golden(folder, names[i]);
    else
        printf("ok %d - golden models # SKIP no folder %s\n", ++tap_count, folder);
    free(folder);
}

/* ---- a small fused Mixtral, right and wrong ---- */

static const struct st_declare fused[] = {
    {"model.embed_tokens.weight", ST_F32, 2, {5, 4}},
    {"model.norm.weight", ST_F32, 1, {4}},
    {"lm_head.weight", ST_F32, 2, {5, 4}},
    {"model.layers.0.input_layernorm.weight", ST_F32, 1, {4}},
    {"model.layers.0.self_attn.q_proj.weight", ST_F32, 2, {4, 4}},
    {"model.layers.0.self_attn.k_proj.weight", ST_F32, 2, {2, 4}},
    {"model.layers.0.self_attn.v_proj.weight", ST_F32, 2, {2, 4}},
    {"model.layers.0.self_attn.o_proj.weight", ST_F32, 2, {4, 4}},
    {"model.layers.0.post_attention_layernorm.weight", ST_F32, 1, {4}},
    {"model.layers.0.mlp.gate.weight", ST_F32, 2, {3, 4}},
    {"model.layers.0.mlp.experts.gate_up_proj", ST_F32, 3, {3, 14, 4}},
    {"model.layers.0.mlp.experts.down_proj", ST_F32, 3, {3, 4, 7}},
};
enum { ARRAYS = sizeof fused / sizeof *fused, X = 3, F = 7, H = 4, GATE_UP = 10 };

/* Element k of array i is 1000*i + k. */
static status write_file(const char *dir, const struct st_declare *list, int n)
{
    char *path = mem_format("%s/model.safetensors", dir);
    struct st_writer *w;
    status s = st_create(&w, path, list, n);
    for (int i = 0; i < n && s == OK; i++) {
        int64_t size = 1;
        for (int a = 0; a < list[i].rank; a++)
            size *= list[i].shape[a];
        float *data = mem_new(size, sizeof *data);
        for (int64_t k = 0; k < size; k++)
            data[k] = (float)(1000 * i + k);
        s = st_write_f32(w, i, 0, size, data);
        free(data);
    }
    free(path);
    return s == OK ? st_finish(w) : s;
}

static struct config fused_config(bool tied)
{
    struct config c = {.hidden = H,
                       .ffn = F,
                       .layers = 1,
                       .heads = 2,
                       .kv_heads = 1,
                       .head_dim = 2,
                       .vocab = 5,
                       .norm_eps = 1e-5,
                       .rope = {.theta = 1e4},
                       .tied = tied,
                       .moe = {.experts = X, .top_k = 2, .granularity = 1, .layer = {true}}};
    return c;
}

/* names_maps of a model of this config over the folder; *gate_up (of layer 0) is read if it is OK. */
static status open_fused(const char *dir, const struct config *c, float *gate_up)
{
    struct model m;
    struct source *source = NULL;
    model_open(&m, c, &layout_alone);
    struct map *map = mem_new(m.n_tensors, sizeof *map);
    status s = source_open_hf(&source, dir);
    if (s == OK)
        s = names_maps(&m, source, map);
    int t = model_find(&m, "layers.0.gate_up");
    int64_t bytes = 0;
    if (s == OK)
        s = map_run(&map[t], &source, m.tensor[t].dim, gate_up, &bytes);
    for (int i = 0; i < m.n_tensors; i++)
        map_free(&map[i]);
    free(map);
    source_close(source);
    model_close(&m);
    return s;
}

static void test_fused(const char *dir)
{
    struct config c = fused_config(false), tied = fused_config(true);
    float got[2 * X][F][H];
    bool good = write_file(dir, fused, ARRAYS) == OK && open_fused(dir, &c, &got[0][0][0]) == OK;
    for (int x = 0; x < X && good; x++)
        for (int half = 0; half < 2; half++)
            for (int f = 0; f < F; f++)
                for (int h = 0; h < H; h++)
                    good = good && got[2 * x + half][f][h] ==
                                       (float)(1000 * GATE_UP + (x * 2 * F + half * F + f) * H + h);
    ok(good, "fused Mixtral: gate and up are halves of each expert's rows %s", good ? "" : status_text());
    ok(open_fused(dir, &tied, &got[0][0][0]) == OK, "a tied model may carry its head again");
}

static void test_refused(const char *dir)
{
    struct st_declare wrong[ARRAYS];
    struct config c = fused_config(false);
    float gate_up[2 * X * F * H];
    memcpy(wrong, fused, sizeof fused);
    wrong[1].name = "model.norm.wight";
    wrong[4].shape[1] = 3;
    wrong[GATE_UP].shape[1] = 2 * F - 2;
    bool good = write_file(dir, wrong, ARRAYS) == OK && open_fused(dir, &c, gate_up) == E_DATA;
    const char *text = status_text();
    ok(good && strstr(text, "model.norm.weight is missing") &&
           strstr(text, "model.norm.wight does not belong") &&
           strstr(text, "q_proj.weight is [4, 3], the model needs [4, 4]") &&
           strstr(text, "gate_up_proj is [3, 12, 4], the model needs [3, 14, 4]"),
       "missing, extra and mis-shaped arrays are all named: %s", text);
    c.layers = 4;
    for (int l = 0; l < 4; l++)
        c.moe.layer[l] = true;
    good = write_file(dir, fused, ARRAYS) == OK && open_fused(dir, &c, gate_up) == E_DATA;
    ok(good && strstr(status_text(), "; and 7 more"), "27 missing arrays: 20 are named, the rest counted");
}

int main(void)
{
    char dir[] = "/tmp/t_names.XXXXXX";
    test_all_golden();
    if (ok(mkdtemp(dir) != NULL, "a folder for small models")) {
        test_fused(dir);
        test_refused(dir);
        char *path = mem_format("%s/model.safetensors", dir);
        unlink(path);
        rmdir(dir);
        free(path);
    }
    return tap_done();
}
