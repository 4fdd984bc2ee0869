#include "eval/score.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/signals.h"

/* ---- units: requests that are computed together, and batches of them, longest first ---- */

enum { SHARED = 16 }; /* a beginning of fewer tokens is not worth a pass of its own */

/* Requests [from, from + n) with the same beginning, such as the choices of an item. */
struct unit {
    int64_t from, n;
    int64_t common; /* tokens that are computed once; 0: none, and n = 1 */
    int64_t fed;    /* tokens of the longest request */
};

struct batches {
    struct unit *unit; /* sorted */
    int64_t units;
    int64_t *from; /* [n + 1] into unit */
    int64_t n;
};

/* The tokens that all begin with. Each computes the token before its first scored one itself. */
static int64_t common_beginning(const struct request *q, int64_t n)
{
    int64_t most = q->n - q->scored - 1, same = 0;
    for (int64_t i = 1; i < n; i++)
        most = q[i].n - q[i].scored - 1 < most ? q[i].n - q[i].scored - 1 : most;
    for (bool alike = true; alike; same += alike) {
        alike = same < most;
        for (int64_t i = 1; i < n && alike; i++)
            alike = q[i].ids[same] == q->ids[same];
    }
    return same;
}

static void add_unit(struct batches *b, const struct requests *r, int64_t from, int64_t n, int64_t common)
{
    struct unit u = {.from = from, .n = n, .common = common};
    for (int64_t i = from; i < from + n; i++)
        u.fed = r->at[i].n - 1 > u.fed ? r->at[i].n - 1 : u.fed;
    b->unit[b->units++] = u;
}

static void make_units(struct batches *b, const struct requests *r, int64_t places)
{
    b->unit = mem_new(r->n, sizeof *b->unit);
    for (int64_t at = 0, n; at < r->n; at += n) {
        for (n = 1; at + n < r->n && r->at[at + n].item == r->at[at].item;)
            n++;
        int64_t common = n > 1 && n <= places ? common_beginning(&r->at[at], n) : 0;
        if (common >= SHARED)
            add_unit(b, r, at, n, common);
        for (int64_t i = at; i < at + n && common < SHARED; i++)
            add_unit(b, r, i, 1, 0);
    }
}

static int by_length(const void *a, const void *b)
{
    const struct unit *x = a, *y = b;
    if ((x->common > 0) != (y->common > 0))
        return x->common > 0 ? -1 : 1;
    return x->fed != y->fed ? (x->fed < y->fed ? 1 : -1) : x->from < y->from ? -1 : x->from > y->from;
}

/* What a batch takes. */
struct size {
    int64_t units, requests, common, rest; /* common, rest: of its longest unit; rest: behind `common` */
};

static struct size with_unit(struct size s, const struct unit *u)
{
    int64_t rest = u->fed - u->common;
    return (struct size){s.units + 1, s.requests + u->n, u->common > s.common ? u->common : s.common,
                         rest > s.rest ? rest : s.rest};
}

static bool fits(struct size s, int64_t tokens, int64_t places)
{
    return s.units * s.common <= tokens && s.requests * s.rest <= tokens &&
           (s.common == 0 || s.requests <= places);
}

/* How many of the units from `at` on make a batch: those of one kind that fit. */
static int64_t batch_length(const struct batches *b, int64_t at, int64_t tokens, int64_t places)
{
    struct size s = {0};
    int64_t n = 0;
    for (; at + n < b->units && (b->unit[at + n].common > 0) == (b->unit[at].common > 0); n++) {
        s = with_unit(s, &b->unit[at + n]);
        if (n > 0 && !fits(s, tokens, places))
            break;
    }
    return n;
}

static void batches_open(struct batches *b, const struct requests *r, int64_t tokens, int64_t places)
{
    *b = (struct batches){.from = mem_new(r->n + 1, sizeof *b->from)};
    make_units(b, r, places);
    qsort(b->unit, (size_t)b->units, sizeof *b->unit, by_length);
    for (int64_t at = 0; at < b->units; b->n++) {
        at += batch_length(b, at, tokens, places);
        b->from[b->n + 1] = at;
    }
}

static void batches_close(struct batches *b)
{
    free(b->unit);
    free(b->from);
}

/* ---- a batch on its way through the net ---- */

struct running {
    struct net *net;
    struct requests *all;
    const struct unit *unit; /* [units] */
    int64_t units;
    struct request **of; /* [sequences] the request of each row of the pass */
    int64_t sequences, sequence;
    int32_t *ids, *targets;        /* [sequences * sequence] */
    int32_t *slot, *past, *length; /* [sequences] in the cache */
};

static void running_open(struct running *b, struct net *net, struct requests *r, int64_t tokens)
{
    *b = (struct running){.net = net, .all = r};
    b->ids = mem_new(mem_mul(2, tokens), sizeof *b->ids);
    b->targets = b->ids + tokens;
    b->of = mem_new(tokens, sizeof *b->of);
    b->slot = mem_new(mem_mul(3, tokens), sizeof *b->slot);
    b->past = b->slot + tokens;
    b->length = b->past + tokens;
}

static void running_close(struct running *b)
{
    free(b->ids);
    free(b->of);
    free(b->slot);
}

