/* The data plane on the groups of folded layouts. Every rank can compute the input of any other (fill), so
 * expected results are computed locally. Bits are compared, also those of floats, because sums are in rank
 * order. */
#include <math.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "comm/group.h"
#include "tap_ranks.h"

static struct dev *dev;

/** Element i of what world rank `rank` gives: fractions whose sum depends on the order. */
static float value(int rank, int64_t i)
{
    return (float)((rank * 7919 + i * 104729) % 10007) / 97.0f - 41.0f + (float)(rank % 3) * 3e4f;
}

static float *new_values(int rank, int64_t n)
{
    float *x = mem_new(n, sizeof *x);

    for (int64_t i = 0; i < n; i++)
        x[i] = value(rank, i);
    return x;
}

/* One group as the test sees it: members' world ranks come from the layout. */
struct team {
    struct group *g;
    const struct layout *layout;
    enum group_id id;
    int world, me, size;
};

static int member(const struct team *t, int i)
{
    return layout_group_member(t->layout, t->world, t->id, i);
}

static float block_sum(const struct team *t, int first, int ranks, int64_t i) /* in group order */
{
    float sum = value(member(t, first), i);

    for (int r = first + 1; r < first + ranks; r++)
        sum += value(member(t, r), i);
    return sum;
}

static int ranks_of_block; /* 0: sums go straight */

static float sum_of(const struct team *t, int64_t i) /* blocks, then over the blocks */
{
    int block = ranks_of_block ? ranks_of_block : t->size;
    float sum = block_sum(t, 0, block, i);

    for (int first = block; first < t->size; first += block)
        sum += block_sum(t, first, block, i);
    return sum;
}

static int64_t uneven(int r, int64_t n) /* rank r's rows: some have none */
{
    return r % 3 == 1 ? 0 : n + r;
}

static view matrix(void *data, int64_t rows, int64_t n)
{
    return view_of(data, F32, 1, rows, n);
}

static bool all_gather_good(const struct team *t, int64_t rows, int64_t n, bool in_place)
{
    float *out = mem_new(t->size * rows * n, sizeof *out), *in = new_values(t->world, rows * n);
    float *mine = in_place ? out + t->me * rows * n : in;
    bool good = true;

    memcpy(mine, in, (size_t)(rows * n) * sizeof *in);
    group_all_gather(t->g, COMM, matrix(out, t->size * rows, n), matrix(mine, rows, n));
    for (int64_t r = 0; r < t->size; r++)
        for (int64_t i = 0; i < rows * n; i++)
            good &= out[r * rows * n + i] == value(member(t, (int)r), i);
    free(in);
    free(out);
    return good;
}

static bool all_gather_bytes_good(const struct team *t) /* other types, an odd number of bytes */
{
    uint16_t out[64 * 3] = {0}, in[3] = {(uint16_t)t->world, 0x7fc0, (uint16_t)(1000 + t->world)};
    bool good = true;

    group_all_gather(t->g, COMPUTE, view_of(out, BF16, 1, t->size, 3), view_of(in, BF16, 1, 1, 3));
    for (int r = 0; r < t->size; r++)
        good &=
            out[3 * r] == member(t, r) && out[3 * r + 1] == 0x7fc0 && out[3 * r + 2] == 1000 + member(t, r);
    return good;
}

static bool reduce_scatter_good(const struct team *t, int64_t rows, int64_t n, bool in_place)
{
    int64_t part = rows * n, from = t->me * part;
    float *in = new_values(t->world, t->size * part),
          *out = in_place ? in + from : mem_new(part, sizeof *out);
    bool good = true;

    group_reduce_scatter(t->g, COMM, matrix(out, rows, n), matrix(in, t->size * rows, n));
    for (int64_t i = 0; i < part; i++)
        good &= out[i] == sum_of(t, from + i);
    if (!in_place)
        free(out);
    free(in);
    return good;
}

static bool all_reduce_good(const struct team *t, int64_t n)
{
    float *x = new_values(t->world, n);
    bool good = true;

    group_all_reduce(t->g, COMPUTE, view_of(x, F32, 1, 1, n));
    for (int64_t i = 0; i < n; i++)
        good &= x[i] == sum_of(t, i);
    free(x);
    return good;
}

/* Counts and sums in double: more than a float holds exactly. */
static bool all_reduce_types_good(const struct team *t, int64_t n)
{
    int32_t *counts = calloc((size_t)n, sizeof *counts);
    double *sums = calloc((size_t)n, sizeof *sums);
    bool good = true;

    for (int64_t i = 0; i < n; i++) {
        counts[i] = (1 << 24) + (int32_t)i;
        sums[i] = 1 + 0x1p-40 * (double)i;
    }
    group_all_reduce(t->g, COMPUTE, view_of(counts, I32, 1, 1, n));
    group_all_reduce(t->g, COMPUTE, view_of(sums, F64, 1, 1, n));
    for (int64_t i = 0; i < n; i++)
        good &=
            counts[i] == t->size * ((1 << 24) + (int32_t)i) && sums[i] == t->size * (1 + 0x1p-40 * (double)i);
    free(counts);
    free(sums);
    return good;
}

