/* Growth by all methods: every element of every tensor of a grown model is compared with formulas written
 * here. Also composition with upcycling, refusals, and where theory promises equal logits. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tap.h"
#include "weights/grow.h"
#include "weights/upcycle.h"

/* ---- a source whose elements all differ: 4096 * array + index, exact in float ---- */

static double value(int array, int64_t index)
{
    return 1 + 4096.0 * array + (double)index;
}

static status read_values(struct source *s, int array, slab box, float *out, int64_t *bytes)
{
    const int64_t *d = s->array[array].dim;
    for (int64_t x = box.lo[0]; x < box.lo[0] + box.n[0]; x++)
        for (int64_t r = box.lo[1]; r < box.lo[1] + box.n[1]; r++)
            for (int64_t c = box.lo[2]; c < box.lo[2] + box.n[2]; c++)
                *out++ = (float)value(array, (x * d[1] + r) * d[2] + c);
    *bytes += 4 * slab_size(&box);
    return OK;
}

static void close_values(struct source *s)
{
    (void)s;
}

static struct source *source_of(const struct model *m)
{
    static const struct source_ops ops = {.read = read_values, .close = close_values};
    struct source *s = mem_new(1, sizeof *s);
    *s = (struct source){.ops = &ops, .n = m->n_tensors, .array = mem_new(m->n_tensors, sizeof *s->array)};
    for (int i = 0; i < m->n_tensors; i++) {
        memcpy(s->array[i].dim, m->tensor[i].dim, sizeof s->array[i].dim);
        s->array[i].element_bytes = 4;
    }
    return s;
}

/* ---- the formulas ---- */

struct sizes {
    int64_t hidden, ffn, layers, kv, per, dim; /* per: query heads of a KV head */
    bool tied, bias;
};

static const struct growing {
    const char *text, *method, *depth, *scope;
    struct sizes from, to;
} cases[] = {
    {"FPI to twice the width, tied",
     "fpi",
     NULL,
     "all",
     {6, 5, 2, 2, 2, 4, true, false},
     {12, 10, 2, 2, 4, 4, true, false}},
    {"FPI by a third, biases",
     "fpi",
     NULL,
     "all",
     {6, 5, 2, 2, 2, 4, false, true},
     {8, 7, 2, 2, 3, 4, false, true}},
    {"FPI with new KV heads",
     "fpi",
     NULL,
     "all",
     {6, 5, 2, 3, 1, 4, false, true},
     {14, 11, 2, 4, 2, 4, false, true}},
    {"FPI, tied becomes untied",
     "fpi",
     NULL,
     "all",
     {6, 5, 2, 2, 2, 4, true, false},
     {13, 5, 2, 2, 2, 4, false, false}},
    {"FPI and stacked layers",
     "fpi",
     "stack",
     "all",
     {6, 5, 3, 2, 2, 4, true, false},
     {12, 5, 7, 2, 2, 4, true, false}},
    {"AKI", "aki", NULL, "all", {6, 5, 3, 2, 2, 4, true, true}, {10, 12, 3, 3, 3, 4, true, true}},
    {"AKI of neurons",
     "aki",
     NULL,
     "neurons",
     {6, 5, 3, 2, 2, 4, false, true},
     {10, 12, 3, 3, 3, 4, false, true}},
    {"AKI and stacked layers",
     "aki",
     "stack",
     "all",
     {6, 5, 2, 2, 2, 4, false, false},
     {10, 8, 5, 2, 3, 4, false, false}},
    {"AKI-Pro", "aki-pro", NULL, "all", {6, 5, 3, 2, 2, 4, true, false}, {9, 12, 5, 2, 3, 4, true, false}},
};
enum { CASES = sizeof cases / sizeof *cases };

/* Where each index of a grown axis comes from, how often its origin is used, whether it is new. */
struct table {
    int64_t n;
    int64_t from[64], used[64];
    bool fresh[64];
};

static void count_uses(struct table *t)
{
    for (int64_t i = 0; i < t->n; i++) {
        t->used[i] = 0;
        for (int64_t k = 0; k < t->n; k++)
            t->used[i] += t->from[k] == t->from[i];
    }
}

static struct table wrapped(int64_t from, int64_t to)
{
    struct table t = {.n = to};
    for (int64_t i = 0; i < to; i++) {
        t.fresh[i] = i >= from;
        t.from[i] = i;
        while (t.from[i] >= from)
            t.from[i] -= from;
    }
    count_uses(&t);
    return t;
}

