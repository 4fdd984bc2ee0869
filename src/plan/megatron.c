/* The closed form of a step of Megatron-Core: doc/plan.md says where each formula comes from and how far to
 * trust it. One layer and one micro-batch first, then the step. */
#include <math.h>
#include "plan/plan.h"

/* A layer's sizes on one rank. */
struct local {
    const struct machine *c;
    const struct plan_shape *s;
    const struct plan_job *j;
    double all, own;   /* Ta: tokens between tensor-parallel gathers; T: those of a sequence-parallel rank */
    double q, kv;      /* columns of all heads */
    double rows, here; /* rows that leave and arrive; experts of a rank */
    double exchange;   /* seconds of one all-to-all */
    bool far;          /* the expert group leaves its node */
};

static struct local local_of(const struct machine *c, const struct plan_shape *s, const struct plan_job *j)
{
    struct local l = {.c = c, .s = s, .j = j};
    l.all = floor(j->micro * j->sequence / j->context);
    l.own = l.all / j->tensor;
    l.q = s->heads * s->head_dim;
    l.kv = s->kv_heads * s->head_dim;
    if (s->experts <= 1)
        return l;
    l.rows = l.own * s->top_k * j->capacity * j->load;
    l.here = fmax(1, floor(s->experts / j->expert));
    return l;
}

static void add(struct cost *to, struct cost x)
{
    to->forward += x.forward;
    to->backward += x.backward;
}

static struct cost both(double seconds)
{
    return (struct cost){seconds, seconds};
}

/* ---- a layer ---- */

/* Keys and values go around; backward moves their gradients too. */
static struct cost ring(const struct local *l, struct cost attention)
{
    double n = l->j->context, t = l->j->tensor, bytes = 2 * l->all * l->kv / t * 2;
    bool near = t * n <= l->c->node;
    double rate = near ? l->c->coll : l->c->network;
    double start = (n - 1) * (near ? l->c->near_latency : l->c->far_latency);
    return (struct cost){fmax(0, (n - 1) * bytes / rate - attention.forward) + start,
                         fmax(0, 2 * (n - 1) * bytes / rate - attention.backward) + start};
}

static void attention(const struct local *l, struct cost *layer)
{
    double t = l->j->tensor, h = l->s->hidden, short_sequence = l->j->sequence / l->j->context;
    double flops = 2 * l->j->micro * l->j->sequence * l->j->sequence / l->j->context * l->q / t;
    add(&layer[LAYER_ATTN_GEMM], cost_linear(l->c, l->all, floor((l->q + 2 * l->kv) / t), h, 1));
    add(&layer[LAYER_ATTN_GEMM], cost_linear(l->c, l->all, h, floor(l->q / t), 1));
    layer[LAYER_ATTN].forward = cost_attn_fwd(l->c, flops, short_sequence);
    layer[LAYER_ATTN].backward = cost_attn_bwd(l->c, 2.5 * flops, short_sequence);
    if (l->j->context > 1)
        layer[LAYER_RING] = ring(l, layer[LAYER_ATTN]);
}

/* Of the rows that leave a node, how many do so if each goes to a node once. */
static double crossing(const struct local *l)
{
    double peers = fmax(1, fmin(l->j->expert, floor(l->c->node / l->j->expert_tensor)));
    double nodes = floor(l->j->expert / peers), k = l->s->top_k;
    if (!l->j->deduplicate || l->j->expert <= peers)
        return 1;
    return (nodes - 1) * (1 - pow(1 - 1 / nodes, k)) / (k * (nodes - 1) / nodes);
}

