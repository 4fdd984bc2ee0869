/* The head and its loss with the vocabulary on two ranks, composed and by a device's own kernels: loss, d_h
 * and dw against double precision, with a target that is not counted, and accumulation. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "device/ops.h"
#include "tap.h"

enum { T = 9, H = 12, V = 31, RANKS = 2 };
static const float scale = 0.25f;
static const int32_t targets[T] = {0, 30, -1, 15, 16, 7, 30, 1, 29};

static struct dev *dev;
static double h[T][H], w[V][H];
static double nll[T], d_h[T][H], dw[V][H]; /* as they should be */

static void want_token(int t)
{
    double logit[V], sum = 0;
    for (int v = 0; v < V; v++) {
        logit[v] = 0;
        for (int i = 0; i < H; i++)
            logit[v] += h[t][i] * w[v][i];
        sum += exp(logit[v]);
    }
    if (targets[t] < 0)
        return;
    nll[t] = log(sum) - logit[targets[t]];
    for (int v = 0; v < V; v++) {
        double d = (double)scale * (exp(logit[v]) / sum - (v == targets[t]));
        for (int i = 0; i < H; i++) {
            d_h[t][i] += d * w[v][i];
            dw[v][i] += d * h[t][i];
        }
    }
}

static void want_all(void)
{
    for (int t = 0; t < T; t++)
        for (int i = 0; i < H; i++)
            h[t][i] = (double)(float)rng_normal(1, (uint64_t)t, (uint64_t)i);
    for (int v = 0; v < V; v++)
        for (int i = 0; i < H; i++)
            w[v][i] = (double)(float)rng_normal(2, (uint64_t)v, (uint64_t)i);
    for (int t = 0; t < T; t++)
        want_token(t);
}

static view floats(const double *from, int64_t rows, int64_t columns)
{
    float *p = mem_new(rows * columns, sizeof *p);
    for (int64_t i = 0; from && i < rows * columns; i++)
        p[i] = (float)from[i];
    return view_of(p, F32, 1, rows, columns);
}

/* Largest error of `got` + `more`, less `before`, over the largest element that is wanted. */
static double error_of(view got, view more, double before, const double *wanted)
{
    double error = 0, size = 0;
    for (int64_t i = 0; i < view_size(got); i++) {
        double x =
            (double)((float *)got.data)[i] + (more.data ? (double)((float *)more.data)[i] : 0) - before;
        double off = fabs(x - wanted[i]);
        error = off <= error ? error : off; /* NaN counts */
        size = fmax(size, fabs(wanted[i]));
    }
    return error / size;
}

/* Sums of 31 terms at most, each rounded a few times: 1e-6 of the largest leaves a factor of two or more. */
static void check(const char *what, double error)
{
    ok(error < 2e-6, "%s: error %.1e of the largest", what, error);
}

static void test_head(float before)
{
    int64_t first[RANKS + 1] = {0, 16, V};
    view x = floats(&h[0][0], T, H), all_w = floats(&w[0][0], V, H), g = floats(NULL, V, H);
    view target = view_of((void *)(uintptr_t)targets, I32, 1, 1, T);
    view stats = floats(NULL, RANKS * 3, T), lse = floats(NULL, 1, T), loss = floats(NULL, 1, T);
    view logits[RANKS], d_x[RANKS];
    dev_fill(dev, g, before);
    for (int r = 0; r < RANKS; r++) {
        logits[r] = floats(NULL, T, first[r + 1] - first[r]);
        d_x[r] = floats(NULL, T, H);
        dev_head_loss_fwd(dev, logits[r], view_rows(stats, 3 * r, 3), x,
                          view_rows(all_w, first[r], first[r + 1] - first[r]), target, first[r]);
    }
    dev_ce_merge(dev, lse, loss, view_reshape(stats, RANKS, 3, T), target);
    for (int r = 0; r < RANKS; r++) {
        int64_t n = first[r + 1] - first[r];
        dev_head_loss_bwd(dev, d_x[r], before != 0, view_rows(g, first[r], n), logits[r], lse, target,
                          first[r], scale, x, view_rows(all_w, first[r], n));
    }
    check("loss", error_of(loss, view_none(), 0, nll));
    check("d_h, summed over the ranks", error_of(d_x[0], d_x[1], 0, &d_h[0][0]));
    check(before != 0 ? "dw, added" : "dw", error_of(g, view_none(), (double)before, &dw[0][0]));
    view all[] = {x, all_w, g, stats, lse, loss, logits[0], logits[1], d_x[0], d_x[1]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i].data);
}

/* A device with kernels of its own, which call the composed ones. */
static const struct dev_ops *cpu;
static struct dev_ops other;
static int calls[2];

static void own_fwd(struct dev *d, view logits, view stats, view x, view rows, view target, int64_t v0)
{
    calls[0]++;
    d->ops = cpu;
    dev_head_loss_fwd(d, logits, stats, x, rows, target, v0);
    d->ops = &other;
}

static void own_bwd(struct dev *d, view d_x, bool acc, view g, view logits, view lse, view target, int64_t v0,
                    float factor, view x, view rows)
{
    calls[1]++;
    d->ops = cpu;
    dev_head_loss_bwd(d, d_x, acc, g, logits, lse, target, v0, factor, x, rows);
    d->ops = &other;
}

int main(void)
{
    struct dev_options options = {.threads = 2, .check = CHECK_VALUES};
    if (dev_open(&dev, "cpu", 0, &options) != OK)
        return 99;
    want_all();
    test_head(0);
    test_head(2);
    other = *(cpu = dev->ops);
    other.head_loss_fwd = own_fwd;
    other.head_loss_bwd = own_bwd;
    dev->ops = &other;
    test_head(0);
    ok(calls[0] == RANKS && calls[1] == RANKS, "a device's own kernels are called: %d forward, %d backward",
       calls[0], calls[1]);
    dev->ops = cpu;
    dev_close(dev);
    return tap_done();
}