/* Rows of heads: s and s2 of them in each of g and g2 groups. */
static struct table headed(int64_t g, int64_t s, int64_t g2, int64_t s2, int64_t dim)
{
    struct table t = {0};
    for (int64_t group = 0; group < g2; group++)
        for (int64_t j = 0; j < s2; j++)
            for (int64_t d = 0; d < dim; d++, t.n++) {
                t.from[t.n] = ((group % g) * s + j % s) * dim + d;
                t.fresh[t.n] = !(group < g && j < s);
            }
    count_uses(&t);
    return t;
}

struct oracle {
    const struct growing *g;
    const struct model *dense;
    struct table hidden, ffn, query, kv, vocab;
};

static bool is(const char *name, const char *kind)
{
    const char *dot = strrchr(name, '.');
    return !strcmp(dot ? dot + 1 : name, kind);
}

/* Layer of the source, for layer l of the grown model and an output row that is new or not. */
static int64_t layer_of(const struct oracle *o, int64_t l, bool next)
{
    const struct growing *g = o->g;
    bool interpolate = !strcmp(g->method, "aki-pro") || (g->depth && !strcmp(g->depth, "interpolate"));
    int64_t from =
        interpolate ? (int64_t)floor((double)l * (double)g->from.layers / (double)g->to.layers) : l;
    while (from >= g->from.layers)
        from -= g->from.layers;
    return next && from + 1 < g->from.layers ? from + 1 : from;
}

/* Element [x, row, column] of a tensor of the grown model. */
static double expected(const struct oracle *o, const char *name, int64_t l, int64_t x, int64_t row,
                       int64_t column)
{
    bool aki = strcmp(o->g->method, "fpi") != 0, all = !strcmp(o->g->scope, "all");
    const struct {
        const char *kind;
        const struct table *row, *column;
        bool in, next;
    } matrix[] = {
        {"embed", &o->vocab, &o->hidden, false, false}, {"head", &o->vocab, &o->hidden, true, false},
        {"q", &o->query, &o->hidden, true, aki},        {"k", &o->kv, &o->hidden, true, aki},
        {"v", &o->kv, &o->hidden, true, aki},           {"o", &o->hidden, &o->query, true, aki && all},
        {"gate_up", &o->ffn, &o->hidden, true, aki},    {"down", &o->hidden, &o->ffn, true, aki && all},
    };
    const struct {
        const char *kind;
        const struct table *table;
        bool next;
    } vector[] = {
        {"norm", &o->hidden, false}, {"attn_norm", &o->hidden, false}, {"ffn_norm", &o->hidden, false},
        {"q_bias", &o->query, aki},  {"k_bias", &o->kv, aki},          {"v_bias", &o->kv, aki},
    };
    int64_t from[2] = {0, 0};
    double scale = 1;
    bool next = false;
    for (size_t i = 0; i < sizeof matrix / sizeof *matrix; i++)
        if (is(name, matrix[i].kind)) {
            from[0] = matrix[i].row->from[row];
            from[1] = matrix[i].column->from[column];
            scale = matrix[i].in ? 1.0 / (double)matrix[i].column->used[column] : 1;
            next = matrix[i].next && matrix[i].row->fresh[row];
        }
    for (size_t i = 0; i < sizeof vector / sizeof *vector; i++)
        if (is(name, vector[i].kind)) {
            from[1] = vector[i].table->from[column];
            next = vector[i].next && vector[i].table->fresh[column];
            if (is(name, "norm") && o->g->to.tied)
                scale = 1.0 / (double)o->hidden.used[column];
        }
    char source[64];
    const char *dot = strrchr(name, '.');
    if (dot)
        snprintf(source, sizeof source, "layers.%d%s", (int)layer_of(o, l, next), dot);
    else
        snprintf(source, sizeof source, "%s", is(name, "head") && o->g->from.tied ? "embed" : name);
    int array = model_find(o->dense, source);
    const int64_t *d = o->dense->tensor[array].dim;
    return scale * value(array, (x * d[1] + from[0]) * d[2] + from[1]);
}

/* ---- the tests ---- */

static struct config config_of(const struct sizes *s)
{
    return (struct config){.hidden = s->hidden,
                           .ffn = s->ffn,
                           .layers = s->layers,
                           .heads = s->kv * s->per,
                           .kv_heads = s->kv,
                           .head_dim = s->dim,
                           .vocab = 11,
                           .norm_eps = 1e-5,
                           .rope = {.theta = 10000},
                           .tied = s->tied,
                           .qkv_bias = s->bias,
                           .max_positions = 64};
}

