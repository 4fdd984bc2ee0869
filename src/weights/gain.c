#include "weights/gain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void gains_open(struct gains *g, const struct comm *comm, const struct config *target,
                const struct config *source, const struct upcycle *up, int64_t tokens, int64_t sequence)
{
    *g = (struct gains){.target = *target, .tokens = tokens, .sequence = sequence};
    g->rank = comm_rank(comm);
    g->ranks = comm_size(comm);
    g->share = tokens / g->ranks + 1;
    g->scale_gate_up = up->scale_gate_up;
    g->scale_down = up->scale_down;
    g->layer = mem_new(target->layers, sizeof *g->layer);
    for (int l = 0; l < target->layers && config_same_trunk(target, source); l++)
        if (config_experts(target, l) > 0)
            g->layer[g->n++] = l + 1;
    g->derived = g->n > 0 && target->norm_eps == source->norm_eps && upcycle_is_copy(target, source, up);
    int64_t size = mem_mul(mem_mul(g->n, g->share), target->hidden);
    g->x = mem_new(size, sizeof *g->x);
    g->dense = mem_new(size, sizeof *g->dense);
    g->scaled = g->derived && g->scale_gate_up != 1 ? mem_new(size, sizeof *g->scaled) : g->dense;
    for (int i = 0; i < FIGURES; i++)
        g->figure[i] = mem_new(g->n, sizeof *g->figure[i]);
}

void gains_close(struct gains *g)
{
    if (g->scaled != g->dense)
        free(g->scaled);
    free(g->dense);
    free(g->x);
    free(g->layer);
    for (int i = 0; i < FIGURES; i++)
        free(g->figure[i]);
    *g = (struct gains){0};
}

/* ---- rows of tokens: token n belongs to rank n % ranks ---- */

/* The rows [share, H] of the i-th MoE layer. */
static float *rows_of(const struct gains *g, float *all, int i)
{
    return all + i * g->share * g->target.hidden;
}

/* Copy this rank's tokens from a window of rows [sequence, H]. */
static void keep_mine(const struct gains *g, int64_t first, const float *window, float *mine)
{
    int64_t h = g->target.hidden;
    for (int64_t n = first; n < first + g->sequence; n++)
        if (n % g->ranks == g->rank)
            memcpy(mine + n / g->ranks * h, window + (n - first) * h, (size_t)h * sizeof *mine);
}

void gains_keep(struct gains *g, int64_t first, int layer, const float *x)
{
    for (int i = 0; i < g->n; i++)
        if (g->layer[i] == layer)
            keep_mine(g, first, x, rows_of(g, g->x, i));
}

/* mine [share, H] = the output of the i-th layer's feed-forward for the inputs that were kept. COLLECTIVE. */
static void run_layer(const struct gains *g, struct net *net, struct comm *comm, int i, float *mine)
{
    int64_t h = g->target.hidden, rows = g->share * h;
    float *all = mem_new(mem_mul(g->ranks, rows), sizeof *all);
    float *x = mem_new(mem_mul(g->sequence, h), sizeof *x), *y = mem_new(mem_mul(g->sequence, h), sizeof *y);
    comm_all_gather(comm, all, rows_of(g, g->x, i), rows * (int64_t)sizeof *all);
    for (int64_t first = 0; first < g->tokens; first += g->sequence) {
        for (int64_t n = first; n < first + g->sequence; n++)
            memcpy(x + (n - first) * h, all + n % g->ranks * rows + n / g->ranks * h, (size_t)h * sizeof *x);
        net_ffn(net, g->layer[i], g->sequence, x, y);
        keep_mine(g, first, y, mine);
    }
    free(all);
    free(x);
    free(y);
}

/* ---- the source ---- */

/* A copy on the host of a whole tensor of a layer. Caller frees. */
static float *tensor_of(const struct store *s, int layer, enum slot slot)
{
    view v = store_view(s, s->model->layer[layer].tensor[slot], WEIGHT); /* [n0, n1, n2] */
    float *host = mem_new(view_size(v), sizeof *host);
    dev_download(s->dev, host, v);
    return host;
}

/* Scale the norm before a layer's FFN, so that the FFN is given `scale` times its input from now on. */
static void scale_norm(const struct store *s, int layer, double scale)
{
    view v = store_view(s, s->model->layer[layer].tensor[T_FFN_NORM], WEIGHT); /* [H] */
    float *norm = tensor_of(s, layer, T_FFN_NORM);
    for (int64_t i = 0; i < view_size(v); i++)
        norm[i] = (float)(scale * (double)norm[i]);
    dev_upload(s->dev, v, norm);
    free(norm);
}

void gains_source(struct gains *g, struct net *net, const struct store *store, struct comm *comm)
{
    for (int i = 0; i < g->n; i++) {
        run_layer(g, net, comm, i, rows_of(g, g->dense, i));
        if (g->scaled == g->dense)
            continue;
        scale_norm(store, g->layer[i], g->scale_gate_up);
        run_layer(g, net, comm, i, rows_of(g, g->scaled, i));
    }
}

