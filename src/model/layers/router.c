/* The router of a MoE layer: logits, choice, auxiliary and z loss over the micro-batch (D1, D5, D6). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"
#include "base/rng.h"
#include "model/layers/layers.h"

static struct route route_of(const struct net *net)
{
    const struct moe *m = &net->config->moe;
    return (struct route){m->top_k, m->order == SOFTMAX_TOPK, m->renormalise};
}

/* ---- domains of the auxiliary loss: the micro-batch, or each of its sequences ---- */

static int64_t domains(const struct net *net, const struct pass *p)
{
    return p->training && net->config->moe.aux_domain == AUX_SEQUENCE ? p->n / net->shape.sequence : 1;
}

/* My tokens of domain i, counted from my first. */
static struct range domain_rows(const struct net *net, const struct pass *p, int64_t i)
{
    int64_t size = p->n / domains(net, p), first = p->c * net->at.t;
    int64_t lo = i * size - first, end = lo + size;
    lo = lo < 0 ? 0 : lo > p->own ? p->own : lo;
    end = end < lo ? lo : end > p->own ? p->own : end;
    return (struct range){lo, end - lo};
}

/* ---- losses ---- */

/* A of a domain of n tokens from its statistics, and what every token's softmax receives. load [X]: X*f_e
 * of the previous step, NULL: of the domain itself. */
static double aux_loss(const struct moe *m, const float *stats, double n, const float *load, double coeff,
                       float *seed)
{
    double aux = 0;
    for (int64_t e = 0; e < m->experts; e++) {
        double own = (double)m->experts * (double)stats[e] / (n * (double)m->top_k);
        double relative = load ? (double)load[e] : own; /* X*f_e */
        aux += relative * (double)stats[m->experts + e] / n;
        seed[e] = (float)(coeff * relative / n);
    }
    return aux;
}

static const float *previous_load(struct net *net, int layer)
{
    if (net->config->moe.aux_domain != AUX_GLOBAL)
        return NULL;
    float *load = net->host_stats + net->shape.micro * (3 * net->config->moe.experts + 2);
    dev_download(net->dev, load, weight(net, layer, T_ROUTER_LOAD));
    return load;
}

/* Counts, z and max z of a domain into the report. */
static void report_domain(const struct net *net, struct pass *p, const float *stats)
{
    int64_t x = net->config->moe.experts;
    p->report->z += (double)stats[2 * x] / (double)p->n;
    p->report->max_z += (double)stats[2 * x + 1] / (double)p->n;
    for (int64_t e = 0; e < x && p->report->load; e++)
        p->report->load[p->moe * x + e] += (double)stats[e];
}

/* From the statistics of all domains: the seeds of the aux loss, and the report, once per TP group. An
 * idle rank's statistics are zero and so is everything here. */
static void losses(struct net *net, struct pass *p, struct saved *s, int layer, view stats)
{
    const struct moe *m = &net->config->moe;
    int64_t x = m->experts, parts = domains(net, p);
    float *host = net->host_stats, *seed = host + parts * (2 * x + 2); /* [domains, X] */
    double n = p->n > 0 ? (double)p->n / (double)parts : 1;
    double coeff = m->aux_coeff / (double)net->shape.micros / (double)parts;
    const float *load = previous_load(net, layer);
    dev_download(net->dev, host, stats);
    for (int64_t i = 0; i < parts; i++) {
        const float *row = host + i * (2 * x + 2);
        double aux = aux_loss(m, row, n, load, coeff, seed + i * x);
        if (net->at.t != 0 || p->n == 0)
            continue;
        p->report->aux += aux / (double)parts;
        report_domain(net, p, row);
    }
    dev_upload(net->dev, s->aux, seed);
}

/* The gap between the last chosen and the first rejected logit (with the bias that decides), the smallest
 * over my tokens. */
static void note_margin(struct net *net, struct pass *p, int layer, view logits)
{
    int64_t x = net->config->moe.experts, k = net->config->moe.top_k;
    if (!p->report->want_margin || k == x || dev_is_dry(net->dev))
        return;
    float *l = mem_new(mem_mul(p->own, x), sizeof *l), *bias = mem_new(x, sizeof *bias);
    dev_download(net->dev, l, logits);
    if (net->config->moe.bias_rate > 0)
        dev_download(net->dev, bias, weight(net, layer, T_ROUTER_BIAS));
    for (int64_t n = 0; n < p->own; n++) {
        float *row = l + n * x;
        for (int64_t i = 0; i < x; i++)
            row[i] += bias[i];
        for (int64_t i = 0; i <= k; i++) /* the k+1 largest come first */
            for (int64_t j = i + 1; j < x; j++)
                if (row[j] > row[i]) {
                    float t = row[i];
                    row[i] = row[j];
                    row[j] = t;
                }
        p->report->margin = fmin(p->report->margin, (double)row[k - 1] - (double)row[k]);
    }
    free(bias);
    free(l);
}

