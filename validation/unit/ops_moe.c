/* Ops of mixture-of-experts layers: references in double and how t_ops calls them. */
#include "base/rng.h"
#include "ops.h"
#include <math.h>
#include <string.h>

/* Router logits: n = T, X, H */
static void logits_shapes(const int64_t *n, int64_t (*in)[2], int64_t (*out)[2])
{
    memcpy(in, (int64_t[2][2]){{n[0], n[2]}, {n[1], n[2]}}, 4 * sizeof(int64_t));
    memcpy(out, n, 2 * sizeof *n);
}

static void logits_ref(const struct run *r, double *const *in, double *const *out)
{
    int64_t h = r->n[2];
    for (int64_t i = 0; i < r->n[0] * r->n[1]; i++) {
        out[0][i] = 0;
        for (int64_t j = 0; j < h; j++)
            out[0][i] += in[0][i / r->n[1] * h + j] * in[1][i % r->n[1] * h + j];
    }
}

static void logits_fwd(struct run *r)
{
    dev_router_logits(dev, r->out[0], r->in[0], r->in[1]);
}

static int64_t logits_terms(const int64_t *n)
{
    return n[2];
}

const struct op op_router_logits = {
    .name = "router logits",
    .ins = 2,
    .outs = 1,
    .seeds = 1,
    .accs = 0,
    .shapes = logits_shapes,
    .ref = logits_ref,
    .fwd = logits_fwd,
    .terms = logits_terms,
};

/* Router: n = T, X, k, softmax_first, renormalise, is each third token padding?; outputs gate, sum of
 * softmax, half the sum of lse^2, half that of the largest logit squared, whose gradients are d_gate, aux and
 * the z coefficients. */
static void router_shapes(const int64_t *n, int64_t (*in)[2], int64_t (*out)[2])
{
    memcpy(in, n, 2 * sizeof *n);
    memcpy(out, (int64_t[4][2]){{n[0], n[2]}, {1, n[1]}, {1, 1}, {1, 1}}, 8 * sizeof(int64_t));
}

static void router_setup(struct run *r)
{
    r->route = (struct route){.top_k = r->n[2], .softmax_first = r->n[3], .renormalise = r->n[4]};
    r->ids = matrix(I32, r->n[0], r->n[2]);
    r->saved = vector(F32, r->n[1] + 2);
    if (r->n[5] > 0) {
        r->route.padding = r->slot = vector(I32, r->n[0]);
        for (int64_t t = 0; t < r->n[0]; t++)
            *int_at(r->slot, 0, t) = t % 3 == 1 ? -1 : (int32_t)t;
    }
}

static void router_ref(const struct run *r, double *const *in, double *const *out)
{
    int64_t x = r->n[1], k = r->n[2];
    memset(out[1], 0, (size_t)x * sizeof *out[1]);
    out[2][0] = out[3][0] = 0;
    for (int64_t t = 0; t < r->n[0]; t++) {
        const double *l = in[0] + t * x;
        double all = 0, chosen = 0, most = l[0], *gate = out[0] + t * k;
        if (r->n[5] > 0 && t % 3 == 1) {
            memset(gate, 0, (size_t)k * sizeof *gate);
            continue;
        }
        for (int64_t e = 0; e < x; e++)
            all += exp(l[e]), most = fmax(most, l[e]);
        for (int64_t e = 0; e < x; e++)
            out[1][e] += exp(l[e]) / all;
        for (int64_t j = 0; j < k; j++)
            chosen += exp(l[*int_at(r->ids, t, j)]);
        for (int64_t j = 0; j < k; j++)
            gate[j] = exp(l[*int_at(r->ids, t, j)]) /
                      (r->route.softmax_first && !r->route.renormalise ? all : chosen);
        out[2][0] += log(all) * log(all) / 2;
        out[3][0] += most * most / 2;
    }
}