static struct grow grow_of(const struct growing *g)
{
    struct grow grow = {0};
    if (grow_choose(&grow, (enum grow_method)choice_find(grow_methods, g->method),
                    (enum grow_depth)choice_find(grow_depths, g->depth),
                    (enum grow_scope)choice_find(grow_scopes, g->scope)) != OK)
        bug("%s", status_text());
    return grow;
}

/* The whole of a tensor by its map; caller frees. */
static float *whole(const struct map *m, struct source *source, const int64_t dim[3])
{
    int64_t bytes = 0;
    float *out = mem_new(dim[0] * dim[1] * dim[2], sizeof *out);
    if (map_run(m, &source, dim, out, &bytes) != OK || bytes != map_bytes(m, &source))
        bug("bytes %lld of %lld", (long long)bytes, (long long)map_bytes(m, &source));
    return out;
}

static bool same(double got, double want)
{
    return fabs(got - want) <= fabs(want) * 0x1p-23;
}

static int bad_elements(const struct oracle *o, const struct model *grown, int i, const float *got)
{
    const struct tensor *t = &grown->tensor[i];
    int bad = 0;
    for (int64_t x = 0; x < t->dim[0]; x++)
        for (int64_t r = 0; r < t->dim[1]; r++)
            for (int64_t c = 0; c < t->dim[2]; c++)
                bad += !same((double)*got++, expected(o, t->name, t->layer - 1, x, r, c));
    return bad;
}

static struct oracle oracle_of(const struct growing *g, const struct model *dense)
{
    const struct sizes *a = &g->from, *b = &g->to;
    return (struct oracle){g,
                           dense,
                           wrapped(a->hidden, b->hidden),
                           wrapped(a->ffn, b->ffn),
                           headed(a->kv, a->per, b->kv, b->per, a->dim),
                           headed(a->kv, 1, b->kv, 1, a->dim),
                           wrapped(11, 11)};
}

static void test_elements(const struct growing *g)
{
    struct config from = config_of(&g->from), to = config_of(&g->to);
    struct grow grow = grow_of(g);
    struct model dense, grown;
    model_open(&dense, &from, &layout_alone);
    model_open(&grown, &to, &layout_alone);
    struct source *source = source_of(&dense);
    struct oracle o = oracle_of(g, &dense);
    int bad = 0, tensors = 0;
    for (int i = 0; i < grown.n_tensors; i++) {
        struct map m = grow_map(&grown, &dense, i, &grow);
        float *got = whole(&m, source, grown.tensor[i].dim);
        int wrong = bad_elements(&o, &grown, i, got);
        if (wrong)
            printf("# %s: %d elements\n", grown.tensor[i].name, wrong);
        bad += wrong;
        tensors++;
        free(got);
        map_free(&m);
    }
    ok(bad == 0 && tensors > 10 && grow_check(&to, &from, &grow) == OK,
       "%s: %d tensors, every element by the formula", g->text, tensors);
    source_close(source);
    model_close(&dense);
    model_close(&grown);
}

/* Growth, then virtual groups of two: row f of expert 2e+y is row y*F'/2 + f of the grown FFN. */
static void test_composed(const struct growing *g, const char *kind)
{
    struct config from = config_of(&g->from), to = config_of(&g->to), trunk = to;
    to.moe = (struct moe){.experts = 6, .top_k = 2, .granularity = 2, .layer = {true, true, true}};
    struct grow grow = grow_of(g);
    struct upcycle up = {.scale_gate_up = 1.25, .scale_down = 3};
    struct model dense, grown, target;
    model_open(&dense, &from, &layout_alone);
    model_open(&grown, &trunk, &layout_alone);
    model_open(&target, &to, &layout_alone);
    struct source *source = source_of(&dense);
    struct oracle o = oracle_of(g, &dense);
    struct map *inner = mem_new(grown.n_tensors, sizeof *inner);
    for (int i = 0; i < grown.n_tensors; i++)
        inner[i] = grow_map(&grown, &dense, i, &grow);
    char name[64];
    snprintf(name, sizeof name, "layers.1.%s", kind);
    int at = model_find(&target, name), bad = 0;
    const int64_t *d = target.tensor[at].dim;
    struct map over = upcycle_map(&target, &grown, at, &up), m = map_compose(&over, inner);
    float *all = whole(&m, source, d), *got = all;
    bool down = is(name, "down");
    for (int64_t x = 0; x < d[0]; x++)
        for (int64_t r = 0; r < d[1]; r++)
            for (int64_t c = 0; c < d[2]; c++) {
                int64_t expert = down ? x : x / 2, shift = expert % 2 * g->to.ffn / 2;
                double want = down ? 3 * expected(&o, name, 1, 0, r, shift + c)
                                   : 1.25 * expected(&o, name, 1, x % 2, shift + r, c);
                bad += !same((double)*got++, want);
            }
    ok(bad == 0, "%s, then virtual groups: %s by the formula (%d bad)", g->text, kind, bad);
    free(all);
    map_free(&over);
    map_free(&m);
    for (int i = 0; i < grown.n_tensors; i++)
        map_free(&inner[i]);
    free(inner);
    source_close(source);
    model_close(&dense);
    model_close(&grown);
    model_close(&target);
}

