/* The data plane: views are checked, laid out as spans of bytes, moved by the group's link, and
 * summed by the device in rank order. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/log.h"
#include "base/mem.h"
#include "comm/group.h"
#include "comm/ops.h"

struct group {
    struct comm *comm;
    struct dev *dev;
    struct link *link;
    const char *name;
    int rank, size;
    struct spans parts, recv, send; /* of the call in progress, [size] */
    char *scratch;                  /* device memory: one round's part from each member */
    int64_t reserved, needed;       /* bytes of scratch */
    int64_t sent;
    double seconds;
};

/* ---- opening ---- */

static struct group *group_open(struct comm *comm, struct dev *dev, const struct layout *layout,
                                enum group_id id)
{
    static const char *const names[GROUPS] = {"tp", "dp", "kvdp", "ep", "etp", "edp", "world"};
    struct group *g = mem_new(1, sizeof *g);
    int me = comm_rank(comm);

    *g = (struct group){.comm = comm, .dev = dev, .name = names[id]};
    g->size = layout_group_size(layout, id);
    g->rank = layout_group_index(layout, me, id);
    g->link = g->size == 1 ? link_self()
                           : comm->ops->link(comm, layout_group_member(layout, me, id, 0), g->rank, g->name);
    if (g->link->size != g->size || g->link->rank != g->rank)
        bug("group %s: rank %d of %d by the layout, %d of %d by its transport", g->name, g->rank, g->size,
            g->link->rank, g->link->size);
    g->parts = spans_new(g->size);
    g->recv = spans_new(g->size);
    g->send = spans_new(g->size);
    return g;
}

status groups_open(struct group *group[GROUPS], struct comm *comm, struct dev *dev,
                   const struct layout *layout)
{
    if (layout->world != comm_size(comm))
        bug("groups: a layout of %d ranks on %d", layout->world, comm_size(comm));
    for (int id = 0; id < GROUPS; id++)
        group[id] = group_open(comm, dev, layout, (enum group_id)id);
    return OK;
}

void groups_close(struct group *group[GROUPS])
{
    for (int id = 0; id < GROUPS; id++) {
        struct group *g = group[id];

        if (!g)
            continue;
        g->link->ops->close(g->link);
        if (g->scratch)
            dev_free(g->dev, g->scratch, g->reserved);
        spans_free(&g->parts);
        spans_free(&g->recv);
        spans_free(&g->send);
        free(g);
        group[id] = NULL;
    }
}

int group_size(const struct group *g)
{
    return g->size;
}

int group_rank(const struct group *g)
{
    return g->rank;
}

const char *group_name(const struct group *g)
{
    return g->name;
}

int64_t group_bytes_sent(const struct group *g)
{
    return g->sent;
}

double group_seconds(const struct group *g)
{
    return g->seconds;
}

/* ---- scratch: a sum takes as many rounds as keep it small ---- */

enum { ROUND = 1 << 22, ROUND_LEAST = 1 << 14 }; /* bytes of all members together; of one member */

static int64_t clip(int64_t n, int64_t most)
{
    return n < 0 ? 0 : n < most ? n : most;
}

status group_reserve(struct group *g)
{
    void *scratch;

    if (g->needed <= g->reserved)
        return OK;
    TRY(dev_alloc(g->dev, "the scratch of a group", &scratch, g->needed, FRESH_ANY));
    if (g->scratch)
        dev_free(g->dev, g->scratch, g->reserved);
    g->scratch = scratch;
    g->reserved = g->needed;
    return OK;
}

/** Inside a step: what no dry run foresaw is allocated now, and said. */
static void grow_scratch(struct group *g)
{
    char from[32], to[32];

    log_say("group %s: scratch grows from %s to %s", g->name, text_bytes(from, (double)g->reserved),
            text_bytes(to, (double)g->needed));
    if (group_reserve(g) != OK) {
        log_error(status_text());
        comm_abort(g->comm, E_RESOURCE);
    }
}

/** Bytes of each member's part that one round takes; scratch for them is recorded, and is there
 *  unless the run is dry. */
static int64_t round_bytes(struct group *g, int64_t longest_part)
{
    int64_t share = ROUND / g->size / 64 * 64;
    int64_t length = clip(longest_part, share < ROUND_LEAST ? ROUND_LEAST : share);
    int64_t bytes = g->size > 1 ? mem_mul(g->size, length) : 0;

    if (bytes > g->needed)
        g->needed = bytes;
    if (g->needed > g->reserved && !dev_is_dry(g->dev))
        grow_scratch(g);
    return length;
}

