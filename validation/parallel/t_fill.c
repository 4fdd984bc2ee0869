/* Weights on every layout of these ranks: the golden llama-wide model upcycled to eight experts, with and
 * without virtual groups, and random and equal starts. On each layout every element is compared with a
 * formula written here, the hash with that of one rank, and the bytes that were read with the plan. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/rng.h"
#include "format/safetensors.h"
#include "tap_ranks.h"
#include "weights/fill.h"
#include "weights/config_hf.h"

enum { SEED = 41 };
static const double ROUTER_STD = 0.02;

static struct { /* what all tests share */
    struct comm *comm;
    struct dev *dev;
    char *dense_dir, *moe_dir;
    struct st_file dense; /* model.safetensors of dense_dir */
} the;

static const struct shape { /* one upcycling */
    const char *text, *scale;
    int64_t experts, top_k, granularity;
    enum router_order order;
    int64_t shared; /* with a gate, a balancing bias and loads */
    double noise;
} shapes[] = {
    {"E8T2", "auto", 8, 2, 1, TOPK_SOFTMAX, 0, 0},
    {"E8T2, softmax first", "auto", 8, 2, 1, SOFTMAX_TOPK, 0, 0},
    {"E4G2T2, all of a on down", "down", 8, 2, 2, TOPK_SOFTMAX, 0, 0},
    {"E4G2T2 and 3 shared", "auto", 8, 2, 2, TOPK_SOFTMAX, 3, 0},
    {"E4G2T2 with noise", "auto", 8, 2, 2, TOPK_SOFTMAX, 0, 0.01},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static struct config target_of(const struct config *dense, const struct shape *s)
{
    struct config c = *dense;
    c.moe = (struct moe){
        .experts = s->experts, .top_k = s->top_k, .granularity = s->granularity, .order = s->order};
    if (s->shared > 0) {
        c.moe.shared = s->shared;
        c.moe.shared_gate = true;
        c.moe.bias_rate = 1;
        c.moe.aux_domain = AUX_GLOBAL;
    }
    for (int l = 0; l < c.layers; l += 1 + (l > 0)) /* layers 0, 1, 3: one stays dense */
        c.moe.layer[l] = true;
    return c;
}

/* ---- the formula ---- */

struct upcycled { /* of one target tensor: where element [x, r, c] comes from */
    const struct shape *shape;
    const struct tensor *tensor;
    bool moe;
    int64_t hidden, ffn, width; /* H, F', F */
    float *file[2];             /* whole dense arrays: gate, up; or the one that it is */
};

static float *dense_array(const char *name)
{
    int at = st_find(&the.dense, name);
    if (at < 0)
        return NULL;
    int64_t n = the.dense.tensor[at].bytes / 4;
    float *data = mem_new(n, sizeof *data);
    if (st_read_f32(&the.dense, at, 0, n, data) != OK)
        bug("%s", status_text());
    return data;
}

static const char *kind_of(const struct tensor *t)
{
    const char *dot = strrchr(t->name, '.');
    return dot ? dot + 1 : t->name;
}

static void open_arrays(struct upcycled *u)
{
    static const char *const names[][3] = {
        {"embed", "model.embed_tokens.weight"},
        {"norm", "model.norm.weight"},
        {"head", "lm_head.weight"},
        {"attn_norm", "input_layernorm.weight"},
        {"ffn_norm", "post_attention_layernorm.weight"},
        {"q", "self_attn.q_proj.weight"},
        {"k", "self_attn.k_proj.weight"},
        {"v", "self_attn.v_proj.weight"},
        {"o", "self_attn.o_proj.weight"},
        {"gate_up", "mlp.gate_proj.weight", "mlp.up_proj.weight"},
        {"down", "mlp.down_proj.weight"},
        {"shared_gate_up", "mlp.gate_proj.weight", "mlp.up_proj.weight"},
        {"shared_down", "mlp.down_proj.weight"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int j = 0; j < 2 && !strcmp(names[i][0], kind_of(u->tensor)); j++) {
            const char *rest = names[i][1 + j] ? names[i][1 + j] : "nothing";
            bool whole = i < 3;
            char *name =
                whole ? mem_text(rest) : mem_format("model.layers.%d.%s", u->tensor->layer - 1, rest);
            u->file[j] = dense_array(name);
            free(name);
        }
}

static double scale_of(const struct shape *s, bool down)
{
    double g = (double)s->granularity;
    double a = s->order == SOFTMAX_TOPK ? (double)s->experts * g / (double)s->top_k : g;
    if (!strcmp(s->scale, "down"))
        return down ? a : 1;
    return (double)cbrtl((long double)a);
}

/* An expert's weight with its noise. */
static float noisy(const struct upcycled *u, int64_t x, int64_t r, int64_t c, double weight)
{
    const int64_t *d = u->tensor->dim;
    float base = (float)weight, noise;
    if (!u->moe || u->shape->noise == 0)
        return base;
    rng_normals(SEED, rng_name(u->tensor->name), (uint64_t)((x * d[1] + r) * d[2] + c), 1, u->shape->noise,
                &noise);
    return (float)((double)base + (double)noise);
}

static float element(const struct upcycled *u, int64_t x, int64_t r, int64_t c)
{
    const char *kind = kind_of(u->tensor);
    int64_t g = u->shape->granularity, h = u->hidden;
    if (!strcmp(kind, "router")) {
        float base;
        rng_normals(SEED, rng_name(u->tensor->name), (uint64_t)(r / g * h + c), 1, ROUTER_STD, &base);
        return base;
    }
    if (!strcmp(kind, "router_bias") || !strcmp(kind, "router_load"))
        return kind[7] == 'l';
    if (!strcmp(kind, "shared_gate")) {
        float base;
        rng_normals(SEED, rng_name(u->tensor->name), (uint64_t)c, 1, ROUTER_STD, &base);
        return base;
    }
    if (!strcmp(kind, "shared_gate_up")) /* shared expert r/F is shard r/F mod G */
        return u->file[x][(r / u->width % g * u->width + r % u->width) * h + c];
    if (!strcmp(kind, "shared_down"))
        return u->file[0][r * u->ffn + c / u->width % g * u->width + c % u->width];
    if (!strcmp(kind, "gate_up")) {
        int64_t expert = x / 2, row = u->moe ? expert % g * u->width + r : r;
        double scale = u->moe ? scale_of(u->shape, false) : 1;
        return noisy(u, x, r, c, scale * (double)u->file[x % 2][row * h + c]);
    }
    if (!strcmp(kind, "down")) {
        int64_t column = u->moe ? x % g * u->width + c : c;
        double scale = u->moe ? scale_of(u->shape, true) : 1;
        return noisy(u, x, r, c, scale * (double)u->file[0][r * u->ffn + column]);
    }
    return u->file[0][r * u->tensor->dim[2] + c];
}

static bool slab_agrees(const struct upcycled *u, slab box, const float *got)
{
    for (int64_t x = box.lo[0]; x < box.lo[0] + box.n[0]; x++)
        for (int64_t r = box.lo[1]; r < box.lo[1] + box.n[1]; r++)
            for (int64_t c = box.lo[2]; c < box.lo[2] + box.n[2]; c++)
                if (*got++ != element(u, x, r, c))
                    return false;
    return true;
}

/* Tensors of this rank whose slab differs from the formula. */
static int bad_slabs(const struct store *s, const struct shape *shape)
{
    int bad = 0;
    const struct model *m = s->model;
    for (int i = 0; i < m->n_tensors; i++) {
        const struct tensor *t = &m->tensor[i];
        struct upcycled u = {.shape = shape,
                             .tensor = t,
                             .moe = m->layer[t->layer].type == MOE_BLOCK,
                             .hidden = m->config.hidden,
                             .ffn = m->config.ffn,
                             .width = config_expert_ffn(&m->config)};
        open_arrays(&u);
        bad += !slab_agrees(&u, model_slab(m, &s->layout, s->rank, i), store_view(s, i, WEIGHT).data);
        free(u.file[0]);
        free(u.file[1]);
    }
    return bad;
}

/* ---- filling ---- */

struct filled { /* outcome on this rank */
    status result;
    int64_t bytes, planned;
    uint64_t hash; /* of the whole model */
    int bad;       /* tensors that differ from the formula */
};

/* The plan into a store of this layout; shape = NULL: elements are not compared. COLLECTIVE. */
static struct filled fill(const struct model *m, const struct layout *l, const struct fill_plan *plan,
                          const struct shape *shape)
{
    struct filled f = {0};
    struct store store;
    int rank = l->world == 1 ? 0 : comm_rank(the.comm);
    f.result = comm_agree(the.comm, store_open(&store, m, l, rank, the.dev, false));
    if (f.result != OK)
        return f;
    f.result = weights_fill(&store, the.comm, plan, &f.bytes);
    f.planned = plan_bytes(plan, m, l, rank);
    f.hash = store_hash(&store, MASTER);
    if (l->world > 1)
        f.hash = comm_sum_u64(the.comm, f.hash);
    if (shape && f.result == OK)
        f.bad = bad_slabs(&store, shape);
    store_close(&store);
    return f;
}

enum start { UPCYCLE, SAME, RANDOM };

static status plan_dir(struct fill_plan *plan, const struct model *m, const char *dir)
{
    struct source *file;
    TRY(source_open_hf(&file, dir));
    return plan_same(plan, m, file);
}

static status plan_for(struct fill_plan *plan, enum start start, const struct model *m,
                       const struct config *dense, const struct shape *shape)
{
    struct upcycle up = {.router_std = ROUTER_STD, .noise = shape ? shape->noise : 0};
    struct layout one = {1, 1, 1, 1, 1, 1, 1};
    struct model source;
    if (start == RANDOM)
        return plan_random(plan, m, SEED);
    if (start == SAME)
        return plan_dir(plan, m, the.moe_dir);
    struct decimal scale;
    decimal_read(&scale, weight_scales, shape->scale);
    upcycle_scales(&m->config, &scale, &up);
    struct source *file;
    TRY(source_open_hf(&file, the.dense_dir));
    model_open(&source, dense, &one);
    status s = plan_upcycle(plan, m, &source, &file, &(struct grow){0}, &up, SEED);
    model_close(&source);
    return s;
}

static struct filled fill_layout(enum start start, const struct config *c, const struct config *dense,
                                 const struct shape *shape, const struct layout *l)
{
    struct model m;
    struct fill_plan plan;
    struct filled f = {0};
    model_open(&m, c, l);
    f.result = comm_agree(the.comm, plan_for(&plan, start, &m, dense, shape));
    if (f.result == OK) {
        f = fill(&m, l, &plan, start == UPCYCLE ? shape : NULL);
        plan_free(&plan);
    }
    model_close(&m);
    return f;
}

static const int cuts[][3] = {{1, 1, 1}, {2, 1, 1}, {1, 2, 1}, {1, 1, 2}, {2, 2, 1},
                              {2, 2, 2}, {4, 4, 1}, {1, 2, 2}, {4, 1, 4}}; /* tp, ep, etp */

static void test_layouts(enum start start, const char *text, const struct config *c,
                         const struct config *dense, const struct shape *shape)
{
    struct layout one = {1, 1, 1, 1, 1, 1, 1};
    struct filled alone = fill_layout(start, c, dense, shape, &one);
    const char *formula = shape ? ", every element by the formula" : "";
    ok(alone.result == OK && alone.bytes == alone.planned && alone.bad == 0,
       "%s on one rank: bytes as planned%s (%d bad) %s", text, formula, alone.bad,
       alone.result ? status_text() : "");
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        struct layout_needs needs = config_needs(c);
        struct layout l;
        char *why = layout_make(&l, comm_size(the.comm), cuts[i][0], cuts[i][1], cuts[i][2], &needs);
        bool fits = !why;
        free(why);
        if (!fits || l.world == 1)
            continue;
        struct filled f = fill_layout(start, c, dense, shape, &l);
        ok(f.result == OK && f.bad == 0 && f.hash == alone.hash && f.bytes == f.planned,
           "%s, TP %d EP %d ETP %d: hash of one rank, bytes as planned%s (%d bad) %s", text, cuts[i][0],
           cuts[i][1], cuts[i][2], formula, f.bad, f.result ? status_text() : "");
    }
}

/* One rank alone reads every array of the file just once, however many experts it feeds. */
static void test_bytes(const struct config *c, const struct config *dense)
{
    struct layout one = {1, 1, 1, 1, 1, 1, 1};
    struct filled f = fill_layout(UPCYCLE, c, dense, &shapes[2], &one);
    int64_t bytes = 0;
    for (int i = 0; i < the.dense.n; i++)
        bytes += the.dense.tensor[i].bytes;
    ok(f.result == OK && f.bytes == bytes, "alone, %lld bytes are read of %lld", (long long)f.bytes,
       (long long)bytes);
}

static bool scales(const struct config *c, const char *text, struct upcycle *up)
{
    struct decimal scale;
    bool known = decimal_read(&scale, weight_scales, text);
    if (known)
        upcycle_scales(c, &scale, up);
    return known;
}

static void test_scales(struct config c)
{
    struct upcycle up;
    c.moe.granularity = 2;
    bool good = scales(&c, "auto", &up) && fabs(pow(up.scale_gate_up, 3) - 2) < 1e-15 &&
                up.scale_down == up.scale_gate_up;
    good = good && scales(&c, "none", &up) && up.scale_gate_up == 1 && up.scale_down == 1;
    good = good && scales(&c, "27", &up) && up.scale_gate_up == 3;
    good = good && scales(&c, "0.000343", &up) && up.scale_gate_up == (double)cbrtl((long double)0.000343);
    c.moe.order = SOFTMAX_TOPK;
    good = good && scales(&c, "down", &up) && up.scale_gate_up == 1 && up.scale_down == 8;
    ok(good, "weight scales: auto, none, a number, down");
    ok(!scales(&c, "dwon", &up) && !scales(&c, "-1", &up) && !scales(&c, "nan", &up) &&
           !scales(&c, "0", &up) && !scales(&c, "1.0000001", &up) && !scales(&c, "1.2.3", &up) &&
           !scales(&c, "99999999999999", &up),
       "other texts are refused");
}

/* A rank that cannot read: all ranks fail, with its text. */
static void test_failure(const struct config *c)
{
    struct layout one = {1, 1, 1, 1, 1, 1, 1};
    struct model m;
    struct fill_plan plan;
    model_open(&m, c, &one);
    bool last = comm_rank(the.comm) == comm_size(the.comm) - 1;
    status s = plan_dir(&plan, &m, last ? "/nowhere" : the.moe_dir);
    if (s == OK)
        plan_free(&plan);
    s = comm_agree(the.comm, s);
    ok(s == E_DATA && strstr(status_text(), "/nowhere"), "one rank's failure is everyone's: %s",
       status_text());
    model_close(&m);
}

static struct config config_of(const char *dir)
{
    struct hf_config h;
    struct config c;
    if (hf_config_read(&h, dir, NULL, 0) != OK || config_from_hf(&c, &h) != OK)
        bug("%s", status_text());
    hf_config_free(&h);
    return c;
}

static void open_golden(void)
{
    const char *shared = getenv("COPPICE_SHARED"), *srcdir = getenv("srcdir");
    char *folder =
        shared ? mem_format("%s/golden", shared) : mem_format("%s/../shared/golden", srcdir ? srcdir : ".");
    if (access(folder, R_OK) != 0)
        skip_all("no reference models (COPPICE_SHARED/golden)");
    the.dense_dir = mem_format("%s/llama-wide", folder);
    the.moe_dir = mem_format("%s/mixtral-e8t2-losses", folder);
    char *path = mem_format("%s/model.safetensors", the.dense_dir);
    if (st_open(&the.dense, path) != OK)
        bug("%s", status_text());
    free(path);
    free(folder);
}

int main(void)
{
    if (comm_open(&the.comm) != OK)
        return 1;
    tap_open(the.comm);
    open_golden();
    struct dev_options options = {.threads = 1};
    if (dev_open(&the.dev, "cpu", 0, &options) != OK)
        bug("%s", status_text());
    struct config dense = config_of(the.dense_dir), moe = config_of(the.moe_dir), target = {0};
    for (int i = 0; i < SHAPES; i++) {
        target = target_of(&dense, &shapes[i]);
        test_layouts(UPCYCLE, shapes[i].text, &target, &dense, &shapes[i]);
    }
    test_layouts(SAME, "Mixtral as it is", &moe, NULL, NULL);
    test_layouts(RANDOM, "random", &moe, NULL, NULL);
    target = target_of(&dense, &shapes[2]);
    test_bytes(&target, &dense);
    test_scales(target_of(&dense, &shapes[0]));
    test_failure(&moe);
    st_close(&the.dense);
    dev_close(the.dev);
    free(the.dense_dir);
    free(the.moe_dir);
    return tap_done();
}
