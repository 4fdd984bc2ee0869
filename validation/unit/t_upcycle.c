/* Experts that are not plain copies: several parents, neurons drawn anew, more experts from some, kinds of
 * routers. Every element is compared with formulas written here. Also refusals, and where theory promises
 * equal logits. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "tap.h"
#include "weights/certificate.h"
#include "weights/fill.h"

enum { SEED = 5, HIDDEN = 6, FFN = 16, EXPERTS = 8 };
static const double STD = 0.25;

/* ---- models in memory: all elements differ and are exact in float ---- */

struct memory {
    struct source source;
    int model;
};

static double value(int model, int array, int64_t index)
{
    return 1 + 262144.0 * model + 4096.0 * array + (double)index;
}

static status read_values(struct source *s, int array, slab box, float *out, int64_t *bytes)
{
    const int64_t *d = s->array[array].dim;
    for (int64_t x = box.lo[0]; x < box.lo[0] + box.n[0]; x++)
        for (int64_t r = box.lo[1]; r < box.lo[1] + box.n[1]; r++)
            for (int64_t c = box.lo[2]; c < box.lo[2] + box.n[2]; c++)
                *out++ = (float)value(((const struct memory *)s)->model, array, (x * d[1] + r) * d[2] + c);
    *bytes += 4 * slab_size(&box);
    return OK;
}

static void close_values(struct source *s)
{
    (void)s;
}

static struct source *memory_open(const struct model *m, int model)
{
    static const struct source_ops ops = {.read = read_values, .close = close_values};
    struct memory *s = mem_new(1, sizeof *s);
    *s = (struct memory){{.ops = &ops, .n = m->n_tensors, .path = mem_text("memory")}, model};
    s->source.array = mem_new(m->n_tensors, sizeof *s->source.array);
    for (int i = 0; i < m->n_tensors; i++) {
        snprintf(s->source.array[i].name, sizeof s->source.array[i].name, "%s", m->tensor[i].name);
        memcpy(s->source.array[i].dim, m->tensor[i].dim, sizeof s->source.array[i].dim);
        s->source.array[i].element_bytes = 4;
    }
    return &s->source;
}

static struct config config_of(int64_t experts, int64_t granularity)
{
    struct config c = {.hidden = HIDDEN,
                       .ffn = FFN,
                       .layers = 2,
                       .heads = 2,
                       .kv_heads = 1,
                       .head_dim = 4,
                       .vocab = 7,
                       .norm_eps = 1e-5,
                       .rope = {.theta = 10000},
                       .max_positions = 64};
    if (experts > 0)
        c.moe =
            (struct moe){.experts = experts, .top_k = 2, .granularity = granularity, .layer = {false, true}};
    return c;
}

/* ---- a plan, and its tensors ---- */

struct made {
    struct model from, target;
    struct fill_plan plan;
    const struct upcycle *up;
};

static status make(struct made *m, const struct config *from, const struct config *to,
                   const struct upcycle *up)
{
    struct source *source[1 + PARENTS_MOST];
    m->up = up;
    model_open(&m->from, from, &layout_alone);
    model_open(&m->target, to, &layout_alone);
    for (int i = 0; i <= up->parents; i++)
        source[i] = memory_open(&m->from, i);
    return plan_upcycle(&m->plan, &m->target, &m->from, source, &(struct grow){0}, up, SEED);
}

static void unmake(struct made *m)
{
    plan_free(&m->plan);
    model_close(&m->from);
    model_close(&m->target);
}

/* Tensor layers.1.`kind` whole, caller frees; *from: its index in the source. */
static float *tensor_of(struct made *m, const char *kind, int *from)
{
    char *name = mem_format("layers.1.%s", kind);
    int at = model_find(&m->target, name);
    const int64_t *d = m->target.tensor[at].dim;
    float *out = mem_new(d[0] * d[1] * d[2], sizeof *out);
    int64_t bytes = 0;
    *from = model_find(&m->from, name);
    free(name);
    if (map_run(&m->plan.map[at], m->plan.source, d, out, &bytes) != OK)
        bug("%s", status_text());
    return out;
}

static double drawn(const char *name, int64_t index, double std)
{
    float x;
    rng_normals(SEED, rng_name(name), (uint64_t)index, 1, std, &x);
    return (double)x;
}

/* ---- several parents ---- */

