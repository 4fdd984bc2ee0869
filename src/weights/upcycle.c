#include "weights/upcycle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

static double auto_scale(const struct moe *m)
{
    bool full = m->order == SOFTMAX_TOPK && !m->renormalise; /* the weights add up to about k/X, not to 1 */
    double g = (double)m->granularity;
    return full ? (double)m->experts * g / (double)m->top_k : g;
}

void upcycle_scales(const struct config *target, const struct decimal *scale, struct upcycle *up)
{
    bool down = scale->word == SCALE_DOWN, none = scale->word == SCALE_NONE || target->moe.experts == 0;
    double a = none ? 1 : scale->word >= 0 ? auto_scale(&target->moe) : (double)scale->millionths / 1e6;
    double root = (double)cbrtl((long double)a); /* cbrt() would differ in the last bit between libraries */
    up->scale_gate_up = down ? 1 : root;
    up->scale_down = down ? a : root;
}

enum slot upcycle_slot(const struct model *m, int tensor)
{
    const struct layer *l = &m->layer[m->tensor[tensor].layer];
    int slot = 0;
    while (l->tensor[slot] != tensor)
        slot++;
    return slot;
}

int64_t upcycle_first_new(const struct config *source)
{
    return config_moe_layers(source) > 0 ? source->moe.experts : 0;
}

/* ---- what can be upcycled, and what theory promises ---- */

/* Can a model with experts get more of them? */
static status check_more(const struct config *to, const struct config *from, const struct upcycle *up)
{
    const struct moe *a = &to->moe, *b = &from->moe;
    if (a->experts < b->experts)
        return fail(E_DECK,
                    "it has %lld experts already, model.moe.experts: %lld are fewer: they are never dropped",
                    (long long)b->experts, (long long)a->experts);
    if (a->granularity != b->granularity || a->shared != b->shared ||
        memcmp(a->layer, b->layer, sizeof a->layer))
        return fail(E_DECK,
                    "it has experts already: only their number can grow; set model.moe.granularity, shared "
                    "and layers to what it has");
    if (up->parents > 0)
        return fail(E_DECK,
                    "start.upcycle.parents: it has experts already; only those of a dense model can come "
                    "from several models");
    return OK;
}

status upcycle_check(const struct config *to, const struct config *from, const struct upcycle *up)
{
    int64_t g = to->moe.granularity;
    if (upcycle_first_new(from) > 0)
        return check_more(to, from, up);
    if (to->moe.experts > 0 && up->router == ROUTER_COPY && to->moe.top_k % g != 0)
        return fail(E_DECK,
                    "model.moe.top_k: %lld is not a multiple of granularity: %lld; change it, or set "
                    "start.upcycle.router: "
                    "normal",
                    (long long)to->moe.top_k, (long long)g);
    return OK;
}

/* From a model with experts: are all copies of the source's k best experts chosen, so that they share its
 * weight? */
static bool more_is_exact(const struct moe *to, const struct moe *from, const struct upcycle *up)
{
    return up->router == ROUTER_COPY && to->experts % from->experts == 0 &&
           to->renormalise == from->renormalise && to->top_k == from->top_k * (to->experts / from->experts);
}

bool upcycle_weights_sum_to_one(const struct moe *m)
{
    return m->order == TOPK_SOFTMAX || m->renormalise || m->top_k == m->experts;
}

static bool changes_experts(const struct upcycle *up)
{
    return up->noise > 0 || up->reinit > 0 || up->parents > 0;
}

bool upcycle_is_copy(const struct config *to, const struct config *from, const struct upcycle *up)
{
    const struct moe *m = &to->moe;
    bool whole = m->granularity == 1 || (up->router != ROUTER_NORMAL && m->top_k % m->granularity == 0);
    return m->experts > 0 && upcycle_first_new(from) == 0 && !changes_experts(up) && m->shared == 0 && whole;
}

bool upcycle_is_exact(const struct config *to, const struct config *from, const struct upcycle *up)
{
    const struct moe *m = &to->moe;
    if (m->experts == 0)
        return true;
    if (upcycle_first_new(from) > 0)
        return !changes_experts(up) && more_is_exact(m, &from->moe, up);
    return upcycle_is_copy(to, from, up) && upcycle_weights_sum_to_one(m) && up->scale_gate_up == 1 &&
           up->scale_down == (double)m->granularity;
}

bool upcycle_is_drawn(const struct model *target, int tensor, const struct config *source,
                      const struct upcycle *up)
{
    enum slot slot = upcycle_slot(target, tensor);
    bool dense = upcycle_first_new(source) == 0;
    if (slot == T_ROUTER)
        return dense || up->router != ROUTER_COPY;
    return !target->tensor[tensor].trained || (slot == T_SHARED_GATE && dense);
}

struct axis upcycle_redrawn(const struct config *target, double share, uint64_t key)
{
    int64_t width = config_expert_ffn(target), most = llround(share * (double)width), n = 0;
    struct pick *at = mem_new(width, sizeof *at);
    for (int64_t f = 0; f < width; f++)
        if (rng_permute(key, width, f) < most)
            at[n++] = (struct pick){f, f, 1};
    struct axis a = axis_picks(at, n);
    free(at);
    return a;
}