static void experts(struct local *l, struct cost *layer)
{
    const struct plan_job *j = l->j;
    double u = j->expert_tensor, h = l->s->hidden, f = l->s->width;
    double each = fmax(1, floor(l->rows * u / l->here)), moved = l->rows * h * 2, act = l->rows * f * 2;
    double permuted = 2 * moved + (l->here > 1 ? 2 * u * moved : 0), token = 24 * l->own * l->s->experts;
    double own = floor(l->own);
    add(&layer[LAYER_EXPERTS], cost_linear(l->c, each, floor(2 * f / u), h, l->here));
    add(&layer[LAYER_EXPERTS], cost_linear(l->c, each, h, floor(f / u), l->here));
    double whole = cost_exchange(l->c, moved, j->expert, u, crossing(l)), tax = cost_hide_tax(l->c);
    l->exchange = whole * (1 - j->hide_expert) + whole * j->hide_expert * tax;
    l->far = j->expert > fmax(1, fmin(j->expert, floor(l->c->node / u)));
    layer[LAYER_EXCHANGE] = both(2 * l->exchange);
    layer[LAYER_EXPERT_TENSOR] = both(2 * cost_collective(l->c, u * moved, u, 1));
    layer[LAYER_PERMUTE].forward = (2 * permuted + 3 * act) / l->c->memory;
    layer[LAYER_PERMUTE].backward = (2 * permuted + 5 * act) / l->c->memory;
    layer[LAYER_ROUTER].forward = cost_gemm(l->c, own, l->s->experts, h, 1, false) + token / l->c->memory;
    layer[LAYER_ROUTER].backward =
        2 * cost_gemm(l->c, own, l->s->experts, h, 1, false) + token / l->c->memory;
}

/* Width of the FFN that every token goes through. */
static double dense_width(const struct local *l)
{
    return l->s->experts > 1 ? l->s->shared : l->s->width;
}

static void dense(const struct local *l, struct cost *layer)
{
    double t = l->j->tensor, f = dense_width(l), h = l->s->hidden, act = l->all * f / t * 2;
    add(&layer[LAYER_DENSE], cost_linear(l->c, l->all, floor(2 * f / t), h, 1));
    add(&layer[LAYER_DENSE], cost_linear(l->c, l->all, h, floor(f / t), 1));
    add(&layer[LAYER_DENSE], (struct cost){3 * act / l->c->memory, 5 * act / l->c->memory});
}

static void recomputed(const struct local *l, struct cost *layer)
{
    double extra = 0;
    if (l->j->recompute == AGAIN_FULL)
        for (int i = 0; i < LAYER_RECOMPUTED; i++)
            extra += layer[i].forward;
    if (l->j->recompute == AGAIN_NORM && l->s->experts > 1)
        extra = (3 * l->rows * l->s->width * 2 + 4 * l->own * l->s->hidden * 2) / l->c->memory;
    layer[LAYER_RECOMPUTED].backward = extra;
}

static void whole_layer(struct local *l, struct cost *layer)
{
    double h = l->s->hidden, gather = cost_collective(l->c, l->all * h * 2, l->j->tensor, 1);
    double z = l->own * h * 2, r = l->all * (l->q + l->kv) / l->j->tensor * 2;
    attention(l, layer);
    layer[LAYER_TENSOR] = both(2 * gather * (1 - l->j->hide_tensor));
    if (l->s->experts > 1)
        experts(l, layer);
    if (dense_width(l) > 0) {
        dense(l, layer);
        add(&layer[LAYER_TENSOR], both(2 * gather * (1 - l->j->hide_tensor)));
    }
    layer[LAYER_NORMS] = (struct cost){(10 * z + 2 * r) / l->c->memory, (14 * z + 2 * r) / l->c->memory};
    layer[LAYER_GAPS] = (struct cost){l->c->gap * (38 + 2 * l->here), l->c->gap * (64 + 4 * l->here)};
    recomputed(l, layer);
}

/* ---- a step ---- */

/* Parameters of the fullest rank: dense, and those of experts; the ranks that hold the same. */
struct held {
    double dense, expert, dense_ranks, expert_ranks;
};