static int64_t to_rows(const struct team *t, int from, int to, int64_t n) /* a full matrix of uneven counts */
{
    return (from * 5 + to * 3) % 4 == 0 ? 0 : n + (from * t->size + to) % 5;
}

static bool all_to_all_good(const struct team *t, int64_t rows, int64_t n)
{
    int64_t send[64], recv[64], sent = 0, received = 0, at = 0;
    bool good = true;

    for (int r = 0; r < t->size; r++) {
        sent += send[r] = to_rows(t, t->me, r, rows);
        received += recv[r] = to_rows(t, r, t->me, rows);
    }
    float *in = new_values(t->world, sent * n), *out = mem_new(received * n, sizeof *out);
    group_all_to_all(t->g, COMM, matrix(out, received, n), recv, matrix(in, sent, n), send);
    for (int r = 0; r < t->size; r++) {
        int64_t skip = 0; /* rows that r sends to members before us */
        for (int to = 0; to < t->me; to++)
            skip += to_rows(t, r, to, rows);
        for (int64_t i = 0; i < recv[r] * n; i++)
            good &= out[at++] == value(member(t, r), skip * n + i);
    }
    free(in);
    free(out);
    return good;
}

static bool gather_v_good(const struct team *t, int64_t base, int64_t n)
{
    int64_t rows[64], total = 0, at = 0;
    bool good = true;

    for (int r = 0; r < t->size; r++)
        total += rows[r] = uneven(r, base);
    float *in = new_values(t->world, rows[t->me] * n), *out = mem_new(total * n, sizeof *out);
    group_all_gather_v(t->g, COMM, matrix(out, total, n), rows, matrix(in, rows[t->me], n));
    for (int r = 0; r < t->size; r++)
        for (int64_t i = 0; i < rows[r] * n; i++)
            good &= out[at++] == value(member(t, r), i);
    free(in);
    free(out);
    return good;
}

static bool reduce_scatter_v_good(const struct team *t, int64_t base, int64_t n)
{
    int64_t rows[64], total = 0, from = 0;
    bool good = true;

    for (int r = 0; r < t->size; r++) {
        from += r < t->me ? uneven(r, base) * n : 0;
        total += rows[r] = uneven(r, base);
    }
    float *in = new_values(t->world, total * n), *out = mem_new(rows[t->me] * n, sizeof *out);
    group_reduce_scatter_v(t->g, COMM, matrix(out, rows[t->me], n), matrix(in, total, n), rows);
    for (int64_t i = 0; i < rows[t->me] * n; i++)
        good &= out[i] == sum_of(t, from + i);
    free(in);
    free(out);
    return good;
}

/* Each check is collective: all of its parts run, even if one has failed here. */

static bool all_gathers(const struct team *t)
{
    int64_t sent = group_bytes_sent(t->g);
    bool good = all_gather_good(t, 3, 5, false);

    good &= all_gather_good(t, 2, 7, true);
    good &= all_gather_good(t, 0, 4, false);
    return good && group_bytes_sent(t->g) - sent == (t->size - 1) * (15 + 14) * 4;
}

static bool reduce_scatters(const struct team *t)
{
    int64_t sent = group_bytes_sent(t->g);
    bool good = reduce_scatter_good(t, 3, 5, false);

    good &= reduce_scatter_good(t, 2, 7, true);
    good &= reduce_scatter_good(t, 0, 4, false);
    return good && group_bytes_sent(t->g) - sent == (t->size - 1) * (15 + 14) * 4;
}

static bool all_reduces(const struct team *t)
{
    bool good = all_reduce_good(t, 9);

    good &= all_reduce_good(t, 0);
    good &= all_reduce_types_good(t, 11);
    good &= all_reduce_types_good(t, 5003); /* each rank sums a part */
    return good;
}

static bool all_to_alls(const struct team *t)
{
    bool good = all_to_all_good(t, 2, 3);

    good &= all_to_all_good(t, 0, 3);
    return good;
}

static bool gathers_v(const struct team *t)
{
    bool good = gather_v_good(t, 2, 3);

    good &= gather_v_good(t, 0, 1);
    return good;
}

static bool reduce_scatters_v(const struct team *t)
{
    bool good = reduce_scatter_v_good(t, 2, 3);

    good &= reduce_scatter_v_good(t, 0, 1);
    return good;
}

static bool places(const struct team *t)
{
    return t->size == layout_group_size(t->layout, t->id) && member(t, t->me) == t->world;
}