/* ---- maps ---- */

/* Axis 0 of experts e*G+g, for one g and the copies e = first, first + step, ... of the FFN. `per` rows of
 * each expert come from rows 0 .. per-1 of the dense FFN. */
static struct axis experts_axis(const struct moe *m, int64_t g, int64_t first, int64_t step, int64_t per,
                                double scale)
{
    int64_t n = 0;
    struct pick *at = mem_new(mem_mul(m->experts, per), sizeof *at);
    for (int64_t e = first * m->granularity + g; e < m->experts; e += step * m->granularity)
        for (int64_t j = 0; j < per; j++)
            at[n++] = (struct pick){e * per + j, j, scale};
    struct axis a = axis_picks(at, n);
    free(at);
    return a;
}

/* Add the experts that come from parent q of n: for each shard a term with its rows (gate, up) or columns
 * (down) of the dense FFN. */
static void push_parent(struct map *m, const struct config *c, int array, int64_t q, int64_t n, bool down,
                        double scale)
{
    int64_t width = config_expert_ffn(c);
    for (int64_t g = 0; g < c->moe.granularity; g++) {
        struct axis shard = axis_shift(0, width, g * width), hidden = axis_identity(c->hidden);
        struct term t = {.array = array, .axis = {experts_axis(&c->moe, g, q, n, down ? 1 : 2, scale)}};
        t.axis[1] = down ? hidden : shard;
        t.axis[2] = down ? shard : hidden;
        map_push(m, t);
    }
}

static struct map map_experts(const struct model *target, const struct model *dense, int array, bool down,
                              const struct upcycle *up)
{
    struct map m = {0};
    double scale = down ? up->scale_down : up->scale_gate_up;
    for (int q = 0; q < up->parents; q++)
        push_parent(&m, &target->config, array + (1 + q) * dense->n_tensors, q, up->parents, down, scale);
    if (up->parents == 0)
        push_parent(&m, &target->config, array, 0, 1, down, scale);
    return m;
}

/* A map whose indices on axis `axis` repeat the source's first `from` indices. */
static struct map map_repeated(const int64_t dim[3], int axis, int64_t from, int array)
{
    struct term t = {.array = array};
    struct pick *at = mem_new(dim[axis], sizeof *at);
    for (int64_t i = 0; i < dim[axis]; i++)
        at[i] = (struct pick){i, i % from, 1};
    for (int a = 0; a < 3; a++)
        t.axis[a] = a == axis ? axis_picks(at, dim[a]) : axis_identity(dim[a]);
    free(at);
    struct map m = {0};
    map_push(&m, t);
    return m;
}

/* Shared expert j starts as shard j mod G of the dense FFN, unscaled: its rows (gate, up) or columns (down).
 */
static struct map map_shared(const struct config *c, int dense_tensor, bool down)
{
    struct map m = {0};
    int64_t width = config_expert_ffn(c);
    for (int64_t j = 0; j < c->moe.shared; j++) {
        struct axis shard = axis_shift(j * width, width, j % c->moe.granularity * width);
        struct axis hidden = axis_identity(c->hidden);
        struct term t = {.array = dense_tensor, .axis = {axis_identity(down ? 1 : 2)}};
        t.axis[1] = down ? hidden : shard;
        t.axis[2] = down ? shard : hidden;
        map_push(&m, t);
    }
    return m;
}

struct map upcycle_map(const struct model *target, const struct model *source, int tensor,
                       const struct upcycle *up)
{
    const struct tensor *t = &target->tensor[tensor];
    const int *slots = source->layer[t->layer].tensor;
    enum slot slot = upcycle_slot(target, tensor);
    bool moe = target->layer[t->layer].type == MOE_BLOCK, down = slot == T_DOWN || slot == T_SHARED_DOWN;
    bool experts = moe && (slot == T_GATE_UP || slot == T_DOWN);
    bool has_experts = source->layer[t->layer].type == MOE_BLOCK;
    if (has_experts && (experts || slot == T_ROUTER)) {
        int axis = experts ? 0 : 1;
        return map_repeated(t->dim, axis, source->tensor[slots[slot]].dim[axis], slots[slot]);
    }
    if (!has_experts && (slot == T_SHARED_GATE_UP || slot == T_SHARED_DOWN))
        return map_shared(&target->config, slots[down ? T_DOWN : T_GATE_UP], down);
    if (experts)
        return map_experts(target, source, slots[slot], down, up);
    return map_one(0, slots[slot], axis_identity(t->dim[0]), axis_identity(t->dim[1]),
                   axis_identity(t->dim[2]));
}

struct map upcycle_router(const struct config *target, int from, int array)
{
    const struct moe *m = &target->moe;
    struct pick *row = mem_new(m->experts, sizeof *row);
    for (int64_t x = 0; x < m->experts; x++)
        row[x] = (struct pick){x, x / m->granularity, 1};
    struct map map =
        map_one(from, array, axis_identity(1), axis_picks(row, m->experts), axis_identity(target->hidden));
    free(row);
    return map;
}