static void test_parents(void)
{
    struct upcycle up = {.scale_gate_up = 1, .scale_down = 3, .router_std = 0.02, .parents = 3};
    struct config from = config_of(0, 0), to = config_of(EXPERTS, 2);
    struct made m;
    int64_t width = FFN / 2, bad = 0;
    int gate_up, down, q;
    if (make(&m, &from, &to, &up) != OK)
        bug("%s", status_text());
    float *a = tensor_of(&m, "gate_up", &gate_up), *b = tensor_of(&m, "down", &down),
          *c = tensor_of(&m, "q", &q);
    for (int64_t e = 0; e < EXPERTS; e++)
        for (int64_t h = 0; h < HIDDEN; h++)
            for (int64_t f = 0; f < width; f++) {
                int parent = 1 + (int)(e / 2 % 3);
                int64_t neuron = e % 2 * width + f;
                for (int64_t up_half = 0; up_half < 2; up_half++)
                    bad += (double)a[((2 * e + up_half) * width + f) * HIDDEN + h] !=
                           value(parent, gate_up, (up_half * FFN + neuron) * HIDDEN + h);
                bad += (double)b[(e * HIDDEN + h) * width + f] !=
                       (double)(float)(3 * value(parent, down, h * FFN + neuron));
            }
    for (int64_t i = 0; i < 8 * HIDDEN; i++)
        bad += (double)c[i] != value(0, q, i);
    ok(bad == 0, "three parents, virtual groups: experts in turn, all else from the start (%lld bad)",
       (long long)bad);
    free(a);
    free(b);
    free(c);
    unmake(&m);
}

/* ---- neurons drawn anew ---- */

static void test_reinit(void)
{
    struct upcycle up = {.scale_gate_up = 1, .scale_down = 1, .reinit = 0.3, .reinit_std = STD};
    struct config from = config_of(0, 0), to = config_of(EXPERTS, 1);
    struct made m;
    int gate_up, down, bad = 0, same_choice = 0, first[FFN];
    if (make(&m, &from, &to, &up) != OK)
        bug("%s", status_text());
    float *a = tensor_of(&m, "gate_up", &gate_up), *b = tensor_of(&m, "down", &down);
    for (int64_t e = 0; e < EXPERTS; e++) {
        int fresh = 0, equal = 0;
        for (int64_t f = 0; f < FFN; f++) {
            bool is = (double)a[(2 * e * FFN + f) * HIDDEN] != value(0, gate_up, f * HIDDEN);
            for (int64_t h = 0; h < HIDDEN; h++) {
                for (int64_t half = 0; half < 2; half++) {
                    int64_t at = ((2 * e + half) * FFN + f) * HIDDEN + h;
                    bad += (double)a[at] != (is ? drawn("layers.1.gate_up.reinit", at, STD)
                                                : value(0, gate_up, (half * FFN + f) * HIDDEN + h));
                }
                int64_t at = (e * HIDDEN + h) * FFN + f;
                bad += (double)b[at] !=
                       (is ? drawn("layers.1.down.reinit", at, STD) : value(0, down, h * FFN + f));
            }
            if (e == 0)
                first[f] = is;
            equal += first[f] == is;
            fresh += is;
        }
        bad += fresh != 5; /* round(0.3 * 16) */
        same_choice += equal == FFN;
    }
    ok(bad == 0, "5 of 16 neurons of each expert are drawn, in gate, up and down alike (%d bad)", bad);
    ok(same_choice == 1, "each expert's are others");
    free(a);
    free(b);
    unmake(&m);
}

/* ---- experts from experts ---- */

static void test_more(double noise)
{
    struct upcycle up = {.scale_gate_up = 9, .scale_down = 9, .noise = noise};
    struct config from = config_of(3, 1), to = config_of(EXPERTS, 1);
    static const struct {
        const char *kind;
        int64_t size;
    } part[] = {{"gate_up", 2 * FFN * HIDDEN}, {"down", FFN * HIDDEN}, {"router", HIDDEN}};
    struct made m;
    int bad = 0, array;
    if (make(&m, &from, &to, &up) != OK)
        bug("%s", status_text());
    for (int i = 0; i < 3; i++) {
        float *a = tensor_of(&m, part[i].kind, &array);
        char *name = mem_format("layers.1.%s", part[i].kind);
        for (int64_t e = 0; e < EXPERTS; e++)
            for (int64_t k = 0; k < part[i].size; k++) {
                int64_t at = e * part[i].size + k;
                double copied = value(0, array, e % 3 * part[i].size + k);
                bad += a[at] != (float)(copied + (noise > 0 && e >= 3 ? drawn(name, at, noise) : 0));
            }
        free(name);
        free(a);
    }
    ok(bad == 0,
       "8 experts from 3, noise %g: e is e mod 3, the first three as they were, the router too (%d bad)",
       noise, bad);
    unmake(&m);
}

