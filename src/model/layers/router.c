/* The router of a MoE layer: logits, choice, auxiliary and z loss over the micro-batch (D1, D5, D6). */
#include <math.h>
#include <stdlib.h>
#include "base/mem.h"
#include "model/layers/layers.h"

static struct route route_of(const struct net *net)
{
    const struct moe *m = &net->config->moe;
    return (struct route){m->top_k, m->order == SOFTMAX_TOPK, m->renormalise};
}

/* From the micro-batch's statistics [2X+1]: what every token's softmax and lse receive, and the
 * report. An idle rank's statistics are zero and so is everything here. */
static void losses(struct net *net, struct pass *p, struct saved *s, const float *stats)
{
    const struct moe *m = &net->config->moe;
    double n = p->n > 0 ? (double)p->n : 1, aux = 0;
    float *seed = net->host_stats + 2 * m->experts + 1; /* [X] */
    for (int64_t e = 0; e < m->experts; e++) {
        double f = (double)stats[e] / (n * (double)m->top_k);
        aux += (double)m->experts * f * (double)stats[m->experts + e] / n;
        seed[e] = (float)(m->aux_coeff / (double)net->shape.micros * (double)m->experts * f / n);
    }
    s->z_coeff = (float)(m->z_coeff / (double)net->shape.micros * 2 / n);
    dev_upload(net->dev, s->aux, seed);
    if (net->at.t != 0 || p->n == 0)
        return;
    p->report->aux += aux;
    p->report->z += (double)stats[2 * m->experts] / n;
    if (p->report->load)
        for (int64_t e = 0; e < m->experts; e++)
            p->report->load[p->moe * m->experts + e] += (double)stats[e];
}

/* The gap between the last chosen and the first rejected logit, the smallest over my tokens. */
static void note_margin(struct net *net, struct pass *p, view logits)
{
    int64_t x = net->config->moe.experts, k = net->config->moe.top_k;
    if (!p->report->want_margin || k == x || dev_is_dry(net->dev))
        return;
    float *l = mem_new(mem_mul(p->own, x), sizeof *l);
    dev_download(net->dev, l, logits);
    for (int64_t n = 0; n < p->own; n++) {
        float *row = l + n * x;
        for (int64_t i = 0; i <= k; i++) /* the k+1 largest come first */
            for (int64_t j = i + 1; j < x; j++)
                if (row[j] > row[i]) {
                    float t = row[i];
                    row[i] = row[j];
                    row[j] = t;
                }
        p->report->margin = fmin(p->report->margin, (double)row[k - 1] - (double)row[k]);
    }
    free(l);
}

view router_fwd(struct net *net, struct pass *p, int layer, struct saved *s, view h)
{
    int64_t x = net->config->moe.experts, k = net->config->moe.top_k;
    s->logits = arena_save(&net->arena, F32, 1, p->own, x);
    s->idx = arena_save(&net->arena, I32, 1, p->own, k);
    s->gate = arena_save(&net->arena, F32, 1, p->own, k);
    s->aux = arena_save(&net->arena, F32, 1, 1, x);
    view kept = arena_scratch(&net->arena, I32, 1, p->own, k);
    view stats = arena_scratch(&net->arena, F32, 1, 1, 2 * x + 1);

    dev_router_logits(net->dev, s->logits, h, weight(net, layer, T_ROUTER));
    dev_router_choose(net->dev, route_of(net), s->idx, s->gate, stats, s->logits, view_none());
    group_all_reduce(net->group[G_TP], COMPUTE, stats);
    dev_download(net->dev, net->host_stats, stats);
    losses(net, p, s, net->host_stats);
    note_margin(net, p, s->logits);
    if (p->capacity && net->config->moe.capacity_ppm > 0)
        capacity_keep(net, p, kept, s->idx, s->gate);
    else
        kept = s->idx;
    return kept;
}

void router_bwd(struct net *net, struct pass *p, int layer, struct saved *s, view d_h, view h, view d_gate)
{
    view d_logits = arena_scratch(&net->arena, F32, 1, p->own, net->config->moe.experts);
    dev_router_bwd(net->dev, route_of(net), d_logits, s->logits, s->idx, s->gate, d_gate, s->aux, s->z_coeff);
    dev_gemm(net->dev, true, false, d_logits, h, p->acc, gradient(net, layer, T_ROUTER));
    dev_gemm(net->dev, false, false, d_logits, weight(net, layer, T_ROUTER), true, d_h);
}