/* ---- forward and backward ---- */

/* The router's input while it trains: h times 1-eps .. 1+eps, the same for a token on every layout and
 * in backward. A sample's number counts through the run, so no step repeats a factor (D8). */
static void jitter(struct net *net, const struct pass *p, int layer, bool acc, view y, view x)
{
    char purpose[40];
    snprintf(purpose, sizeof purpose, "jitter of layer %d", layer - 1);
    int64_t first = p->batch->sample * net->shape.sequence + p->c * net->at.t;
    dev_jitter(net->dev, acc, y, x, (float)net->config->moe.jitter,
               rng_mix(net->shape.seed) ^ rng_name(purpose), first);
}

static bool jitters(const struct net *net, const struct pass *p)
{
    return p->training && net->config->moe.jitter > 0;
}

/* h itself without jitter. */
static view router_input(struct net *net, const struct pass *p, int layer, view h)
{
    if (!jitters(net, p))
        return h;
    view x = arena_scratch(&net->arena, F32, 1, h.n[1], h.n[2]);
    jitter(net, p, layer, false, x, h);
    return x;
}

static void choose(struct net *net, struct pass *p, int layer, struct saved *s)
{
    int64_t x = net->config->moe.experts, parts = domains(net, p);
    view stats = arena_scratch(&net->arena, F32, 1, parts, 2 * x + 2);
    for (int64_t i = 0; i < parts; i++) {
        struct range r = domain_rows(net, p, i);
        dev_router_choose(net->dev, route_of(net), view_rows(s->idx, r.lo, r.n),
                          view_rows(s->gate, r.lo, r.n), view_rows(stats, i, 1),
                          view_rows(s->logits, r.lo, r.n), weight(net, layer, T_ROUTER_BIAS));
    }
    group_all_reduce(net->group[G_TP], COMPUTE, stats);
    losses(net, p, s, layer, stats);
}

view router_fwd(struct net *net, struct pass *p, int layer, struct saved *s, view h)
{
    int64_t x = net->config->moe.experts, k = net->config->moe.top_k;
    s->logits = arena_save(&net->arena, F32, 1, p->own, x);
    s->idx = arena_save(&net->arena, I32, 1, p->own, k);
    s->gate = arena_save(&net->arena, F32, 1, p->own, k);
    s->aux = arena_save(&net->arena, F32, 1, domains(net, p), x);
    view kept = arena_scratch(&net->arena, I32, 1, p->own, k);

    dev_router_logits(net->dev, s->logits, router_input(net, p, layer, h), weight(net, layer, T_ROUTER));
    choose(net, p, layer, s);
    note_margin(net, p, layer, s->logits);
    if (p->training && net->config->moe.capacity_ppm > 0)
        capacity_keep(net, p, kept, s->idx, s->gate);
    else
        kept = s->idx;
    return kept;
}

static void logits_bwd(struct net *net, struct pass *p, struct saved *s, view d_logits, view d_gate)
{
    const struct moe *m = &net->config->moe;
    double two = p->n > 0 ? 2 / ((double)net->shape.micros * (double)p->n) : 0;
    for (int64_t i = 0; i < s->aux.n[1]; i++) {
        struct range r = domain_rows(net, p, i);
        dev_router_bwd(net->dev, route_of(net), view_rows(d_logits, r.lo, r.n),
                       view_rows(s->logits, r.lo, r.n), view_rows(s->idx, r.lo, r.n),
                       view_rows(s->gate, r.lo, r.n), view_rows(d_gate, r.lo, r.n), view_rows(s->aux, i, 1),
                       (float)(m->z_coeff * two), (float)(m->max_z_coeff * two));
    }
}

void router_bwd(struct net *net, struct pass *p, int layer, struct saved *s, view d_h, view h, view d_gate)
{
    view d_logits = arena_scratch(&net->arena, F32, 1, p->own, net->config->moe.experts);
    view w = weight(net, layer, T_ROUTER), x = router_input(net, p, layer, h);
    logits_bwd(net, p, s, d_logits, d_gate);
    dev_gemm(net->dev, true, false, d_logits, x, p->acc, gradient(net, layer, T_ROUTER));
    if (!jitters(net, p)) {
        dev_gemm(net->dev, false, false, d_logits, w, true, d_h);
        return;
    }
    dev_gemm(net->dev, false, false, d_logits, w, false, x); /* which is scratch */
    jitter(net, p, layer, true, d_h, x);
}
