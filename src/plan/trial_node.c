/* Products and memory of each rank, all ranks at once, as in a step. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>
#include "base/clock.h"
#include "base/host.h"
#include "base/mem.h"
#include "plan/trial.h"

enum { SIDE = 512, WIDE = 1024, REPEATS = 100, SAMPLES = 4, ROUNDS = 4, STREAM = 8 << 20 };
static const double sample_seconds = 0.25; /* longer than a period of a CPU limit, which is 0.1 s */
static const double least_share = 0.9;     /* of the median rank */

struct bench {
    struct trial *t;
    void *memory;
    int64_t bytes, used;
};

static view take(struct bench *b, dtype type, int64_t rows, int64_t columns)
{
    view v = view_of((char *)b->memory + b->used, type, 1, rows, columns);
    b->used += (view_size(v) * dtype_size(type) + 63) / 64 * 64;
    if (b->used > b->bytes)
        bug("trial: %lld bytes of %lld", (long long)b->used, (long long)b->bytes);
    return v;
}

/* Numbers from -1 to 1 that are the same on every rank. */
static view drawn(struct bench *b, int64_t rows, int64_t columns)
{
    view v = take(b, F32, rows, columns);
    float *x = mem_new(view_size(v), sizeof *x);
    uint32_t state = 12345;
    for (int64_t i = 0; i < view_size(v); i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) / 8388608.0f - 1;
    }
    dev_upload(b->t->dev, v, x);
    free(x);
    return v;
}

/* ---- rates ---- */

typedef void work(struct dev *, const view *);

static void product(struct dev *dev, const view *v)
{
    dev_gemm(dev, false, true, v[0], v[1], false, v[2]);
}

