/* The router of a MoE layer: logits, choice, auxiliary and z loss over the micro-batch (definitions D1, D5,
 * D6).
 */
#include <stdio.h>
#include "base/rng.h"
#include "model/layers/layers.h"

/* Of this rank's tokens [r.lo, r.lo + r.n). */
static struct route route_of(const struct net *net, const struct pass *p, struct range r)
{
    const struct moe *m = &net->config->moe;
    struct route route = {
        .top_k = m->top_k, .softmax_first = m->order == SOFTMAX_TOPK, .renormalise = m->renormalise};
    if (!view_is_none(p->padding))
        route.padding = view_cols(p->padding, r.n > 0 ? p->rows * net->at.t + r.lo : 0, r.n);
    return route;
}

/* ---- domains ---- */

/* The auxiliary loss balances a domain: the micro-batch, or each of its sequences. */

static int64_t domains(const struct net *net, const struct pass *p)
{
    return p->training && net->config->moe.aux_domain == AUX_SEQUENCE ? p->tokens / net->shape.sequence : 1;
}

/* This rank's tokens of domain i, counted from its first token. */
static struct range domain_rows(const struct net *net, const struct pass *p, int64_t i)
{
    int64_t size = p->tokens / domains(net, p), first = p->rows * net->at.t;
    int64_t lo = i * size - first, end = lo + size;
    lo = lo < 0 ? 0 : lo > p->own ? p->own : lo;
    end = end < lo ? lo : end > p->own ? p->own : end;
    return (struct range){lo, end - lo};
}

/* ---- losses ---- */

/* The gradient of the aux loss, s->aux, from counts [domains, X] and stats [domains, X + 2]; and the losses
 * for the report, which one rank of a TP group adds. A rank without tokens has zeros everywhere. */
static void losses(struct net *net, struct pass *p, struct saved *s, int layer, view counts, view stats)
{
    const struct moe *m = &net->config->moe;
    struct router_losses l = {.top_k = m->top_k,
                              .coeff = m->aux_coeff / (double)p->batch->micros,
                              .told = net->at.t == 0 && p->tokens > 0};
    view load = m->aux_domain == AUX_GLOBAL ? weight(net, layer, T_ROUTER_LOAD) : view_none(); /* [X] */
    dev_router_losses(net->dev, l, s->aux, tally(net, TALLY_LOSSES, 3),
                      tally(net, TALLY_LOADS + p->moe * m->experts, m->experts), counts, stats, load);
}

static void note_margin(struct net *net, int layer, view logits)
{
    const struct moe *m = &net->config->moe;
    if (net->margins && m->top_k < m->experts)
        dev_router_margin(net->dev, tally(net, TALLY_MARGIN, 1), m->top_k, logits,
                          weight(net, layer, T_ROUTER_BIAS));
}

/* ---- forward and backward ---- */

/* y (+)= x times random factors from 1 - eps to 1 + eps, both [own, H]. A token has the same factors on every
 * layout, and in backward. Samples are numbered through the whole run, so no step repeats them (D8). */
static void jitter(struct net *net, const struct pass *p, int layer, bool acc, view y, view x)
{
    char purpose[40];
    snprintf(purpose, sizeof purpose, "jitter of layer %d", layer - 1);
    int64_t first = p->batch->sample * net->shape.sequence + p->rows * net->at.t;
    dev_jitter(net->dev, acc, y, x, (float)net->config->moe.jitter,
               rng_mix(net->shape.seed) ^ rng_name(purpose), first);
}

static bool jitters(const struct net *net, const struct pass *p)
{
    return p->training && net->config->moe.jitter > 0;
}

/* The router's input [own, H]: h with jitter while the model trains, else h itself. */
static view router_input(struct net *net, const struct pass *p, int layer, view h)
{
    if (!jitters(net, p))
        return h;
    view x = arena_scratch(&net->arena, F32, 1, h.n[1], h.n[2]); /* [own, H] */
    jitter(net, p, layer, false, x, h);
    return x;
}