static void test_routers(void)
{
    struct upcycle up = {.scale_gate_up = 1, .scale_down = 1, .router_std = STD};
    struct config dense = config_of(0, 0), some = config_of(4, 2), to = config_of(EXPERTS, 2);
    for (int way = ROUTER_COPY; way <= ROUTER_ZERO; way++)
        for (int moe = 0; moe < 2; moe++) {
            struct made m;
            int array, bad = 0;
            up.router = (enum router_init)way;
            if (make(&m, moe ? &some : &dense, &to, &up) != OK)
                bug("%s", status_text());
            float *a = tensor_of(&m, "router", &array);
            for (int64_t e = 0; e < EXPERTS; e++)
                for (int64_t h = 0; h < HIDDEN; h++) {
                    double want = way == ROUTER_ZERO     ? 0
                                  : way == ROUTER_NORMAL ? drawn("layers.1.router", e * HIDDEN + h, STD)
                                  : moe                  ? value(0, array, e % 4 * HIDDEN + h)
                                                         : drawn("layers.1.router", e / 2 * HIDDEN + h, STD);
                    bad += (double)a[e * HIDDEN + h] != want;
                }
            ok(bad == 0, "router %s from %s model",
               way == ROUTER_COPY     ? "copy"
               : way == ROUTER_NORMAL ? "normal"
                                      : "zero",
               moe ? "a MoE" : "a dense");
            free(a);
            unmake(&m);
        }
}

/* ---- refusals, theory ---- */

static void refused(const char *word, const struct config *from, const struct config *to, struct upcycle up)
{
    ok(upcycle_check(to, from, &up) == E_DECK && strstr(status_text(), word), "refused: %s", status_text());
}

static void test_refused(void)
{
    struct config dense = config_of(0, 0), four = config_of(4, 1), to = config_of(EXPERTS, 2),
                  eight = config_of(8, 1);
    struct upcycle copy = {0};
    to.moe.top_k = 3;
    refused("not a multiple of granularity", &dense, &to, copy);
    ok(upcycle_check(&to, &dense, &(struct upcycle){.router = ROUTER_NORMAL}) == OK,
       "but not when each row is drawn");
    refused("never dropped", &eight, &four, copy);
    refused("granularity", &four, &to, copy);
    refused("parents", &four, &eight, (struct upcycle){.parents = 2});
    eight.moe.layer[0] = true;
    refused("layers", &four, &eight, copy);
}

static void test_exact(void)
{
    static const struct {
        int64_t from, granularity, top_k;
        enum router_order order;
        double down, noise, reinit;
        int parents;
        enum router_init router;
        bool exact;
    } list[] = {
        {0, 1, 2, TOPK_SOFTMAX, 1, 0, 0, 0, ROUTER_COPY, true},
        {0, 2, 2, TOPK_SOFTMAX, 2, 0, 0, 0, ROUTER_COPY, true},
        {0, 2, 2, TOPK_SOFTMAX, 1, 0, 0, 0, ROUTER_COPY, false},
        {0, 2, 2, TOPK_SOFTMAX, 2, 0, 0, 0, ROUTER_NORMAL, false},
        {0, 2, 2, TOPK_SOFTMAX, 2, 0, 0, 0, ROUTER_ZERO, true},
        {0, 1, 2, SOFTMAX_TOPK, 1, 0, 0, 0, ROUTER_COPY, false},
        {0, 1, 8, SOFTMAX_TOPK, 1, 0, 0, 0, ROUTER_COPY, true},
        {0, 1, 2, TOPK_SOFTMAX, 1, 0.1, 0, 0, ROUTER_COPY, false},
        {0, 1, 2, TOPK_SOFTMAX, 1, 0, 0.5, 0, ROUTER_COPY, false},
        {0, 1, 2, TOPK_SOFTMAX, 1, 0, 0, 2, ROUTER_COPY, false},
        {4, 1, 4, TOPK_SOFTMAX, 1, 0, 0, 0, ROUTER_COPY, true},
        {4, 1, 4, SOFTMAX_TOPK, 1, 0, 0, 0, ROUTER_COPY, true},
        {4, 1, 2, TOPK_SOFTMAX, 1, 0, 0, 0, ROUTER_COPY, false},
        {4, 1, 4, TOPK_SOFTMAX, 1, 0, 0, 0, ROUTER_NORMAL, false},
        {3, 1, 4, TOPK_SOFTMAX, 1, 0, 0, 0, ROUTER_COPY, false},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct config from = config_of(list[i].from, 1), to = config_of(EXPERTS, list[i].granularity);
        to.moe.top_k = list[i].top_k;
        to.moe.order = from.moe.order = list[i].order;
        struct upcycle up = {.scale_gate_up = 1,
                             .scale_down = list[i].down,
                             .router = list[i].router,
                             .parents = list[i].parents,
                             .noise = list[i].noise,
                             .reinit = list[i].reinit};
        ok(upcycle_is_exact(&to, &from, &up) == list[i].exact, "row %zu: theory says %s", i,
           list[i].exact ? "exact" : "not exact");
    }
}

int main(void)
{
    test_parents();
    test_reinit();
    test_more(0);
    test_more(STD);
    test_routers();
    test_refused();
    test_exact();
    return tap_done();
}