static void test_refused(void)
{
    struct sizes s = {8, 6, 2, 2, 2, 4, false, false};
    struct config from = config_of(&s);
    static const struct {
        size_t at;
        int64_t value;
        const char *word;
    } bad[] = {
        {offsetof(struct config, hidden), 7, "hidden"},
        {offsetof(struct config, ffn), 5, "ffn"},
        {offsetof(struct config, layers), 1, "layers"},
        {offsetof(struct config, heads), 2, "heads / kv_heads"},
        {offsetof(struct config, kv_heads), 1, "kv_heads"},
        {offsetof(struct config, head_dim), 8, "head_dim"},
        {offsetof(struct config, vocab), 12, "vocab"},
    };
    struct grow fpi = {.method = GROW_FPI}, none = {0};
    int good = 0, n = sizeof bad / sizeof *bad;
    for (int i = 0; i < n; i++) {
        struct config to = from;
        *(int64_t *)((char *)&to + bad[i].at) = bad[i].value;
        good += grow_check(&to, &from, &fpi) == E_DECK && strstr(status_text(), bad[i].word);
    }
    ok(good == n, "smaller sizes, other head_dim and vocab are refused: %s", status_text());
    struct config to = from, moe = from;
    to.tied = true;
    ok(grow_check(&to, &from, &fpi) == E_DECK && strstr(status_text(), "tied"), "tying is refused: %s",
       status_text());
    to = from;
    to.qkv_bias = true;
    ok(grow_check(&to, &from, &fpi) == E_DECK && strstr(status_text(), "qkv_bias"), "biases: %s",
       status_text());
    to = from;
    to.hidden = 16;
    moe.moe.experts = 4;
    ok(grow_check(&to, &moe, &fpi) == E_DECK && strstr(status_text(), "4 experts"), "experts: %s",
       status_text());
    ok(grow_check(&to, &from, &none) == E_DECK && strstr(status_text(), "model.hidden is 16, its is 8") &&
           strstr(status_text(), "start.grow.method"),
       "no method: %s", status_text());
    ok(grow_check(&from, &from, &none) == OK, "equal shapes need none");
    struct grow g;
    ok(grow_choose(&g, GROW_AKI_PRO, DEPTH_STACK, SCOPE_ALL) == E_DECK, "aki-pro does not stack: %s",
       status_text());
}

static void test_exact(void)
{
    struct sizes s = {8, 6, 2, 2, 2, 4, true, true};
    struct config from = config_of(&s), to = from;
    struct grow fpi = {.method = GROW_FPI}, aki = {.method = GROW_AKI};
    to.hidden = 24;
    to.ffn = 7;
    to.heads = 10;
    ok(grow_is_exact(&to, &from, &fpi) && !grow_is_exact(&to, &from, &aki), "exact: FPI by 3; not AKI");
    ok(grow_is_exact(&from, &from, &aki), "exact: nothing grows");
    to.hidden = 12;
    ok(!grow_is_exact(&to, &from, &fpi), "not exact: hidden by one and a half");
    to.hidden = 8;
    to.layers = 4;
    ok(!grow_is_exact(&to, &from, &fpi), "not exact: new layers");
}

int main(void)
{
    for (int i = 0; i < CASES; i++)
        test_elements(&cases[i]);
    test_composed(&cases[0], "gate_up");
    test_composed(&cases[0], "down");
    test_composed(&cases[5], "gate_up");
    test_composed(&cases[8], "down");
    test_refused();
    test_exact();
    return tap_done();
}
