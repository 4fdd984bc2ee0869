/* The data plane: views are checked, described as spans of bytes, and moved by the group's link. Sums are in
 * comm/sum.c. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/progress.h"
#include "base/text.h"
#include "comm/inside.h"

/* ---- opening ---- */

/** Ranks of a block in sums over a group: 1 in a small group, else the largest divisor up to the square root
 * of its size. */
static int block_of(int size)
{
    enum { LARGE = 16 };
    int block = 1;

    for (int b = 2; size > LARGE && b * b <= size; b++)
        if (size % b == 0)
            block = b;
    return block;
}

void group_set_block(struct group *g, int ranks)
{
    if (ranks < 1 || g->size % ranks != 0)
        bug("group %s: blocks of %d ranks do not divide %d", g->name, ranks, g->size);
    g->block = ranks;
}

static struct link *open_link(struct group *g, const struct layout *layout, enum group_id id,
                              enum carrier carrier)
{
    int first = layout_group_member(layout, comm_rank(g->comm), id, 0);
    if (g->size == 1)
        return link_self();
    return link_device(g->comm, g->dev, g->comm->ops->link(g->comm, first, g->rank, g->size, g->name),
                       carrier);
}

static struct group *group_open(struct comm *comm, struct dev *dev, const struct layout *layout,
                                enum group_id id, enum carrier carrier)
{
    static const char *const names[GROUPS] = {"tp", "dp", "kvdp", "ep", "etp", "edp", "world"};
    struct group *g = mem_new(1, sizeof *g);
    int me = comm_rank(comm);

    *g = (struct group){.comm = comm, .dev = dev, .name = names[id]};
    g->size = layout_group_size(layout, id);
    g->rank = layout_group_index(layout, me, id);
    g->link = open_link(g, layout, id, carrier);
    if (g->link->size != g->size || g->link->rank != g->rank)
        bug("group %s: rank %d of %d by the layout, %d of %d by its transport", g->name, g->rank, g->size,
            g->link->rank, g->link->size);
    g->parts = spans_new(g->size);
    g->recv = spans_new(g->size);
    g->send = spans_new(g->size);
    g->block = block_of(g->size);
    return g;
}

