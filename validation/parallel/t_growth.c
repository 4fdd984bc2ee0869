/* Every method of growth and upcycling, alone and composed, on every layout of these ranks (TP and ETP up to
 * 4, EP up to 8). The hash of the weights must be that of one rank. Each rank must read exactly the bytes
 * that its tensors need, which are counted here source element by source element. */
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/store.h"
#include "tap_ranks.h"
#include "weights/fill.h"
#include "weights/config_hf.h"

enum { SEED = 41 };
static const struct layout one = {1, 1, 1, 1, 1, 1, 1};

/* What is made from: a file, and for every second parent of experts a random model of its shape. */
struct origin {
    char *dir;
    struct config shape;
};

static struct {
    struct comm *comm;
    struct dev *dev;
    struct origin dense; /* 2 layers x 44, 8 heads over 2 KV heads, FFN 54, biases, tied */
    struct origin moe;   /* 2 layers x 36, 8 heads over 2 KV heads, 8 experts of 21 */
} the;

static const struct method {
    const char *text;
    const char *grow, *depth, *scope, *scale;     /* NULL: none, unset, all, auto */
    int64_t hidden, ffn, layers, heads, kv_heads; /* 0: as in the source */
    int64_t experts, top_k, granularity, shared;  /* 0: dense, 2, 1, none */
    bool softmax_first, from_moe;
    enum router_init router;
    int parents;
    double noise, reinit;
} methods[] = {
    {"FPI, dense", "fpi", .hidden = 88, .ffn = 100, .heads = 16, .kv_heads = 4},
    {"FPI by no whole factor", "fpi", .hidden = 60, .ffn = 70, .heads = 12, .experts = 8},
    {"FPI, stacked", "fpi", .layers = 5},
    {"FPI, interpolated", "fpi", "interpolate", .hidden = 88, .layers = 5, .experts = 8},
    {"AKI, stacked", "aki", .hidden = 88, .ffn = 100, .layers = 5, .heads = 24, .kv_heads = 4, .experts = 8},
    {"AKI, interpolated", "aki", "interpolate", .hidden = 60, .ffn = 70, .layers = 4, .heads = 12},
    {"AKI of neurons", "aki", NULL, "neurons", .hidden = 88, .ffn = 100, .heads = 24, .kv_heads = 4},
    {"AKI-Pro", "aki-pro", .hidden = 88, .ffn = 100, .layers = 4, .heads = 16, .kv_heads = 4, .experts = 8},
    {"E8T2", .experts = 8},
    {"softmax-topk", .experts = 8, .softmax_first = true},
    {"softmax-topk, a on down", .scale = "down", .experts = 8, .softmax_first = true},
    {"a given scale, routers of zeros", .scale = "2.5", .experts = 8, .router = ROUTER_ZERO},
    {"virtual groups", .experts = 16, .top_k = 4, .granularity = 2},
    {"virtual groups, softmax-topk, a on down", .scale = "down", .experts = 24, .top_k = 6, .granularity = 3,
     .softmax_first = true},
    {"granular without virtual groups", .experts = 16, .granularity = 2, .router = ROUTER_NORMAL},
    {"shared experts", .scale = "none", .experts = 8, .granularity = 2, .shared = 3},
    {"noise", .experts = 8, .noise = 0.01},
    {"neurons drawn anew", .experts = 8, .reinit = 0.5},
    {"three parents", .experts = 8, .parents = 3},
    {"more experts from experts", .experts = 16, .top_k = 4, .from_moe = true},
    {"more experts, no multiple, noise, neurons and routers anew", .experts = 24, .from_moe = true,
     .router = ROUTER_NORMAL, .noise = 0.01, .reinit = 0.4},
    {"AKI-Pro and virtual groups", "aki-pro", .hidden = 60, .ffn = 96, .layers = 5, .heads = 16,
     .kv_heads = 4, .experts = 16, .top_k = 4, .granularity = 2},
    {"AKI, two parents, virtual groups, noise, neurons anew", "aki", .hidden = 60, .ffn = 96, .layers = 3,
     .heads = 16, .kv_heads = 4, .experts = 16, .top_k = 4, .granularity = 2, .parents = 2, .noise = 0.01,
     .reinit = 0.4},
};
enum { METHODS = sizeof methods / sizeof *methods };