/* The choice of experts. While the model trains, also its statistics over the micro-batch, and the losses. */
static void choose(struct net *net, struct pass *p, int layer, struct saved *s)
{
    int64_t x = net->config->moe.experts, parts = domains(net, p);
    view counts = arena_scratch(&net->arena, I32, 1, parts, x);    /* [domains, X] */
    view stats = arena_scratch(&net->arena, F32, 1, parts, x + 2); /* [domains, X + 2] */
    for (int64_t i = 0; i < parts; i++) {
        struct range r = domain_rows(net, p, i);
        dev_router_choose(net->dev, route_of(net, p, r), view_rows(s->idx, r.lo, r.n),
                          view_rows(s->gate, r.lo, r.n), view_rows(counts, i, 1), view_rows(stats, i, 1),
                          view_rows(s->logits, r.lo, r.n), weight(net, layer, T_ROUTER_BIAS));
    }
    if (!p->training)
        return;
    group_all_reduce(net->group[G_MB], COMPUTE, counts);
    group_all_reduce(net->group[G_MB], COMPUTE, stats);
    losses(net, p, s, layer, counts, stats);
}

view router_fwd(struct net *net, struct pass *p, int layer, struct saved *s, view h)
{
    int64_t x = net->config->moe.experts, k = net->config->moe.top_k;
    s->logits = arena_save(&net->arena, F32, 1, p->own, x);
    s->idx = arena_save(&net->arena, I32, 1, p->own, k);
    s->gate = arena_save(&net->arena, F32, 1, p->own, k);
    s->aux = arena_save(&net->arena, F32, 1, domains(net, p), x);
    view kept = arena_scratch(&net->arena, I32, 1, p->own, k); /* [own, k] */

    dev_router_logits(net->dev, s->logits, router_input(net, p, layer, h), weight(net, layer, T_ROUTER));
    choose(net, p, layer, s);
    note_margin(net, layer, s->logits);
    if (p->training && net->config->moe.capacity_ppm > 0)
        capacity_keep(net, p, kept, s->idx, s->gate);
    else
        kept = s->idx;
    return kept;
}

static void logits_bwd(struct net *net, struct pass *p, struct saved *s, view d_logits, view d_gate)
{
    const struct moe *m = &net->config->moe;
    double two = p->real > 0 ? 2 / ((double)p->batch->micros * (double)p->real) : 0;
    for (int64_t i = 0; i < s->aux.n[1]; i++) {
        struct range r = domain_rows(net, p, i);
        dev_router_bwd(net->dev, route_of(net, p, r), view_rows(d_logits, r.lo, r.n),
                       view_rows(s->logits, r.lo, r.n), view_rows(s->idx, r.lo, r.n),
                       view_rows(s->gate, r.lo, r.n), view_rows(d_gate, r.lo, r.n), view_rows(s->aux, i, 1),
                       (float)(m->z_coeff * two), (float)(m->max_z_coeff * two));
    }
}

void router_bwd(struct net *net, struct pass *p, int layer, struct saved *s, view d_h, view h, view d_gate)
{
    view d_logits = arena_scratch(&net->arena, F32, 1, p->own, net->config->moe.experts); /* [own, X] */
    view w = weight(net, layer, T_ROUTER);                                                /* [X, H] */
    view x = router_input(net, p, layer, h);                                              /* [own, H] */
    logits_bwd(net, p, s, d_logits, d_gate);
    dev_gemm(net->dev, true, false, d_logits, x, p->acc, gradient(net, layer, T_ROUTER));
    if (!jitters(net, p)) {
        dev_gemm(net->dev, false, false, d_logits, w, true, d_h);
        return;
    }
    dev_gemm(net->dev, false, false, d_logits, w, false, x); /* x was scratch and is needed no more */
    jitter(net, p, layer, true, d_h, x);
}
