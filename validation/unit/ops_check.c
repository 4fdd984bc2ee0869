/* See ops.h. */
#include "base/mem.h"
#include "base/rng.h"
#include "base/status.h"
#include "ops.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAD = 3, SMALL = 600 };
static const float GAP = 12345;

/* ---- matrices ---- */

static uint64_t streams; /* random streams used so far */

static double uniform(uint64_t stream, int64_t i)
{
    return 2 * rng_uniform(7, stream, (uint64_t)i) - 1;
}

void *owned[64]; /* memory of the case that runs */
static int owned_n;

void *own(int64_t words)
{
    if (owned_n == sizeof owned / sizeof *owned)
        bug("a case needs more matrices than the rig holds");
    owned[owned_n] = mem_new(words, 4);
    return owned[owned_n++];
}

void release(void)
{
    while (owned_n > 0)
        free(owned[--owned_n]);
}

view matrix(dtype type, int64_t rows, int64_t columns)
{
    view v = {own(rows * (columns + PAD)), type, {1, rows, columns}, columns + PAD};
    for (int64_t i = 0; i < rows * v.ld; i++)
        ((float *)v.data)[i] = GAP;
    return v;
}

float *at(view v, int64_t r, int64_t c)
{
    return (float *)v.data + r * v.ld + c;
}

int32_t *int_at(view v, int64_t r, int64_t c)
{
    return (int32_t *)v.data + r * v.ld + c;
}

view vector(dtype type, int64_t n)
{
    return view_of(own(n), type, 1, 1, n);
}

void fill(view v, double scale)
{
    streams++;
    for (int64_t i = 0; i < v.n[1] * v.n[2]; i++)
        *at(v, i / v.n[2], i % v.n[2]) = (float)(scale * uniform(streams, i));
}

void fill_ints(view v, int64_t from, int64_t n)
{
    streams++;
    for (int64_t i = 0; i < v.n[1] * v.n[2]; i++)
        *int_at(v, i / v.n[2], i % v.n[2]) =
            (int32_t)(from + (int64_t)(rng_uniform(7, streams, (uint64_t)i) * (double)n));
}

bool gaps_intact(view v)
{
    for (int64_t r = 0; r < v.n[1]; r++)
        for (int64_t c = v.n[2]; c < v.ld; c++)
            if (*at(v, r, c) != GAP)
                return false;
    return true;
}

int64_t elements(view v)
{
    return v.n[1] * v.n[2];
}

void copy_rows(view dst, view src)
{
    for (int64_t r = 0; r < dst.n[1]; r++)
        memcpy(at(dst, r, 0), at(src, r, 0), (size_t)dst.n[2] * sizeof(float));
}

/* ---- checking one case ---- */

static double *to_double(view v)
{
    double *out = own(2 * v.n[1] * v.n[2]);
    for (int64_t i = 0; i < v.n[1] * v.n[2]; i++)
        out[i] = (double)*at(v, i / v.n[2], i % v.n[2]);
    return out;
}

static double largest(const double *x, int64_t n)
{
    double max = 0;
    for (int64_t i = 0; i < n; i++)
        max = fmax(max, fabs(x[i]));
    return max;
}

/* A value is a sum of `terms` rounded products with about eight roundings around it. */
static double tolerance(const struct op *op, const int64_t *n, double magnitude)
{
    return EPS * (8 + sqrt((double)op->terms(n))) * magnitude;
}

static double worse(double a, double b)
{
    return isnan(b) ? (double)INFINITY : fmax(a, b);
}

/* Worst error of forward, in units of the tolerance; NaN counts as infinite. */
static double forward_error(const struct op *op, const struct run *r, double *const *in, double *const *out)
{
    double worst = 0, input = 1e-30;
    for (int i = 0; i < op->ins; i++)
        input = fmax(input, largest(in[i], elements(r->in[i])));
    for (int o = 0; o < op->outs; o++) {
        int64_t n = elements(r->out[o]);
        double *got = to_double(r->out[o]), unit = tolerance(op, r->n, fmax(input, largest(out[o], n)));
        for (int64_t i = 0; i < n; i++)
            worst = worse(worst, fabs(got[i] - out[o][i]) / unit);
    }
    return worst;
}

/* L = sum of d_out * out, in double. */
static double loss(const struct op *op, const struct run *r, double *const *in, double *const *out)
{
    double sum = 0;
    op->ref(r, in, out);
    for (int o = 0; o < op->seeds; o++)
        for (int64_t i = 0; i < elements(r->out[o]); i++)
            sum += out[o][i] * (double)*at(r->d_out[o], i / r->out[o].n[2], i % r->out[o].n[2]);
    return sum;
}

/* Central difference of L along d, less d . g. */
static double slope_error(const struct op *op, const struct run *r, double *const *in, double *const *out,
                          int i, const double *d, const double *g)
{
    int64_t n = elements(r->in[i]);
    double step = 1e-5, expected = 0, side[2], *x = in[i], *moved = mem_new(n, sizeof *moved);
    double *shifted[MAX];
    memcpy(shifted, in, sizeof shifted);
    shifted[i] = moved;
    for (int s = 0; s < 2; s++) {
        for (int64_t j = 0; j < n; j++)
            moved[j] = x[j] + (s ? step : -step) * d[j];
        side[s] = loss(op, r, shifted, out);
    }
    for (int64_t j = 0; j < n; j++)
        expected += d[j] * g[j];
    free(moved);
    return fabs((side[1] - side[0]) / (2 * step) - expected);
}