/* ---- views as spans ---- */

static void check_equal(const struct group *g, const char *what, int64_t a, int64_t b)
{
    if (a != b)
        bug("group %s: %s: %lld and %lld", g->name, what, (long long)a, (long long)b);
}

static int64_t rows_of(const struct group *g, view v)
{
    int64_t rows = v.n[0] * v.n[1];

    if (rows > 1)
        check_equal(g, "elements of a row, and from row to row", v.n[2], v.ld);
    return rows;
}

static int64_t bytes_of(const struct group *g, view v)
{
    return mem_mul(rows_of(g, v), v.n[2] * dtype_size(v.type));
}

static void cut_rows(const struct group *g, struct spans *spans, view v, const int64_t *rows)
{
    int64_t total = spans_of_rows(spans, g->size, rows, v.n[2] * dtype_size(v.type));

    check_equal(g, "bytes of a view and of its parts", bytes_of(g, v), total);
}

static void cut_even(const struct group *g, struct spans *spans, view v)
{
    check_equal(g, "elements left over by equal parts", view_size(v) % g->size, 0);
    spans_of_rows(spans, g->size, NULL, bytes_of(g, v) / g->size);
}

static void *at(const void *data, int64_t bytes) /* of device memory; NULL only where bytes is 0 */
{
    return data ? (void *)((uintptr_t)data + (uintptr_t)bytes) : NULL;
}

/** This rank's own part needs no transport. */
static void keep_own(struct group *g, void *to, const void *from, dtype type, int64_t bytes)
{
    int64_t n = bytes / dtype_size(type);

    if (n && to != from)
        dev_copy(g->dev, view_of(to, type, 1, 1, n), view_of(at(from, 0), type, 1, 1, n));
}

/* ---- moving ---- */