static const struct {
    const char *what;
    bool (*good)(const struct team *);
} checks[] = {
    {"groups have the layout's sizes and order", places},
    {"all_gather, in place, of nothing; bytes counted", all_gathers},
    {"all_gather of bf16", all_gather_bytes_good},
    {"reduce_scatter has the bits of a sum in rank order; bytes counted", reduce_scatters},
    {"all_reduce has the bits of a sum in rank order", all_reduces},
    {"all_to_all of uneven rows", all_to_alls},
    {"all_gather_v of uneven rows", gathers_v},
    {"reduce_scatter_v of uneven rows", reduce_scatters_v},
};

/** More than one round of a sum, with the last one short; scratch foreseen by a dry run. */
static void check_rounds(const struct team *t)
{
    const int64_t n = 1100001; /* a round holds about a million floats of all members */
    float some = 3;

    dev_set_dry(dev, true);
    group_reduce_scatter(t->g, COMM, view_of(NULL, F32, 1, 1, n), view_of(NULL, F32, 1, t->size, n));
    group_all_reduce(t->g, COMM, view_of(&some, F32, 1, 1, 1));
    dev_set_dry(dev, false);
    ok(fabsf(some - 3) == 0, "a dry run moves nothing");
    ok(group_reserve(t->g) == OK, "reserve what the dry run recorded");
    ok(reduce_scatter_good(t, 1, n, false), "reduce_scatter in several rounds");
    ok(reduce_scatter_v_good(t, n / 2, 1), "reduce_scatter_v in several rounds, some ranks with no rows");
    ok(all_reduce_good(t, n), "all_reduce in several rounds");
    ok(all_gather_good(t, 1, n, true), "large all_gather");
    ok(all_to_all_good(t, 1000, 300), "large all_to_all");
}

/** Sums of the world in blocks of each size, down to one round and in several. */
static void check_blocks(const struct team *t)
{
    for (int b = 2; b < t->size; b++) {
        if (t->size % b != 0)
            continue;
        group_set_block(t->g, ranks_of_block = b);
        ok(reduce_scatter_good(t, 3, 5, false) && reduce_scatter_good(t, 2, 7, true),
           "reduce_scatter in blocks of %d", b);
        ok(reduce_scatter_good(t, 1, 4300001 / t->size * 2, false), "in several rounds");
        ok(all_reduce_good(t, 9) == (t->size * 9 * 4 > 16384), "a small all_reduce goes straight");
        ok(all_reduce_good(t, 7001) && all_reduce_types_good(t, 5003), "all_reduce in blocks of %d", b);
    }
    group_set_block(t->g, 1);
    ranks_of_block = 0;
}

/** Every check on every group of one layout. One KV head, so that G_KVDP is not G_DP. */
static void check_layout(struct comm *c, int tp, int ep, int etp)
{
    struct layout_needs needs = {.heads = tp, .kv_heads = 1, .experts = ep};
    struct layout layout;
    struct group *group[GROUPS];
    char *wrong = layout_make(&layout, comm_size(c), tp, ep, etp, &needs);

    ok(!wrong && groups_open(group, c, dev, &layout) == OK, "%d ranks: TP %d, EP %d, ETP %d", comm_size(c),
       tp, ep, etp);
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        bool good = true;
        for (int id = 0; id < GROUPS; id++)
            good &= checks[i].good(&(struct team){group[id], &layout, (enum group_id)id, comm_rank(c),
                                                  group_rank(group[id]), group_size(group[id])});
        ok(good, "%s", checks[i].what);
    }
    if (tp * ep * etp == 1)
        check_rounds(
            &(struct team){group[G_WORLD], &layout, G_WORLD, comm_rank(c), comm_rank(c), comm_size(c)});
    if (tp * ep * etp == 1)
        check_blocks(
            &(struct team){group[G_WORLD], &layout, G_WORLD, comm_rank(c), comm_rank(c), comm_size(c)});
    ok(comm_size(c) == 1 || group_seconds(group[G_WORLD]) > 0, "time is counted");
    groups_close(group);
}

int main(void)
{
    struct dev_options options = {.threads = 1};
    struct comm *c;

    log_open(false, true);
    if (comm_open(&c) != OK || dev_open(&dev, "cpu", comm_node_rank(c), &options) != OK) {
        fprintf(stderr, "%s\n", status_text());
        return 1;
    }
    tap_open(c);
    for (int tp = 1; tp <= comm_size(c); tp++)
        for (int ep = 1; ep <= comm_size(c); ep++)
            for (int etp = 1; etp <= comm_size(c); etp++)
                if (comm_size(c) % tp == 0 && comm_size(c) % (ep * etp) == 0)
                    check_layout(c, tp, ep, etp);
    dev_close(dev);
    return tap_done();
}
