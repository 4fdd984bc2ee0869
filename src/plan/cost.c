#include "plan/cost.h"

#include <math.h>

/* cuBLAS's tiles, and what each reaches of the best one. */
static const struct tile {
    double m, n, share;
} tiles[] = {{128, 256, 1}, {256, 128, 1}, {128, 128, .88}, {64, 256, .85}, {64, 128, .70}};

/* The last wave is half hidden behind the tails of the others. */
static double tiled(const struct machine *c, const struct tile *t, double m, double n, double k,
                    double groups)
{
    double w = groups * ceil(m / t->m) * ceil(n / t->n) / c->sms, whole = ceil(w);
    w = w <= 1 ? whole : w + (whole - w) / 2;
    return w * c->sms * t->m * t->n * 2 * (k + c->k0) / (c->gemm * t->share);
}

double cost_gemm(const struct machine *c, double m, double n, double k, double groups, bool acc)
{
    if (m <= 0 || n <= 0 || k <= 0)
        return 0;
    double best = c->sms > 0 ? (double)INFINITY : groups * 2 * m * n * k / machine_gemm_rate(c, m, n, k);
    for (size_t i = 0; i < sizeof tiles / sizeof *tiles && c->sms > 0; i++)
        best = fmin(best, tiled(c, &tiles[i], m, n, k, groups));
    double bytes = groups * (2 * (m * k + k * n) + m * n * (acc ? 8 : 2));
    return fmax(best, bytes / c->memory);
}

struct cost cost_linear(const struct machine *c, double m, double n, double k, double groups)
{
    return (struct cost){cost_gemm(c, m, n, k, groups, false),
                         cost_gemm(c, m, k, n, groups, false) + cost_gemm(c, n, k, m, groups, true)};
}

double cost_attn_fwd(const struct machine *c, double flops, double sequence)
{
    return flops / (c->attn_fwd / (1 + c->attn_fwd_half / sequence));
}

double cost_attn_bwd(const struct machine *c, double flops, double sequence)
{
    return flops / (c->attn_bwd / (1 + c->attn_bwd_half / sequence));
}

bool cost_in_node(const struct machine *c, double n, double stride)
{
    return n * stride <= c->node;
}

double cost_collective(const struct machine *c, double bytes, double n, double stride)
{
    if (n <= 1)
        return 0;
    bool near = cost_in_node(c, n, stride);
    double shared =
        fmax(1, floor(c->node / stride)); /* ranks of the group in a node share its network cards */
    double rate = near ? c->coll : fmin(c->coll, c->network * shared);
    return bytes * (n - 1) / n / rate + (near ? c->near_latency : c->far_latency) * log2(n);
}

double cost_exchange(const struct machine *c, double bytes, double n, double stride, double share)
{
    if (n <= 1)
        return 0;
    double local = fmax(1, fmin(n, floor(c->node / stride)));
    double off = share * bytes * (n - local) / n, on = bytes * (local - 1) / n;
    return fmax(off / c->network, on / c->a2a) + 2 * (off > 0 ? c->far_latency : c->near_latency);
}

double cost_hide_tax(const struct machine *c)
{
    return c->sms > c->hide_sms ? c->hide_sms / (c->sms - c->hide_sms) : 0;
}