static void start_clock(struct group *g)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    g->seconds -= (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void stop_clock(struct group *g)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    g->seconds += (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void link_gather(struct group *g, void *out) /* g->recv cuts out */
{
    dev_show(g->dev);
    g->link->ops->all_gather(g->link, out, g->recv);
    dev_hide(g->dev);
}

static void link_exchange(struct group *g, void *out, const void *in) /* g->recv cuts out, g->send in */
{
    dev_show(g->dev);
    g->link->ops->exchange(g->link, out, g->recv, in, g->send);
    dev_hide(g->dev);
}

static void gather(struct group *g, view out, view in) /* g->recv cuts out */
{
    int64_t mine = g->recv.n[g->rank];

    check_equal(g, "types", out.type, in.type);
    check_equal(g, "bytes of this rank's part", bytes_of(g, in), mine);
    if (dev_is_dry(g->dev))
        return;
    start_clock(g);
    keep_own(g, at(out.data, g->recv.at[g->rank]), in.data, in.type, mine);
    link_gather(g, out.data);
    g->sent += mine * (g->size - 1);
    stop_clock(g);
}

void group_all_gather(struct group *g, enum stream s, view out, view in)
{
    (void)s;
    cut_even(g, &g->recv, out);
    gather(g, out, in);
}

void group_all_gather_v(struct group *g, enum stream s, view out, const int64_t *rows, view in)
{
    (void)s;
    cut_rows(g, &g->recv, out, rows);
    gather(g, out, in);
}

void group_all_to_all(struct group *g, enum stream s, view out, const int64_t *recv_rows, view in,
                      const int64_t *send_rows)
{
    (void)s;
    cut_rows(g, &g->recv, out, recv_rows);
    cut_rows(g, &g->send, in, send_rows);
    check_equal(g, "types", out.type, in.type);
    check_equal(g, "bytes to and from itself", g->recv.n[g->rank], g->send.n[g->rank]);
    if (dev_is_dry(g->dev))
        return;
    start_clock(g);
    keep_own(g, at(out.data, g->recv.at[g->rank]), at(in.data, g->send.at[g->rank]), in.type,
             g->send.n[g->rank]);
    link_exchange(g, out.data, in.data);
    for (int r = 0; r < g->size; r++)
        g->sent += r == g->rank ? 0 : g->send.n[r];
    stop_clock(g);
}

/* ---- summing ---- */

/** Sum what a round brought: parts of the members `length` bytes apart in scratch, this rank's own at
 *  `mine`. */
static void sum_round(struct group *g, dtype type, int64_t length, void *out, void *mine)
{
    int64_t n = g->recv.n[g->rank] / dtype_size(type);
    view parts = view_of(g->scratch, type, 1, g->size, n);

    parts.ld = length / dtype_size(type);
    dev_sum_parts(g->dev, view_of(out, type, 1, 1, n), parts, g->rank, view_of(mine, type, 1, 1, n));
}

/** Bytes [lo, lo+length) of every part, as far as it goes: what this rank sends of each, and what it
 *  receives of its own from each. */
static void cut_round(struct group *g, int64_t lo, int64_t length)
{
    for (int r = 0; r < g->size; r++) {
        g->send.at[r] = g->parts.at[r] + lo;
        g->send.n[r] = clip(g->parts.n[r] - lo, length);
        g->recv.at[r] = r * length;
        g->recv.n[r] = clip(g->parts.n[g->rank] - lo, length);
        g->sent += r == g->rank ? 0 : g->send.n[r];
    }
}

static void reduce_scatter(struct group *g, view out, view in) /* g->parts cuts in */
{
    int64_t mine = g->parts.n[g->rank], longest = 0, length;

    check_equal(g, "types", out.type, in.type);
    check_equal(g, "bytes of this rank's part", bytes_of(g, out), mine);
    for (int r = 0; r < g->size; r++)
        longest = g->parts.n[r] > longest ? g->parts.n[r] : longest;
    length = round_bytes(g, longest);
    if (dev_is_dry(g->dev))
        return;
    start_clock(g);
    if (g->size == 1)
        keep_own(g, out.data, in.data, in.type, mine);
    for (int64_t lo = 0; lo < longest && g->size > 1; lo += length) {
        cut_round(g, lo, length);
        dev_poison(g->dev, g->scratch, g->reserved);
        link_exchange(g, g->scratch, in.data);
        sum_round(g, in.type, length, at(out.data, lo), at(in.data, g->send.at[g->rank]));
    }
    stop_clock(g);
}

void group_reduce_scatter(struct group *g, enum stream s, view out, view in)
{
    (void)s;
    cut_even(g, &g->parts, in);
    reduce_scatter(g, out, in);
}

void group_reduce_scatter_v(struct group *g, enum stream s, view out, view in, const int64_t *rows)
{
    (void)s;
    cut_rows(g, &g->parts, in, rows);
    reduce_scatter(g, out, in);
}

/** Small: everybody gathers everything, and sums. */
static void all_reduce_small(struct group *g, view x)
{
    int64_t n = bytes_of(g, x);

    spans_of_rows(&g->recv, g->size, NULL, n);
    dev_poison(g->dev, g->scratch, g->reserved);
    keep_own(g, at(g->scratch, g->recv.at[g->rank]), x.data, x.type, n);
    link_gather(g, g->scratch);
    sum_round(g, x.type, n, x.data, x.data);
    g->sent += n * (g->size - 1);
}

/** Large: each sums a part of it, and all gather the parts. The order of sums is the same. */
static void all_reduce_large(struct group *g, view x)
{
    int64_t total = view_size(x), size = dtype_size(x.type);
    view all = view_shape(x, 1, 1, total), mine;

    for (int r = 0; r < g->size; r++) {
        struct range part = block(total, g->size, r);
        g->parts.at[r] = part.lo * size;
        g->parts.n[r] = part.n * size;
    }
    mine = view_cols(all, g->parts.at[g->rank] / size, g->parts.n[g->rank] / size);
    reduce_scatter(g, mine, all);
    memcpy(g->recv.at, g->parts.at, (size_t)g->size * sizeof *g->recv.at);
    memcpy(g->recv.n, g->parts.n, (size_t)g->size * sizeof *g->recv.n);
    gather(g, all, mine);
}

void group_all_reduce(struct group *g, enum stream s, view x)
{
    int64_t all = mem_mul(bytes_of(g, x), g->size);

    (void)s;
    if (g->size == 1)
        return;
    if (all > ROUND_LEAST) {
        all_reduce_large(g, x);
        return;
    }
    round_bytes(g, bytes_of(g, x));
    if (dev_is_dry(g->dev))
        return;
    start_clock(g);
    all_reduce_small(g, x);
    stop_clock(g);
}