/* ---- what theory expects ---- */

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* The sum of the k largest values of softmax(logit [X]). It sorts logit. */
static double mass_of_largest(double *logit, int64_t x, int64_t k)
{
    double chosen = 0, all = 0;
    qsort(logit, (size_t)x, sizeof *logit, descending);
    for (int64_t e = 0; e < x; e++) {
        double p = exp(logit[e] - logit[0]);
        all += p;
        chosen += e < k ? p : 0;
    }
    return chosen / all;
}

/* w(h) of one token, from its residual stream x [H], norm [H] and router [X, H]. */
static double chosen_weight(const struct config *c, const float *x, const float *norm, const float *router)
{
    double square = 0, *logit;
    if (upcycle_weights_sum_to_one(&c->moe))
        return 1;
    for (int64_t i = 0; i < c->hidden; i++)
        square += (double)x[i] * (double)x[i];
    double factor = 1 / sqrt(square / (double)c->hidden + c->norm_eps);
    logit = mem_new(c->moe.experts, sizeof *logit);
    for (int64_t e = 0; e < c->moe.experts; e++)
        for (int64_t i = 0; i < c->hidden; i++)
            logit[e] += factor * (double)x[i] * (double)norm[i] * (double)router[e * c->hidden + i];
    double w = mass_of_largest(logit, c->moe.experts, c->moe.top_k);
    free(logit);
    return w;
}

bool gains_bounds(const struct gains *g, double *lo, double *hi)
{
    const struct moe *m = &g->target.moe;
    double least = upcycle_weights_sum_to_one(m) ? 1 : (double)m->top_k / (double)m->experts;
    *hi = g->scale_down / (double)m->granularity;
    *lo = *hi * least;
    return g->derived && g->scale_gate_up == 1;
}

/* ---- the target ---- */

/* Sums over the tokens of a layer, for y the target's output, d the source's, e the expected one: YD is the
 * sum of y*d, Y_D that of (y - d)^2. */
enum sum { YD, DD, ED, EE, Y_D, Y_E, SUMS };

static void add_row(double sum[SUMS], int64_t h, const float *y, const float *d, const float *scaled,
                    double w)
{
    for (int64_t i = 0; i < h; i++) {
        double yi = (double)y[i], di = (double)d[i], e = w * (double)scaled[i];
        sum[YD] += yi * di;
        sum[DD] += di * di;
        sum[ED] += e * di;
        sum[EE] += e * e;
        sum[Y_D] += (yi - di) * (yi - di);
        sum[Y_E] += (yi - e) * (yi - e);
    }
}

static void sum_layer(const struct gains *g, const struct store *store, int i, const float *y,
                      double sum[SUMS])
{
    int64_t h = g->target.hidden;
    float *norm = tensor_of(store, g->layer[i], T_FFN_NORM),
          *router = tensor_of(store, g->layer[i], T_ROUTER);
    for (int64_t n = g->rank; n < g->tokens; n += g->ranks) {
        int64_t at = n / g->ranks * h;
        double w = chosen_weight(&g->target, rows_of(g, g->x, i) + at, norm, router);
        add_row(sum, h, y + at, rows_of(g, g->dense, i) + at, rows_of(g, g->scaled, i) + at,
                g->scale_down * w / (double)g->target.moe.granularity);
    }
    free(norm);
    free(router);
}

/* sqrt(a / b) of two squared norms; 0 where a is 0, even if b is 0. */
static double relative(double a, double b)
{
    return a == 0 ? 0 : sqrt(a / b);
}

static void set_figures(struct gains *g, int i, const double sum[SUMS])
{
    g->figure[GAIN][i] = sum[YD] / sum[DD];
    g->figure[EXPECTED][i] = sum[ED] / sum[DD];
    g->figure[ERROR][i] = relative(sum[Y_D], sum[DD]);
    g->figure[DEVIATION][i] = relative(sum[Y_E], sum[EE]);
}

void gains_target(struct gains *g, struct net *net, const struct store *store, struct comm *comm)
{
    float *y = mem_new(mem_mul(g->share, g->target.hidden), sizeof *y);
    for (int i = 0; i < g->n; i++) {
        double sum[SUMS] = {0};
        run_layer(g, net, comm, i, y);
        sum_layer(g, store, i, y, sum);
        comm_sum_f64(comm, sum, SUMS);
        set_figures(g, i, sum);
    }
    free(y);
}

struct spread gains_spread(const struct gains *g, enum figure figure)
{
    const double *x = g->figure[figure];
    struct spread s = {(double)INFINITY, 0, -(double)INFINITY};
    for (int i = 0; i < g->n; i++) {
        s.min = fmin(s.min, x[i]);
        s.max = fmax(s.max, x[i]);
        s.mean += x[i] / g->n;
    }
    return g->n > 0 && isfinite(s.mean) ? s : (struct spread){(double)NAN, (double)NAN, (double)NAN};
}