static void router_fwd(struct run *r)
{
    int64_t x = r->n[1];
    view counts = view_of(own(x), I32, 1, 1, x);
    dev_router_choose(dev, r->route, r->ids, r->out[0], counts, r->saved, r->in[0], view_none());
    memcpy(r->out[1].data, r->saved.data, (size_t)x * sizeof(float));
    *at(r->out[2], 0, 0) = *at(r->saved, 0, x) / 2;
    *at(r->out[3], 0, 0) = *at(r->saved, 0, x + 1) / 2;
}

static void router_bwd(struct run *r)
{
    dev_router_bwd(dev, r->route, r->d_in[0], r->in[0], r->ids, r->out[0], r->d_out[0], r->d_out[1],
                   *at(r->d_out[2], 0, 0), *at(r->d_out[3], 0, 0));
}

static int64_t router_terms(const int64_t *n)
{
    return n[1];
}

const struct op op_router = {
    .name = "router",
    .ins = 1,
    .outs = 4,
    .seeds = 4,
    .accs = 0,
    .shapes = router_shapes,
    .setup = router_setup,
    .ref = router_ref,
    .fwd = router_fwd,
    .bwd = router_bwd,
    .terms = router_terms,
};

/* Jitter: n = T, H */
static const double JITTER = 0.25;
enum { JITTER_KEY = 7, JITTER_ROW = 1000 };

static void pair_shapes(const int64_t *n, int64_t (*in)[2], int64_t (*out)[2])
{
    memcpy(in, n, 2 * sizeof *n);
    memcpy(out, n, 2 * sizeof *n);
}

static void jitter_ref(const struct run *r, double *const *in, double *const *out)
{
    int64_t h = r->n[1];
    for (int64_t i = 0; i < r->n[0] * h; i++) {
        uint32_t word[4];
        rng_block(JITTER_KEY, (uint64_t)(JITTER_ROW + i / h), (uint64_t)(i % h / 4), word);
        out[0][i] = in[0][i] * (1 + JITTER * (double)(int32_t)word[i % h % 4] / 2147483648.0);
    }
}

static void jitter_fwd(struct run *r)
{
    dev_jitter(dev, false, r->out[0], r->in[0], (float)JITTER, JITTER_KEY, JITTER_ROW);
}

static void jitter_bwd(struct run *r)
{
    dev_jitter(dev, r->acc & 1, r->d_in[0], r->d_out[0], (float)JITTER, JITTER_KEY, JITTER_ROW);
}

static int64_t one_term(const int64_t *n)
{
    (void)n;
    return 1;
}

const struct op op_jitter = {
    .name = "jitter",
    .ins = 1,
    .outs = 1,
    .seeds = 1,
    .accs = 1,
    .shapes = pair_shapes,
    .ref = jitter_ref,
    .fwd = jitter_fwd,
    .bwd = jitter_bwd,
    .terms = one_term,
};

/* Sigmoid: n = T, H */
static void sigmoid_ref(const struct run *r, double *const *in, double *const *out)
{
    for (int64_t i = 0; i < r->n[0] * r->n[1]; i++)
        out[0][i] = 1 / (1 + exp(-in[0][i]));
}

static void sigmoid_fwd(struct run *r)
{
    dev_sigmoid_fwd(dev, r->out[0], r->in[0]);
}

static void sigmoid_bwd(struct run *r)
{
    dev_sigmoid_bwd(dev, r->d_in[0], r->d_out[0], r->out[0]);
}

const struct op op_sigmoid = {
    .name = "sigmoid",
    .ins = 1,
    .outs = 1,
    .seeds = 1,
    .accs = 0,
    .shapes = pair_shapes,
    .ref = sigmoid_ref,
    .fwd = sigmoid_fwd,
    .bwd = sigmoid_bwd,
    .terms = one_term,
};

/* Gather: n = T, k, H, X; x [T, H] -> rows by expert. Its backward is combine. */
static void gather_shapes(const int64_t *n, int64_t (*in)[2], int64_t (*out)[2])
{
    memcpy(in, (int64_t[2]){n[0], n[2]}, 2 * sizeof(int64_t));
    memcpy(out, (int64_t[2]){n[0] * n[1], n[2]}, 2 * sizeof(int64_t));
}