static struct held held_of(const struct plan_shape *s, const struct plan_job *j)
{
    struct layer_parameters p = plan_parameters(s);
    double layers = s->layers / j->pipeline, moe = s->experts > 1;
    double vocab = s->vocab * s->hidden / j->tensor * (j->pipeline == 1 ? 2 : 1);
    return (struct held){.dense =
                             layers * (p.attention + p.shared + (moe ? 0 : p.expert)) / j->tensor + vocab,
                         .expert = moe ? layers * s->experts * p.expert / (j->expert * j->expert_tensor) : 0,
                         .dense_ranks = j->ranks / (j->tensor * j->pipeline),
                         .expert_ranks = j->ranks / (j->expert * j->expert_tensor * j->pipeline)};
}

/* Gradients are scattered in fp32, weights gathered in 16 bits, behind what compute of one micro-batch hides.
 * A network that carries the all-to-all hides nothing, and what is hidden takes multiprocessors. */
static double data_parallel(const struct local *l, const struct held *p, struct cost stage, double *hidden)
{
    const struct plan_job *j = l->j;
    double experts_apart = j->expert * j->expert_tensor, tax = cost_hide_tax(l->c), seconds = 0;
    double busy = l->far ? l->s->layers / j->pipeline * 4 * l->exchange / 2 : 0;
    const double bytes[2] = {4, 2}, compute[2] = {stage.backward, stage.forward};
    for (int i = 0; i < 2; i++) {
        double traffic = cost_collective(l->c, bytes[i] * p->dense, p->dense_ranks, j->tensor) +
                         cost_collective(l->c, bytes[i] * p->expert, p->expert_ranks, experts_apart);
        double behind = l->c->hide * (compute[i] - busy);
        seconds += fmax(0, traffic - behind) + tax * fmin(traffic, behind);
        *hidden += fmin(traffic, behind);
    }
    return seconds;
}

static double head_seconds(const struct local *l)
{
    double t = l->j->tensor, h = l->s->hidden, v = floor(l->s->vocab / t);
    struct cost product = cost_linear(l->c, l->all, v, h, 1);
    return product.forward + product.backward + l->all * l->s->vocab / t * 22 / l->c->memory +
           3 * cost_collective(l->c, l->all * h * 2, t, 1) + 30 * l->c->gap;
}

static double hop_seconds(const struct local *l)
{
    double rate = l->j->ranks > l->c->node ? l->c->network : l->c->coll;
    return l->j->pipeline > 1 ? l->own * l->s->hidden * 2 / rate + l->c->far_latency : 0;
}

static struct cost stage_of(const struct plan *p)
{
    struct cost sum = {0};
    for (int i = 0; i < LAYER_TERMS; i++)
        add(&sum, (struct cost){p->layers * p->layer[i].forward, p->layers * p->layer[i].backward});
    return sum;
}

static void whole_step(const struct local *l, const struct held *held, struct plan *p)
{
    const struct plan_job *j = l->j;
    double stages = j->pipeline > 1 ? j->stages : 1, hop = hop_seconds(l);
    double embed = 12 * l->own * l->s->hidden / l->c->memory, head = head_seconds(l);
    struct cost stage = stage_of(p);
    double busy = stage.forward + stage.backward, own = held->dense / held->dense_ranks;
    double expert = held->expert / held->expert_ranks;
    p->term[STEP_HEAD] =
        p->micros * (j->even_head ? (head + embed) / j->pipeline : head + (j->pipeline == 1 ? embed : 0));
    p->term[STEP_BUBBLE] = (j->pipeline - 1) * (busy / stages + 2 * hop);
    p->term[STEP_HOPS] = stages > 1 ? 0 : 2 * p->micros * hop;
    p->term[STEP_DATA] = data_parallel(l, held, stage, &p->hidden);
    p->term[STEP_OPTIMIZER] =
        30 * (own + expert) / l->c->memory + 4 * (held->dense + held->expert) / l->c->memory + 5e-3;
    p->step = p->micros * busy;
    for (int i = 0; i < STEP_TERMS; i++)
        p->step += p->term[i];
    for (int i = 0; i < LAYER_TERMS; i++)
        plan_add(p, plan_layer_name((enum plan_layer_term)i), plan_layer_seconds(p, (enum plan_layer_term)i));
    for (int i = 0; i < STEP_TERMS; i++)
        plan_add(p, plan_step_name((enum plan_step_term)i), p->term[i]);
}

