/* Messages in the groups of a layout: do the right data arrive, and how fast? Every rank can compute what any
 * other gives, so it knows what must arrive. Sums are of small whole numbers, and exact. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/mem.h"
#include "plan/trial.h"

enum { SAMPLES = 5, SMALL = 64, LARGE = 1 << 20 }; /* numbers that a rank holds or gets */
static const double sample_seconds = 0.05;

/* A group as its member sees it, with room for what goes in and comes out. */
struct team {
    struct trial *t;
    struct group *g;
    enum group_id id;
    int world, me, size;
    float *in, *out; /* of the device */
    int64_t *send, *recv;
    double *host;
};

static float give(int from, int to, int64_t i)
{
    return (float)((from * 131 + to * 29 + i * 17) % 1021);
}

static int member(const struct team *m, int i)
{
    return layout_group_member(&m->t->layout, m->world, m->id, i);
}

static float sum_of(const struct team *m, int64_t i)
{
    float sum = 0;
    for (int r = 0; r < m->size; r++)
        sum += give(member(m, r), 0, i);
    return sum;
}

static view flat(float *data, int64_t n)
{
    return view_of(data, F32, 1, 1, n);
}

/* Uneven rows, of 8 numbers, that one member sends to another. */
static int64_t rows_of(int from, int to, int64_t n)
{
    return n / 8 / 4 * (1 + (from + 2 * to) % 3);
}

/* ---- the operations: `put` writes what goes in, `go` moves it, `right` says what must come out ---- */

struct operation {
    const char *name;
    void (*put)(struct team *, int64_t n);
    void (*go)(struct team *, int64_t n);
    int64_t (*expect)(struct team *, int64_t n, float *right); /* returns how many numbers */
    int64_t (*received)(const struct team *, int64_t n);       /* of others, for the rate */
};

static void upload(struct team *m, float *to, const float *from, int64_t n)
{
    if (n)
        dev_upload(m->t->dev, flat(to, n), from);
}

static void put_part(struct team *m, float *to, int64_t n)
{
    float *x = (float *)(void *)m->host;
    for (int64_t i = 0; i < n; i++)
        x[i] = give(m->world, 0, i);
    upload(m, to, x, n);
}

static int64_t part_of(const struct team *m, int64_t n)
{
    return n / m->size;
}

static void put_gather(struct team *m, int64_t n)
{
    put_part(m, m->in, part_of(m, n));
}

static void go_gather(struct team *m, int64_t n)
{
    int64_t part = part_of(m, n);
    group_all_gather(m->g, COMPUTE, view_of(m->out, F32, 1, m->size, part), view_of(m->in, F32, 1, 1, part));
}

static int64_t expect_gather(struct team *m, int64_t n, float *right)
{
    int64_t part = part_of(m, n);
    for (int r = 0; r < m->size; r++)
        for (int64_t i = 0; i < part; i++)
            right[r * part + i] = give(member(m, r), 0, i);
    return part * m->size;
}

static int64_t others_parts(const struct team *m, int64_t n)
{
    return part_of(m, n) * (m->size - 1);
}

static void put_scatter(struct team *m, int64_t n)
{
    put_part(m, m->in, part_of(m, n) * m->size);
}

static void go_scatter(struct team *m, int64_t n)
{
    int64_t part = part_of(m, n);
    group_reduce_scatter(m->g, COMPUTE, view_of(m->out, F32, 1, 1, part),
                         view_of(m->in, F32, 1, m->size, part));
}

static int64_t expect_scatter(struct team *m, int64_t n, float *right)
{
    int64_t part = part_of(m, n);
    for (int64_t i = 0; i < part; i++)
        right[i] = sum_of(m, m->me * part + i);
    return part;
}

static void put_reduce(struct team *m, int64_t n)
{
    put_part(m, m->out, n);
}

static void go_reduce(struct team *m, int64_t n)
{
    group_all_reduce(m->g, COMPUTE, flat(m->out, n));
}

static int64_t expect_reduce(struct team *m, int64_t n, float *right)
{
    for (int64_t i = 0; i < n; i++)
        right[i] = sum_of(m, i);
    return n;
}

static int64_t twice_parts(const struct team *m, int64_t n)
{
    return 2 * others_parts(m, n);
}

static int64_t rows_in(struct team *m, int64_t n)
{
    int64_t total = 0;
    for (int r = 0; r < m->size; r++) {
        m->send[r] = rows_of(m->me, r, part_of(m, n));
        m->recv[r] = rows_of(r, m->me, part_of(m, n));
        total += m->send[r];
    }
    return total;
}

static void put_exchange(struct team *m, int64_t n)
{
    float *x = (float *)(void *)m->host;
    int64_t at = 0;
    rows_in(m, n);
    for (int r = 0; r < m->size; r++)
        for (int64_t i = 0; i < 8 * m->send[r]; i++)
            x[at++] = give(m->world, member(m, r), i);
    upload(m, m->in, x, at);
}

static void go_exchange(struct team *m, int64_t n)
{
    int64_t sent = rows_in(m, n), got = 0;
    for (int r = 0; r < m->size; r++)
        got += m->recv[r];
    group_all_to_all(m->g, COMPUTE, view_of(m->out, F32, 1, got, 8), m->recv, view_of(m->in, F32, 1, sent, 8),
                     m->send);
}

