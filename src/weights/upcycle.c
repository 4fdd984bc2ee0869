#include "weights/upcycle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static double auto_scale(const struct moe *m)
{
    bool full = m->order == SOFTMAX_TOPK && !m->renormalise; /* weights sum to about k/X, not to 1 */
    double g = (double)m->granularity;
    return full ? (double)m->experts * g / (double)m->top_k : g;
}

/* A whole text as a positive number; 0 if it is none. */
static double number_of(const char *text)
{
    char *end;
    double a = strtod(text, &end);
    return end != text && *end == '\0' && a > 0 && isfinite(a) ? a : 0;
}

status upcycle_scales(const struct config *target, const char *text, struct upcycle *up)
{
    bool down = !strcmp(text, "down"), none = !strcmp(text, "none") || target->moe.experts == 0;
    double a = none ? 1 : down || !strcmp(text, "auto") ? auto_scale(&target->moe) : number_of(text);
    if (a == 0)
        return fail(E_DECK, "start.upcycle.weight_scale: %s: needs auto, down, none or a positive number",
                    text);
    double root = (double)cbrtl((long double)a); /* rounded right: cbrt() is not, and differs by library */
    up->scale_gate_up = down ? 1 : root;
    up->scale_down = down ? a : root;
    return OK;
}

enum slot upcycle_slot(const struct model *m, int tensor)
{
    const struct layer *l = &m->layer[m->tensor[tensor].layer];
    int slot = 0;
    while (l->tensor[slot] != tensor)
        slot++;
    return slot;
}

/* Axis 0 of the experts e*G+g for one g: `per` rows of each come from the dense rows 0 .. per-1. */
static struct axis experts_axis(const struct moe *m, int64_t g, int64_t per, double scale)
{
    int64_t n = 0;
    struct pick *at = mem_new(mem_mul(m->experts / m->granularity, per), sizeof *at);
    for (int64_t e = g; e < m->experts; e += m->granularity)
        for (int64_t j = 0; j < per; j++)
            at[n++] = (struct pick){e * per + j, j, scale};
    struct axis a = axis_picks(at, n);
    free(at);
    return a;
}

/* One term per shard: which rows (gate, up) or columns (down) of the dense FFN, and its experts. */
static struct map map_experts(const struct config *c, int dense_tensor, bool down, double scale)
{
    struct map m = {0};
    int64_t width = config_expert_ffn(c);
    for (int64_t g = 0; g < c->moe.granularity; g++) {
        struct axis shard = axis_shift(0, width, g * width), hidden = axis_identity(c->hidden);
        struct term t = {.array = dense_tensor, .axis = {experts_axis(&c->moe, g, down ? 1 : 2, scale)}};
        t.axis[1] = down ? hidden : shard;
        t.axis[2] = down ? shard : hidden;
        map_push(&m, t);
    }
    return m;
}

/* Shared expert j starts as shard j mod G, unscaled: rows (gate, up) or columns (down) of the dense FFN. */
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

struct map upcycle_map(const struct model *target, const struct model *dense, int tensor,
                       const struct upcycle *up)
{
    const struct tensor *t = &target->tensor[tensor];
    enum slot slot = upcycle_slot(target, tensor);
    const int *source = dense->layer[t->layer].tensor;
    int from = source[slot];
    if (slot == T_SHARED_GATE_UP || slot == T_SHARED_DOWN)
        return map_shared(&target->config, source[slot == T_SHARED_DOWN ? T_DOWN : T_GATE_UP], slot == T_SHARED_DOWN);
    if (target->layer[t->layer].type == MOE_BLOCK && slot == T_GATE_UP)
        return map_experts(&target->config, from, false, up->scale_gate_up);
    if (target->layer[t->layer].type == MOE_BLOCK && slot == T_DOWN)
        return map_experts(&target->config, from, true, up->scale_down);
    return map_one(0, from, axis_identity(t->dim[0]), axis_identity(t->dim[1]), axis_identity(t->dim[2]));
}

struct map upcycle_router(const struct config *target, int source, int array)
{
    const struct moe *m = &target->moe;
    struct pick *row = mem_new(m->experts, sizeof *row);
    for (int64_t x = 0; x < m->experts; x++)
        row[x] = (struct pick){x, x / m->granularity, 1};
    struct map map =
        map_one(source, array, axis_identity(1), axis_picks(row, m->experts), axis_identity(target->hidden));
    free(row);
    return map;
}