status groups_open(struct group *group[GROUPS], struct comm *comm, struct dev *dev,
                   const struct layout *layout)
{
    if (layout->world != comm_size(comm))
        bug("groups: a layout of %d ranks on %d", layout->world, comm_size(comm));
    enum carrier carrier;
    TRY(links_choose(comm, dev, &carrier));
    for (int id = 0; id < GROUPS; id++)
        group[id] = group_open(comm, dev, layout, (enum group_id)id, carrier);
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

int64_t group_calls(const struct group *g)
{
    return g->calls;
}

int64_t group_scratch_bytes(const struct group *g)
{
    return g->reserved;
}

double group_seconds(const struct group *g)
{
    return g->seconds;
}

/* ---- scratch ---- */

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

/** Allocate what no dry run foresaw, and report it. */
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

void group_scratch(struct group *g, int64_t bytes)
{
    if (bytes > g->needed)
        g->needed = bytes;
    if (g->needed > g->reserved && !dev_is_dry(g->dev))
        grow_scratch(g);
}

/* ---- views as spans ---- */

void group_check_equal(const struct group *g, const char *what, int64_t a, int64_t b)
{
    if (a != b)
        bug("group %s: %s: %lld and %lld", g->name, what, (long long)a, (long long)b);
}

static int64_t rows_of(const struct group *g, view v)
{
    int64_t rows = v.n[0] * v.n[1];

    if (rows > 1)
        group_check_equal(g, "elements of a row, and from row to row", v.n[2], v.ld);
    return rows;
}

int64_t group_bytes_of(const struct group *g, view v)
{
    return mem_mul(rows_of(g, v), v.n[2] * dtype_size(v.type));
}

void group_cut_rows(const struct group *g, struct spans *spans, view v, const int64_t *rows)
{
    int64_t total = spans_of_rows(spans, g->size, rows, v.n[2] * dtype_size(v.type));

    group_check_equal(g, "bytes of a view and of its parts", group_bytes_of(g, v), total);
}

void group_cut_even(const struct group *g, struct spans *spans, view v)
{
    group_check_equal(g, "elements left over by equal parts", view_size(v) % g->size, 0);
    spans_of_rows(spans, g->size, NULL, group_bytes_of(g, v) / g->size);
}

void *group_at(const void *data, int64_t bytes)
{
    return data ? (void *)((uintptr_t)data + (uintptr_t)bytes) : NULL;
}

/* This rank's own part needs no transport. */
void group_keep_own(struct group *g, void *to, const void *from, dtype type, int64_t bytes)
{
    int64_t n = bytes / dtype_size(type);

    if (n && to != from)
        dev_copy(g->dev, view_of(to, type, 1, 1, n), view_of(group_at(from, 0), type, 1, 1, n));
}

/* ---- moving ---- */

void group_start_clock(struct group *g)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    g->seconds -= (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void group_stop_clock(struct group *g)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    g->seconds += (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void group_link_gather(struct group *g, void *out)
{
    g->calls += g->size > 1;
    dev_show(g->dev);
    progress_enter("gather", g->name);
    g->link->ops->all_gather(g->link, out, g->recv);
    progress_leave();
    dev_hide(g->dev);
}

void group_link_exchange(struct group *g, void *out, const void *in)
{
    g->calls += g->size > 1;
    dev_show(g->dev);
    progress_enter("exchange", g->name);
    g->link->ops->exchange(g->link, out, g->recv, in, g->send);
    progress_leave();
    dev_hide(g->dev);
}

bool group_link_adds(const struct group *g)
{
    return g->link->ops->reduce_scatter != NULL;
}

void group_link_scatter(struct group *g, void *out, const void *in, int64_t n, dtype type)
{
    g->calls++;
    progress_enter("sum", g->name);
    g->link->ops->reduce_scatter(g->link, out, in, n, type);
    progress_leave();
    g->sent += (g->size - 1) * n * dtype_size(type);
}

void group_link_reduce(struct group *g, void *x, int64_t n, dtype type)
{
    g->calls++;
    progress_enter("sum", g->name);
    g->link->ops->all_reduce(g->link, x, n, type);
    progress_leave();
    g->sent += 2 * (g->size - 1) * n * dtype_size(type) / g->size;
}

void group_gather(struct group *g, view out, view in)
{
    int64_t mine = g->recv.n[g->rank];

    group_check_equal(g, "types", out.type, in.type);
    group_check_equal(g, "bytes of this rank's part", group_bytes_of(g, in), mine);
    if (dev_is_dry(g->dev))
        return;
    group_start_clock(g);
    group_keep_own(g, group_at(out.data, g->recv.at[g->rank]), in.data, in.type, mine);
    group_link_gather(g, out.data);
    g->sent += mine * (g->size - 1);
    group_stop_clock(g);
}

/* ---- on a stream ---- */

struct queued {
    struct group *g;
    group_call *call;
    view out, in;
    const int64_t *out_rows, *in_rows; /* they point into `rows`, or are NULL */
    int64_t rows[];
};

static void run_queued(void *with)
{
    struct queued *q = with;

    q->call(q->g, q->out, q->in, q->out_rows, q->in_rows);
    free(q);
}

static const int64_t *keep(int64_t *to, const int64_t *rows, int n)
{
    return rows ? memcpy(to, rows, (size_t)n * sizeof *rows) : NULL;
}

void group_submit(struct group *g, enum stream s, group_call *call, view out, view in,
                  const int64_t *out_rows, const int64_t *in_rows)
{
    if (s == COMPUTE || dev_is_dry(g->dev)) {
        call(g, out, in, out_rows, in_rows);
        return;
    }
    struct queued *q = mem_new(1, sizeof *q + 2 * (size_t)g->size * sizeof *q->rows);
    *q = (struct queued){.g = g, .call = call, .out = out, .in = in};
    q->out_rows = keep(q->rows, out_rows, g->size);
    q->in_rows = keep(q->rows + g->size, in_rows, g->size);
    dev_queue(g->dev, s, run_queued, q);
}

/* ---- what callers see ---- */

static void gather_even(struct group *g, view out, view in, const int64_t *rows, const int64_t *none)
{
    (void)rows, (void)none;
    group_cut_even(g, &g->recv, out);
    group_gather(g, out, in);
}

void group_all_gather(struct group *g, enum stream s, view out, view in)
{
    group_submit(g, s, gather_even, out, in, NULL, NULL);
}

static void gather_rows(struct group *g, view out, view in, const int64_t *rows, const int64_t *none)
{
    (void)none;
    group_cut_rows(g, &g->recv, out, rows);
    group_gather(g, out, in);
}

void group_all_gather_v(struct group *g, enum stream s, view out, const int64_t *rows, view in)
{
    group_submit(g, s, gather_rows, out, in, rows, NULL);
}

static void all_to_all(struct group *g, view out, view in, const int64_t *recv_rows, const int64_t *send_rows)
{
    group_cut_rows(g, &g->recv, out, recv_rows);
    group_cut_rows(g, &g->send, in, send_rows);
    group_check_equal(g, "types", out.type, in.type);
    group_check_equal(g, "bytes to and from itself", g->recv.n[g->rank], g->send.n[g->rank]);
    if (dev_is_dry(g->dev))
        return;
    group_start_clock(g);
    group_keep_own(g, group_at(out.data, g->recv.at[g->rank]), group_at(in.data, g->send.at[g->rank]),
                   in.type, g->send.n[g->rank]);
    group_link_exchange(g, out.data, in.data);
    for (int r = 0; r < g->size; r++)
        g->sent += r == g->rank ? 0 : g->send.n[r];
    group_stop_clock(g);
}

void group_all_to_all(struct group *g, enum stream s, view out, const int64_t *recv_rows, view in,
                      const int64_t *send_rows)
{
    group_submit(g, s, all_to_all, out, in, recv_rows, send_rows);
}