/* Assignments in the order of (expert, n, j), read off the definition. */
static bool plan_holds(const struct run *r)
{
    int64_t t = r->n[0], k = r->n[1], next = 0;
    bool good = true;
    for (int64_t e = 0; e < r->n[3]; e++) {
        int64_t from = next;
        for (int64_t i = 0; i < t * k; i++)
            if (*int_at(r->ids, i / k, i % k) == e) {
                good = good && *int_at(r->pick, 0, next) == i && *int_at(r->slot, i / k, i % k) == next;
                next++;
            }
        good = good && *int_at(r->counts, 0, e) == next - from;
    }
    for (int64_t i = 0; i < t * k; i++)
        good = good && (*int_at(r->ids, i / k, i % k) >= 0 || *int_at(r->slot, i / k, i % k) == -1);
    for (; next < t * k; next++)
        good = good && *int_at(r->pick, 0, next) == -1;
    return good;
}

static void rows_setup(struct run *r)
{
    r->ids = matrix(I32, r->n[0], r->n[1]);
    r->slot = matrix(I32, r->n[0], r->n[1]);
    r->pick = vector(I32, r->n[0] * r->n[1]);
    r->counts = vector(I32, r->n[3]);
    fill_ints(r->ids, -1, r->n[3] + 1);
    dev_route_plan(dev, r->counts, r->slot, r->pick, r->ids, 0);
    r->broken = !plan_holds(r) || !gaps_intact(r->slot);
}

static void gather_ref(const struct run *r, double *const *in, double *const *out)
{
    int64_t h = r->n[2];
    for (int64_t i = 0; i < r->n[0] * r->n[1] * h; i++) {
        int64_t from = *int_at(r->pick, 0, i / h);
        out[0][i] = from < 0 ? 0 : in[0][from / r->n[1] * h + i % h];
    }
}

static void gather_fwd(struct run *r)
{
    dev_gather_rows(dev, r->out[0], r->in[0], r->pick, r->n[1]);
}

static void gather_bwd(struct run *r)
{
    dev_combine(dev, r->d_in[0], r->d_out[0], r->slot, r->acc & 1);
}

static int64_t rows_terms(const int64_t *n)
{
    return n[1];
}

const struct op op_gather = {
    .name = "gather",
    .ins = 1,
    .outs = 1,
    .seeds = 1,
    .accs = 1,
    .shapes = gather_shapes,
    .setup = rows_setup,
    .ref = gather_ref,
    .fwd = gather_fwd,
    .bwd = gather_bwd,
    .terms = rows_terms,
};

/* Combine: the transpose of gather, sizes alike. */
static void combine_shapes(const int64_t *n, int64_t (*in)[2], int64_t (*out)[2])
{
    gather_shapes(n, out, in);
}

static void combine_ref(const struct run *r, double *const *in, double *const *out)
{
    int64_t h = r->n[2];
    for (int64_t i = 0; i < r->n[0] * h; i++) {
        out[0][i] = 0;
        for (int64_t j = 0; j < r->n[1]; j++) {
            int64_t from = *int_at(r->slot, i / h, j);
            out[0][i] += from < 0 ? 0 : in[0][from * h + i % h];
        }
    }
}

static void combine_fwd(struct run *r)
{
    dev_combine(dev, r->out[0], r->in[0], r->slot, false);
}

static void combine_bwd(struct run *r)
{
    dev_gather_rows(dev, r->d_in[0], r->d_out[0], r->pick, r->n[1]);
}

const struct op op_combine = {
    .name = "combine",
    .ins = 1,
    .outs = 1,
    .seeds = 1,
    .accs = 0,
    .shapes = combine_shapes,
    .setup = rows_setup,
    .ref = combine_ref,
    .fwd = combine_fwd,
    .bwd = combine_bwd,
    .terms = rows_terms,
};