/* ---- memory and FLOPs ---- */

/* Bytes that a layer keeps of a micro-batch. */
static double kept(const struct local *l, double rows)
{
    double t = l->j->tensor, h = l->s->hidden, f = l->s->width, moe = l->s->experts > 1;
    double bytes = 8 * l->own * h + 2 * l->all * (2 * l->q + 2 * l->kv) / t + 4 * l->all * l->s->heads / t;
    bytes += 6 * l->all * dense_width(l) / t;
    if (moe)
        bytes +=
            2 * rows * h * l->j->expert_tensor + 6 * rows * f + 2 * rows * h + 8 * l->own * l->s->experts;
    if (l->j->recompute == AGAIN_NORM)
        bytes -= 4 * l->own * h + (moe ? 2 * rows * f : 0);
    return l->j->recompute == AGAIN_FULL ? 2 * l->own * h : bytes;
}

static void memory_of(const struct local *l, const struct held *held, struct plan *p)
{
    const struct plan_job *j = l->j;
    const double worst = 1.3; /* load that memory must hold */
    double v = j->pipeline > 1 ? j->stages : 1, deep = j->pipeline;
    if (v > 1)
        deep = j->pipeline * (1 + (j->pipeline - 1) / (j->pipeline * v));
    deep = fmin(deep, p->micros) * p->layers;
    double more = j->capacity > 1 || j->recompute == AGAIN_FULL ? 0 : fmax(0, worst / j->load - 1);
    p->memory[MEMORY_WEIGHTS] = 2 * (held->dense + held->expert);
    p->memory[MEMORY_GRADIENTS] = 4 * (held->dense + held->expert);
    p->memory[MEMORY_OPTIMIZER] = 12 * (held->dense / held->dense_ranks + held->expert / held->expert_ranks);
    p->memory[MEMORY_SAVED] = deep * kept(l, l->rows);
    p->memory[MEMORY_SCRATCH] = j->pipeline == 1 ? 6 * l->all * l->s->vocab / j->tensor : 0;
    p->memory[MEMORY_IMBALANCE] = j->load > 1 ? deep * (kept(l, l->rows * (1 + more)) - kept(l, l->rows)) : 0;
    p->memory[MEMORY_CONTEXT] = l->c->context;
}

/* Products as they are run, padding and recomputation too. */
static double executed(const struct local *l)
{
    const struct plan_job *j = l->j;
    struct layer_parameters x = plan_parameters(l->s);
    double padded = l->s->experts > 1 ? j->capacity : 1, again = j->recompute == AGAIN_FULL ? 4.0 / 3 : 1;
    double attention = 7 * l->q * j->sequence; /* 2 forward, 5 backward, of which the causal half */
    if (j->recompute == AGAIN_FULL)
        attention += 2 * l->q * j->sequence;
    double router = l->s->experts > 1 ? x.router : 0;
    double layer =
        6 * again * (x.attention + l->s->top_k * padded * x.expert + x.shared + router) + attention;
    return l->s->layers * layer + 6 * l->s->hidden * l->s->vocab;
}

struct plan plan_megatron(const struct machine *c, const struct plan_shape *s, const struct plan_job *j)
{
    struct plan p = {.layers = s->layers / j->pipeline, .tokens = j->sequences * j->sequence};
    struct local l = local_of(c, s, j);
    struct held held = held_of(s, j);
    p.micros = j->sequences / (floor(j->ranks / (j->tensor * j->context * j->pipeline)) * j->micro);
    whole_layer(&l, p.layer);
    whole_step(&l, &held, &p);
    memory_of(&l, &held, &p);
    p.megatron = p.tokens * plan_flops_megatron(s, j->sequence);
    p.six_n = p.tokens * plan_flops_6n(s);
    p.executed = p.tokens * executed(&l);
    return p;
}