static int64_t expect_exchange(struct team *m, int64_t n, float *right)
{
    int64_t at = 0;
    rows_in(m, n);
    for (int r = 0; r < m->size; r++)
        for (int64_t i = 0; i < 8 * m->recv[r]; i++)
            right[at++] = give(member(m, r), m->world, i);
    return at;
}

static int64_t others_rows(const struct team *m, int64_t n)
{
    int64_t total = 0;
    for (int r = 0; r < m->size; r++)
        total += r == m->me ? 0 : 8 * rows_of(r, m->me, part_of(m, n));
    return total;
}

static const struct operation operation[] = {
    {"all_gather", put_gather, go_gather, expect_gather, others_parts},
    {"reduce_scatter", put_scatter, go_scatter, expect_scatter, others_parts},
    {"all_reduce", put_reduce, go_reduce, expect_reduce, twice_parts},
    {"all_to_all", put_exchange, go_exchange, expect_exchange, others_rows},
};
enum { OPERATIONS = sizeof operation / sizeof *operation };

/* ---- the data ---- */

/* Numbers that are not what they should be; *at: the first of them. */
static int64_t wrong(struct team *m, const struct operation *op, int64_t n, int64_t *at)
{
    char fault[32];
    float *right = mem_new(2 * LARGE, sizeof *right), *got = mem_new(2 * LARGE, sizeof *got);
    snprintf(fault, sizeof fault, "flip.%s", op->name);
    op->put(m, n);
    op->go(m, n);
    int64_t numbers = op->expect(m, n, right), bad = 0;
    if (numbers)
        dev_download(m->t->dev, got, flat(m->out, numbers));
    if (numbers && trial_fault(m->t, fault) > 0)
        ((unsigned char *)(got + numbers / 2))[1] ^= 1;
    for (int64_t i = numbers - 1; i >= 0; i--)
        if (got[i] != right[i]) {
            *at = i;
            bad++;
        }
    free(right);
    free(got);
    return bad;
}

static void check_data(struct team *m, const struct operation *op)
{
    static const int64_t sizes[] = {SMALL, 4099, LARGE};
    char name[64], text[192];
    int64_t bad = 0, at = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        bad += wrong(m, op, sizes[i] * (i == 0 ? m->size : 1), &at);
    snprintf(name, sizeof name, "%s.%s", op->name, group_name(m->g));
    snprintf(text, sizeof text, "%lld numbers arrived wrong, one of them at %lld", (long long)bad,
             (long long)at);
    trial_check(m->t, name, bad == 0, text, "the right data arrive, from a few bytes to 4 MiB");
}

/* ---- time ---- */

/* Seconds of a call on the slowest rank, in the best of some samples. */
static double seconds_of(struct team *m, const struct operation *op, int64_t n)
{
    double best = INFINITY, calls = 2;
    for (int i = 0; i <= SAMPLES; i++) {
        comm_barrier(m->t->comm);
        double begin = clock_seconds();
        for (int64_t k = 0; k < (int64_t)calls; k++)
            op->go(m, n);
        dev_sync(m->t->dev);
        double seconds = (clock_seconds() - begin) / calls;
        comm_max_f64(m->t->comm, &seconds, 1);
        if (i > 0)
            best = fmin(best, seconds);
        else
            calls = ceil(fmin(sample_seconds / seconds, 1000));
    }
    return best;
}

static void measure(struct team *m, const struct operation *op)
{
    char name[64];
    double bytes = (double)op->received(m, LARGE) * sizeof(float);
    snprintf(name, sizeof name, "%s.%s.latency", op->name, group_name(m->g));
    trial_figure(m->t, name, seconds_of(m, op, (int64_t)SMALL * m->size), "s", LOWER);
    snprintf(name, sizeof name, "%s.%s.rate", op->name, group_name(m->g));
    trial_figure(m->t, name, bytes / seconds_of(m, op, LARGE), "B/s", HIGHER);
}

/* ---- a group ---- */

static void try_group(struct trial *t, struct group *g, enum group_id id, float *memory)
{
    int n = group_size(g);
    struct team m = {t,
                     g,
                     id,
                     comm_rank(t->comm),
                     group_rank(g),
                     n,
                     memory,
                     memory + 2 * LARGE,
                     mem_new(n, sizeof *m.send),
                     mem_new(n, sizeof *m.recv),
                     mem_new(LARGE, sizeof *m.host)};
    for (int i = 0; i < OPERATIONS; i++) {
        check_data(&m, &operation[i]);
        measure(&m, &operation[i]);
    }
    free(m.send);
    free(m.recv);
    free(m.host);
}

status trial_fabric(struct trial *t)
{
    static const enum group_id tried[] = {G_TP, G_DP, G_EP, G_ETP, G_EDP, G_WORLD};
    const int64_t bytes = 4L * LARGE * (int64_t)sizeof(float);
    struct group *group[GROUPS];
    void *memory;
    if ((int64_t)SMALL * comm_size(t->comm) > LARGE)
        return fail(E_DECK, "the fabric is tried on %d ranks at most", LARGE / SMALL);
    TRY(groups_open(group, t->comm, t->dev, &t->layout));
    TRY(comm_agree(t->comm, dev_alloc(t->dev, "messages of trials", &memory, bytes, FRESH_ZERO)));
    for (size_t i = 0; i < sizeof tried / sizeof *tried; i++)
        if (layout_group_size(&t->layout, tried[i]) > 1)
            try_group(t, group[tried[i]], tried[i], memory);
    dev_free(t->dev, memory, bytes);
    groups_close(group);
    return OK;
}