/* Layouts of 4 and of 8 ranks. */
static const struct {
    int world, tp, ep, etp;
} cuts[] = {{4, 1, 1, 1}, {4, 4, 1, 1}, {4, 1, 2, 1}, {4, 2, 2, 1}, {4, 1, 4, 1}, {4, 4, 4, 1},
            {4, 2, 1, 2}, {4, 1, 1, 4}, {4, 4, 1, 4}, {4, 2, 2, 2}, {8, 4, 1, 1}, {8, 1, 8, 1},
            {8, 2, 8, 1}, {8, 4, 8, 1}, {8, 1, 4, 2}, {8, 4, 4, 2}, {8, 2, 2, 4}};
enum { CUTS = sizeof cuts / sizeof *cuts };

static const struct origin *origin_of(const struct method *m)
{
    return m->from_moe ? &the.moe : &the.dense;
}

static int64_t or_else(int64_t given, int64_t otherwise)
{
    return given ? given : otherwise;
}

static struct config target_of(const struct method *m)
{
    struct config c = origin_of(m)->shape;
    c.hidden = or_else(m->hidden, c.hidden);
    c.ffn = or_else(m->ffn, c.ffn);
    c.layers = or_else(m->layers, c.layers);
    c.heads = or_else(m->heads, c.heads);
    c.kv_heads = or_else(m->kv_heads, c.kv_heads);
    c.moe.experts = m->experts;
    c.moe.top_k = or_else(m->top_k, 2);
    c.moe.granularity = or_else(m->granularity, 1);
    c.moe.shared = m->shared;
    c.moe.order = m->softmax_first ? SOFTMAX_TOPK : TOPK_SOFTMAX;
    for (int l = 0; l < c.layers && m->experts > 0 && !m->from_moe; l++)
        c.moe.layer[l] = l != 1; /* one stays dense */
    return c;
}

/* A random model with our own names, as a checkpoint has them. */
static struct source *random_parent(const struct model *shape, int number)
{
    struct generated *list = mem_new(shape->n_tensors, sizeof *list);
    for (int i = 0; i < shape->n_tensors; i++) {
        list[i] = (struct generated){.name = shape->tensor[i].name, .std = 0.02};
        memcpy(list[i].dim, shape->tensor[i].dim, sizeof list[i].dim);
    }
    struct source *s = source_open_random((uint64_t)number, list, shape->n_tensors);
    free(list);
    return s;
}

static status plan_for(struct fill_plan *plan, const struct method *m, const struct model *target)
{
    const struct origin *from = origin_of(m);
    struct upcycle up = {.router = m->router,
                         .router_std = 0.02,
                         .parents = m->parents,
                         .noise = m->noise,
                         .reinit = m->reinit,
                         .reinit_std = 0.02};
    struct source *source[1 + PARENTS_MOST] = {NULL};
    struct grow grow;
    struct model shape;
    TRY(grow_choose(&grow, m->grow ? (enum grow_method)choice_find(grow_methods, m->grow) : GROW_NONE,
                    (enum grow_depth)choice_find(grow_depths, m->depth),
                    m->scope ? (enum grow_scope)choice_find(grow_scopes, m->scope) : SCOPE_ALL));
    struct decimal scale;
    decimal_read(&scale, weight_scales, m->scale ? m->scale : "auto");
    upcycle_scales(&target->config, &scale, &up);
    model_open(&shape, &from->shape, &one);
    status s = OK;
    for (int i = 0; i <= m->parents && s == OK; i++)
        if (i > 0 && i % 2 == 0)
            source[i] = random_parent(&shape, i);
        else
            s = source_open_hf(&source[i], from->dir);
    if (s == OK)
        s = plan_upcycle(plan, target, &shape, source, &grow, &up, SEED);
    model_close(&shape);
    return s;
}

/* ---- bytes needed, counted one by one ---- */

static bool inside(const slab *box, int axis, int64_t at)
{
    return at >= box->lo[axis] && at < box->lo[axis] + box->n[axis];
}

/* Mark the elements of the source's array [dim] that the term's part of the box comes from. */
static void mark(bool *seen, const int64_t dim[3], const struct term *t, const slab *box)
{
    for (int64_t i = 0; i < t->axis[0].n; i++)
        for (int64_t j = 0; j < t->axis[1].n; j++)
            for (int64_t k = 0; k < t->axis[2].n; k++) {
                struct pick x = axis_at(&t->axis[0], i), r = axis_at(&t->axis[1], j),
                            c = axis_at(&t->axis[2], k);
                if (inside(box, 0, x.dst) && inside(box, 1, r.dst) && inside(box, 2, c.dst))
                    seen[(x.src * dim[1] + r.src) * dim[2] + c.src] = true;
            }
}

static bool share_reads(const struct term *a, const struct term *b)
{
    return a->does == COPY && b->does == COPY && a->source == b->source && a->array == b->array;
}