static void stream(struct dev *dev, const view *v)
{
    dev_copy(dev, v[0], v[1]);
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The share of a planned slowness that follows some work. */
static void dawdle(const struct trial *t, double seconds)
{
    double end = clock_seconds() + seconds * trial_fault(t, "slow") / 100;
    while (clock_seconds() < end)
        continue;
}

struct rate {
    double calls; /* a second, in the best of some samples */
    double share; /* of a CPU that each thread got in it */
};

static struct rate rate_of(struct bench *b, work *run, const view *v)
{
    struct rate best = {0};
    for (int i = 0; i < SAMPLES; i++) {
        comm_barrier(b->t->comm);
        double begin = clock_seconds(), cpu = cpu_seconds(), calls = 0, seconds;
        do {
            run(b->t->dev, v);
            dev_sync(b->t->dev);
            calls++;
        } while ((seconds = clock_seconds() - begin) < sample_seconds);
        double share = (cpu_seconds() - cpu) / seconds / dev_threads(b->t->dev);
        dawdle(b->t, seconds);
        seconds = clock_seconds() - begin;
        if (calls / seconds > best.calls)
            best = (struct rate){calls / seconds, fmin(share, 1)};
    }
    return best;
}

/* ---- ranks that lag behind ---- */

static int descending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* The median of all ranks; of two in the middle the better. */
static double median(struct comm *comm, double mine)
{
    int n = comm_size(comm);
    double *all = mem_new(n, sizeof *all);
    comm_all_gather(comm, all, &mine, sizeof mine);
    qsort(all, (size_t)n, sizeof *all, descending);
    double middle = all[(n - 1) / 2];
    free(all);
    return middle;
}

static bool is_outlier(struct trial *t, struct rate mine, double *share)
{
    *share = mine.calls / median(t->comm, mine.calls);
    return *share < least_share;
}

static bool any(struct comm *comm, bool mine)
{
    int64_t one = mine;
    comm_max_i64(comm, &one, 1);
    return one;
}

/* A rank lags behind if it does in some rounds: other work on the machine may have held it up in one. */
static struct rate rate_in_rounds(struct bench *b, work *run, const view *v)
{
    struct rate best = rate_of(b, run, v);
    double share;
    for (int i = 1; i < ROUNDS && any(b->t->comm, is_outlier(b->t, best, &share)); i++) {
        struct rate again = rate_of(b, run, v);
        best = again.calls > best.calls ? again : best;
    }
    return best;
}

static void check_outliers(struct trial *t, const char *name, struct rate mine)
{
    double share;
    char text[192], host[64], check[64];
    bool lags = is_outlier(t, mine, &share);
    snprintf(check, sizeof check, "outliers.%s", name);
    snprintf(text, sizeof text, "%s: %.0f %% of the median rank; its threads got %.0f %% of their cores: %s",
             host_name(host), 100 * share, 100 * mine.share,
             mine.share < 0.95 ? "other work there, or a CPU limit?" : "a slow clock, or slow memory?");
    trial_check(t, check, !lags, text, "no rank is 10 % slower than the median rank");
}

/* amount: of FLOPs or bytes in a call */
static void measure(struct bench *b, const char *name, work *run, const view *v, double amount,
                    const char *unit)
{
    struct rate rate = rate_in_rounds(b, run, v);
    trial_figure(b->t, name, amount * rate.calls, unit, HIGHER);
    check_outliers(b->t, name, rate);
}

static void rates(struct bench *b)
{
    int64_t before = b->used;
    view a = drawn(b, WIDE, WIDE), w = drawn(b, WIDE, WIDE), fp32[] = {a, w, take(b, F32, WIDE, WIDE)};
    measure(b, "gemm_fp32", product, fp32, 2.0 * WIDE * WIDE * WIDE, "FLOP/s");
    view bf16[] = {take(b, BF16, WIDE, WIDE), take(b, BF16, WIDE, WIDE), take(b, BF16, WIDE, WIDE)};
    dev_copy(b->t->dev, bf16[0], a);
    dev_copy(b->t->dev, bf16[1], w);
    measure(b, "gemm_bf16", product, bf16, 2.0 * WIDE * WIDE * WIDE, "FLOP/s");
    b->used = before;
    view large[] = {take(b, F32, 1, STREAM), take(b, F32, 1, STREAM)};
    dev_fill(b->t->dev, large[1], 1);
    measure(b, "memory", stream, large, 2.0 * STREAM * sizeof(float), "B/s");
    b->used = before;
}

/* ---- equal bits ---- */

static uint64_t bits(struct dev *dev, view v, float *host, bool spoilt)
{
    dev_download(dev, host, v);
    if (spoilt)
        ((unsigned char *)host)[0] ^= 1;
    return XXH3_64bits(host, (size_t)(view_size(v) * dtype_size(v.type)));
}

/* Do all processors alike give rank 0's bits? Others may use other instructions. */
static bool same_as_first(struct trial *t, uint64_t mine)
{
    struct {
        uint64_t bits, kind;
    } own = {mine, XXH3_64bits(dev_about(t->dev), strlen(dev_about(t->dev)))}, first = own;
    comm_bcast(t->comm, &first, sizeof first, 0);
    return own.kind != first.kind || own.bits == first.bits;
}

static void check_repeat(struct bench *b)
{
    int64_t before = b->used;
    view v[] = {drawn(b, SIDE, SIDE), drawn(b, SIDE, SIDE), take(b, F32, SIDE, SIDE)};
    float *host = mem_new(view_size(v[2]), sizeof *host);
    bool drifts = trial_fault(b->t, "drift") > 0;
    int other = 0;
    uint64_t first = 0;
    char text[192], name[64];
    for (int i = 0; i < REPEATS; i++) {
        product(b->t->dev, v);
        uint64_t now = bits(b->t->dev, v[2], host, drifts && i == REPEATS / 2);
        first = i == 0 ? now : first;
        other += now != first;
    }
    free(host);
    bool same = same_as_first(b->t, first);
    snprintf(text, sizeof text, "%s: %d of %d equal products gave other bits%s", host_name(name), other,
             REPEATS, same ? "" : ", and the first other bits than on rank 0");
    trial_check(b->t, "repeat", other == 0 && same, text,
                "a hundred equal products gave equal bits on all ranks");
    b->used = before;
}

status trial_node(struct trial *t)
{
    struct bench b = {.t = t, .bytes = 2L * STREAM * (int64_t)sizeof(float) + (1 << 16)};
    TRY(comm_agree(t->comm, dev_alloc(t->dev, "trials", &b.memory, b.bytes, FRESH_ANY)));
    check_repeat(&b);
    rates(&b);
    dev_free(t->dev, b.memory, b.bytes);
    return OK;
}