/* Worst error of one input's gradient g in units of the tolerance. */
static double gradient_error(const struct op *op, const struct run *r, double *const *in, double *const *out,
                             int i, const double *g)
{
    int64_t n = elements(r->in[i]), directions = n <= SMALL ? n : 3;
    double worst = 0, unit = tolerance(op, r->n, fmax(1, largest(g, n))), *d = mem_new(n, sizeof *d);
    for (int64_t k = 0; k < directions; k++) {
        streams++;
        for (int64_t j = 0; j < n; j++)
            d[j] = n <= SMALL ? j == k : (uniform(streams, j) < 0 ? -1 : 1) / sqrt((double)n);
        worst = worse(worst, slope_error(op, r, in, out, i, d, g) / unit);
    }
    free(d);
    return worst;
}

void make(const struct op *op, struct run *r)
{
    int64_t in[MAX][2], out[MAX][2];
    op->shapes(r->n, in, out);
    for (int i = 0; i < op->ins; i++) {
        r->in[i] = matrix(F32, in[i][0], in[i][1]);
        r->d_in[i] = matrix(F32, in[i][0], in[i][1]);
        fill(r->in[i], i == 0 ? 3 : 1);
    }
    for (int o = 0; o < op->outs; o++) {
        r->out[o] = matrix(F32, out[o][0], out[o][1]);
        r->d_out[o] = matrix(F32, out[o][0], out[o][1]);
        fill(r->d_out[o], 1);
        for (int64_t i = 0; op->uniform && i < elements(r->d_out[o]); i++)
            *at(r->d_out[o], i / out[o][1], i % out[o][1]) = 0.375f;
    }
    if (op->setup)
        op->setup(r);
}

/* Backward over gradients that hold something (added to) or NaN (overwritten): what it contributed. */
static void backward(const struct op *op, struct run *r, double **g)
{
    double *before[MAX];
    for (int i = 0; i < op->ins; i++) {
        fill(r->d_in[i], r->acc >> i & 1 ? 1 : (double)NAN);
        before[i] = to_double(r->d_in[i]);
    }
    op->bwd(r);
    for (int i = 0; i < op->ins; i++) {
        g[i] = to_double(r->d_in[i]);
        for (int64_t j = 0; r->acc >> i & 1 && j < elements(r->d_in[i]); j++)
            g[i][j] -= before[i][j];
    }
}

static bool gaps_of(const view *v, int n)
{
    bool good = true;
    for (int i = 0; i < n; i++)
        good = good && gaps_intact(v[i]);
    return good;
}

/* Everything once more gives the same bits. */
static bool repeats(const struct op *op, struct run *r, double *const *g)
{
    double *first[MAX], *again[MAX];
    bool good = true;
    for (int o = 0; o < op->outs; o++)
        first[o] = to_double(r->out[o]);
    op->fwd(r);
    for (int o = 0; o < op->outs; o++)
        good = good && !memcmp(first[o], to_double(r->out[o]), (size_t)elements(r->out[o]) * sizeof(double));
    if (op->bwd && !r->acc) {
        backward(op, r, again);
        for (int i = 0; i < op->ins; i++)
            good = good && !memcmp(g[i], again[i], (size_t)elements(r->in[i]) * sizeof(double));
    }
    return good;
}

bool check(const struct op *op, const int64_t *n, unsigned acc, char text[256])
{
    struct run r = {.n = n, .acc = acc};
    double *in[MAX] = {NULL}, *out[MAX] = {NULL}, *scratch[MAX] = {NULL}, *g[MAX] = {NULL}, bwd = 0;
    make(op, &r);
    op->fwd(&r);
    for (int i = 0; i < op->ins; i++)
        in[i] = to_double(r.in[i]);
    for (int o = 0; o < op->outs; o++) {
        out[o] = to_double(r.out[o]);
        scratch[o] = to_double(r.out[o]);
    }
    op->ref(&r, in, out);
    double fwd = forward_error(op, &r, in, out);
    if (op->bwd)
        backward(op, &r, g);
    for (int i = 0; op->bwd && i < op->ins; i++)
        bwd = fmax(bwd, gradient_error(op, &r, in, scratch, i, g[i]));
    bool intact = gaps_of(r.in, op->ins) && gaps_of(r.out, op->outs) && gaps_of(r.d_in, op->ins);
    bool same = repeats(op, &r, g);
    snprintf(text, 256,
             "%s %lld %lld %lld %lld %lld acc %u: errors %.2f forward, %.2f backward of the tolerance%s%s%s",
             op->name, (long long)n[0], (long long)n[1], (long long)n[2], (long long)n[3], (long long)n[4],
             acc, fwd, bwd, intact ? "" : ", wrote between rows", same ? "" : ", bits differ when repeated",
             r.broken ? ", wrong plan" : "");
    release();
    return fwd <= 1 && bwd <= 1 && intact && same && !r.broken;
}