/* Copies of one array read together; what adds or replaces reads for itself. */
static int64_t needed(const struct map *m, struct source *const *sources, slab box)
{
    int64_t bytes = 0;
    for (int i = 0; i < m->n; i++) {
        const struct array *a = &sources[m->term[i].source]->array[m->term[i].array];
        int64_t size = a->dim[0] * a->dim[1] * a->dim[2], n = 0;
        bool *seen = mem_new(size, sizeof *seen), counted = a->element_bytes == 0;
        for (int k = 0; k < i; k++)
            counted = counted || share_reads(&m->term[i], &m->term[k]);
        for (int k = i; k < m->n && !counted; k++)
            if (k == i || share_reads(&m->term[i], &m->term[k]))
                mark(seen, a->dim, &m->term[k], &box);
        for (int64_t e = 0; e < size; e++)
            n += seen[e];
        bytes += n * a->element_bytes;
        free(seen);
    }
    return bytes;
}

/* ---- filling ---- */

struct filled {
    status result;
    int64_t bytes, planned, needed;
    uint64_t hash;
};

static void count(struct filled *f, const struct fill_plan *plan, const struct model *m,
                  const struct layout *l, int rank)
{
    f->planned = plan_bytes(plan, m, l, rank);
    for (int i = 0; i < m->n_tensors; i++)
        f->needed += needed(&plan->map[i], plan->source, model_slab(m, l, rank, i));
}

/* COLLECTIVE; on a layout of one rank all ranks do the same. */
static struct filled fill(const struct method *method, const struct layout *l)
{
    struct config c = target_of(method);
    struct filled f = {0};
    struct model m;
    struct fill_plan plan;
    struct store store;
    int rank = l->world == 1 ? 0 : comm_rank(the.comm);
    model_open(&m, &c, l);
    f.result = comm_agree(the.comm, plan_for(&plan, method, &m));
    if (f.result == OK &&
        (f.result = comm_agree(the.comm, store_open(&store, &m, l, rank, the.dev, false))) == OK) {
        f.result = weights_fill(&store, the.comm, &plan, &f.bytes);
        f.hash = store_hash(&store, MASTER);
        if (l->world > 1)
            f.hash = comm_sum_u64(the.comm, f.hash);
        count(&f, &plan, &m, l, rank);
        store_close(&store);
    }
    if (f.result == OK)
        plan_free(&plan);
    model_close(&m);
    return f;
}

static bool as_needed(const struct filled *f)
{
    return f->bytes == f->needed && f->bytes == f->planned;
}

static void test_layouts(const struct method *m)
{
    struct config c = target_of(m);
    struct layout_needs needs = config_needs(&c);
    struct filled alone = fill(m, &one);
    ok(alone.result == OK && as_needed(&alone) && alone.bytes > 0, "%s on one rank: %lld bytes as needed %s",
       m->text, (long long)alone.bytes, alone.result ? status_text() : "");
    for (int i = 0; i < CUTS; i++) {
        struct layout l;
        char *why = layout_make(&l, comm_size(the.comm), cuts[i].tp, cuts[i].ep, cuts[i].etp, &needs);
        bool fits = !why && cuts[i].world == comm_size(the.comm);
        free(why);
        if (!fits)
            continue;
        struct filled f = fill(m, &l);
        ok(f.result == OK && f.hash == alone.hash && as_needed(&f),
           "%s, TP %d EP %d ETP %d: hash of one rank, bytes as needed %s", m->text, cuts[i].tp, cuts[i].ep,
           cuts[i].etp, f.result ? status_text() : "");
    }
}

static void open_origin(struct origin *o, const char *name)
{
    const char *srcdir = getenv("srcdir");
    struct hf_config h;
    o->dir = mem_format("%s/validation/reference/%s", srcdir ? srcdir : ".", name);
    if (hf_config_read(&h, o->dir, NULL, 0) != OK || config_from_hf(&o->shape, &h) != OK)
        bug("%s", status_text());
    hf_config_free(&h);
}

int main(void)
{
    if (comm_open(&the.comm) != OK)
        return 1;
    tap_open(the.comm);
    struct dev_options options = {.threads = 1};
    if (dev_open(&the.dev, "cpu", 0, &options) != OK)
        bug("%s", status_text());
    open_origin(&the.dense, "dense-bias-llama3");
    open_origin(&the.moe, "mixtral-losses");
    for (int i = 0; i < METHODS; i++)
        test_layouts(&methods[i]);
    dev_close(the.dev);
    free(the.dense.dir);
    free(the.moe.dir);
    return tap_done();
}