/* Add the tokens [past, past + length) of a request to the pass. */
static void add_row(struct running *b, struct request *q, int64_t slot, int64_t past, int64_t length)
{
    int64_t s = b->sequences++;
    b->of[s] = q;
    b->slot[s] = (int32_t)slot;
    b->past[s] = (int32_t)past;
    b->length[s] = (int32_t)length;
    b->sequence = length > b->sequence ? length : b->sequence;
}

static void fill(struct running *b)
{
    for (int64_t s = 0; s < b->sequences; s++)
        for (int64_t i = 0; i < b->sequence; i++) {
            const struct request *q = b->of[s];
            int64_t at = b->past[s] + i;
            bool fed = i < b->length[s], counted = fed && at + 1 >= q->n - q->scored;
            b->ids[s * b->sequence + i] = fed ? q->ids[at] : q->ids[0];
            b->targets[s * b->sequence + i] = counted ? q->ids[at + 1] : -1;
        }
}

static void take_scores(void *with, int64_t row, int64_t rows, const float *nll, const float *gap)
{
    struct running *b = with;
    for (int64_t i = 0; i < rows; i++) {
        struct request *q = b->of[(row + i) / b->sequence];
        if (b->targets[row + i] < 0)
            continue;
        q->loglikelihood -= (double)nll[i];
        q->greedy = q->greedy && gap[i] <= 0;
    }
}

/* One pass over the rows that were added. beginnings: nobody wants their scores. */
static void run_pass(struct running *b, bool cached, bool beginnings)
{
    struct cached in = {.slot = b->slot, .past = b->past, .length = b->length, .ends = beginnings};
    struct logits_sink sink = {.scores = take_scores, .with = b};
    fill(b);
    struct micro_batch m = {.tokens = b->sequences * b->sequence,
                            .sequence = b->sequence,
                            .ids = b->ids,
                            .targets = b->targets,
                            .cached = cached ? &in : NULL};
    net_eval(b->net, b->sequences > 0 ? &m : &(struct micro_batch){0}, beginnings ? NULL : &sink);
    b->sequences = b->sequence = 0;
}

/* What the requests of each unit begin with, in the place of its first request, and copied to the others'. */
static void run_beginnings(struct running *b)
{
    int place = 0;
    for (int64_t i = 0; i < b->units; place += (int)b->unit[i++].n)
        if (b->unit[i].common > 0)
            add_row(b, &b->all->at[b->unit[i].from], place, 0, b->unit[i].common);
    run_pass(b, true, true);
    place = 0;
    for (int64_t i = 0; i < b->units; place += (int)b->unit[i++].n)
        for (int k = 1; k < b->unit[i].n; k++)
            net_cache_copy(b->net, place + k, place, b->unit[i].common);
}

/* Every rank has as many passes. two: some rank's batch has beginnings. */
static void run(struct running *b, const struct batches *all, int64_t batch, bool two)
{
    b->units = batch < all->n ? all->from[batch + 1] - all->from[batch] : 0;
    b->unit = b->units > 0 ? &all->unit[all->from[batch]] : NULL;
    if (two)
        run_beginnings(b);
    int64_t place = 0;
    for (int64_t i = 0; i < b->units; i++)
        for (int64_t k = 0; k < b->unit[i].n; k++) {
            struct request *q = &b->all->at[b->unit[i].from + k];
            add_row(b, q, place++, b->unit[i].common, q->n - 1 - b->unit[i].common);
        }
    run_pass(b, b->units > 0 && b->unit->common > 0, false);
}

/* Every request was filled in by one DP rank: t = 0 of it tells the others. */
static void share(struct requests *r, struct comm *comm, bool mine)
{
    double *sum = mem_new(mem_mul(2, r->n), sizeof *sum);
    for (int64_t i = 0; i < r->n && mine; i++) {
        sum[2 * i] = r->at[i].loglikelihood;
        sum[2 * i + 1] = r->at[i].loglikelihood != 0 && r->at[i].greedy;
    }
    for (int64_t at = 0, n; at < 2 * r->n; at += n) {
        n = 2 * r->n - at < 1 << 20 ? 2 * r->n - at : 1 << 20;
        comm_sum_f64(comm, sum + at, (int)n);
    }
    for (int64_t i = 0; i < r->n; i++) {
        r->at[i].loglikelihood = sum[2 * i];
        r->at[i].greedy = sum[2 * i + 1] != 0;
    }
    free(sum);
}

status requests_score(struct requests *r, const struct scorer *with)
{
    struct batches all;
    struct running b;
    struct coords at = layout_coords(with->layout, with->rank);
    int64_t dp = with->layout->dp, tokens = with->tokens > r->longest ? with->tokens : r->longest;
    running_open(&b, with->net, r, tokens);
    batches_open(&all, r, with->tokens, with->places);
    for (int64_t i = 0; i < r->n; i++) {
        r->at[i].greedy = true;
        r->at[i].loglikelihood = 0;
    }
    status code = OK;
    int64_t rounds = (all.n + dp - 1) / dp;
    for (int64_t i = 0; i < rounds && code == OK; i++) {
        code = comm_agree(with->comm, signals_check());
        if (code == OK) /* batches with beginnings come first */
            run(&b, &all, i * dp + at.d, all.unit[all.from[i * dp]].common > 0);
        if (with->told)
            with->told(with->with, (double)(i + 1) / (double)rounds);
    }
    if (code == OK)
        share(r, with->comm, at.t == 0);
    batches_close(&all);
    running_close(&b);
    return code;
}
