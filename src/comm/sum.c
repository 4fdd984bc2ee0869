/* Sums over the ranks of a group, if the link does not make them itself: by the device, in an order that only
 * rank numbers fix: exchange, then a local sum. A few ranks are summed directly. Many are summed in two
 * levels: ranks i*B .. i*B + B - 1 are block i; first the ranks of each block are added, then the blocks.
 * With A blocks a rank sends B - 1 + A - 1 long messages instead of A*B - 1 short ones. Blocks follow rank
 * numbers and not hosts, so that the placement of ranks changes no bit. Long parts go in rounds, so that
 * scratch stays small. */
#include <string.h>
#include "base/mem.h"
#include "comm/inside.h"

/* Bytes of a round: of all members together, without and with blocks; the least of one member. */
enum { ROUND = 1 << 22, BLOCK_ROUND = 1 << 25, ROUND_LEAST = 1 << 14 };

static int64_t clip(int64_t n, int64_t most)
{
    return n < 0 ? 0 : n < most ? n : most;
}

/** Bytes of each member's part that one round takes. */
static int64_t round_bytes(const struct group *g, int64_t round, int64_t longest_part)
{
    int64_t share = round / g->size / 64 * 64;

    return clip(longest_part, share < ROUND_LEAST ? ROUND_LEAST : share);
}

static view flat(void *data, dtype type, int64_t bytes)
{
    return view_of(data, type, 1, 1, bytes / dtype_size(type));
}

/** out = the sum of `ranks` rows of `bytes` bytes that lie `pitch` bytes apart in `parts`; row `own` is at
 * `mine`. */
static void sum_rows(struct group *g, dtype type, int ranks, int64_t bytes, int64_t pitch, void *out,
                     void *parts, int own, void *mine)
{
    view rows = view_of(parts, type, 1, ranks, bytes / dtype_size(type)); /* [ranks, n] */

    rows.ld = pitch / dtype_size(type);
    dev_sum_parts(g->dev, flat(out, type, bytes), rows, own, flat(mine, type, bytes));
}

/* ---- directly ---- */

/** Cut bytes [lo, lo+length) of every part, or less at its end: this rank sends those of each member's part,
 * and receives those of its own part from each member. */
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

static int64_t longest_part(const struct group *g)
{
    int64_t longest = 0;

    for (int r = 0; r < g->size; r++)
        longest = g->parts.n[r] > longest ? g->parts.n[r] : longest;
    return longest;
}

static int64_t straight_scratch(const struct group *g)
{
    return mem_mul(g->size, round_bytes(g, ROUND, longest_part(g)));
}

/** out = the sum over ranks of this rank's part of in, which g->parts cuts. */
static void sum_straight(struct group *g, view out, view in)
{
    int64_t longest = longest_part(g), length = round_bytes(g, ROUND, longest);

    for (int64_t lo = 0; lo < longest; lo += length) {
        cut_round(g, lo, length);
        dev_poison(g->dev, g->scratch, g->reserved);
        group_link_exchange(g, g->scratch, in.data);
        sum_rows(g, in.type, g->size, g->recv.n[g->rank], length, group_at(out.data, lo), g->scratch, g->rank,
                 group_at(in.data, g->send.at[g->rank]));
    }
}

/* ---- in two levels ---- */

/** Set send and recv to messages of `bytes` bytes with the members first, first + step, ...: the k-th at
 * k*bytes. */
static void cut_members(struct group *g, int first, int step, int members, int64_t bytes)
{
    memset(g->send.n, 0, (size_t)g->size * sizeof *g->send.n);
    memset(g->recv.n, 0, (size_t)g->size * sizeof *g->recv.n);
    for (int k = 0; k < members; k++) {
        int r = first + k * step;
        g->send.at[r] = g->recv.at[r] = k * bytes;
        g->send.n[r] = g->recv.n[r] = bytes;
        g->sent += r == g->rank ? 0 : bytes;
    }
}

/** send [B, A, n] = bytes [lo, lo+n) of all parts, ordered by their owner's index in its block, then by
 * block. */
static void pack(struct group *g, char *send, view in, int64_t part, int64_t lo, int64_t n)
{
    int64_t size = dtype_size(in.type), blocks = g->size / g->block;

    for (int j = 0; j < g->block; j++) {
        view from = view_of(group_at(in.data, j * part + lo), in.type, 1, blocks, n / size); /* [A, n] */
        from.ld = g->block * part / size;
        dev_copy(g->dev, view_of(send + j * blocks * n, in.type, 1, blocks, n / size), from);
    }
}

/** Bytes of scratch for sums of parts of `part` bytes: two sets of messages, and the sum of a block. */
static int64_t blocks_scratch(const struct group *g, int64_t part)
{
    return mem_mul(2 * g->size + g->size / g->block, round_bytes(g, BLOCK_ROUND, part));
}

/** out = the sum over ranks of this rank's part of in, in two levels. All parts have `part` bytes. */
static void sum_blocks(struct group *g, view out, view in, int64_t part, char *scratch)
{
    int a = g->size / g->block, b = g->block, i = g->rank / b, j = g->rank % b;
    int64_t length = round_bytes(g, BLOCK_ROUND, part);
    char *send = scratch, *recv = send + g->size * length, *mid = recv + g->size * length;

    for (int64_t lo = 0; lo < part; lo += length) {
        int64_t n = clip(part - lo, length);
        dev_poison(g->dev, send, blocks_scratch(g, part));
        pack(g, send, in, part, lo, n);
        cut_members(g, i * b, 1, b, a * n); /* [B, A, n] */
        group_link_exchange(g, recv, send);
        sum_rows(g, in.type, b, a * n, a * n, mid, recv, j, send + j * a * n);
        cut_members(g, j, b, a, n); /* [A, n] */
        group_link_exchange(g, recv, mid);
        sum_rows(g, in.type, a, n, n, group_at(out.data, lo), recv, i, mid + i * n);
    }
}

/* ---- what callers see ---- */

/** g->parts cuts in; even: into equal parts. */
static void reduce_scatter(struct group *g, view out, view in, bool even)
{
    int64_t mine = g->parts.n[g->rank];
    bool link = even && group_link_adds(g), blocks = even && g->block > 1;

    group_check_equal(g, "types", out.type, in.type);
    group_check_equal(g, "bytes of this rank's part", group_bytes_of(g, out), mine);
    if (g->size > 1 && !link)
        group_scratch(g, blocks ? blocks_scratch(g, mine) : straight_scratch(g));
    if (dev_is_dry(g->dev))
        return;
    group_start_clock(g);
    if (g->size == 1)
        group_keep_own(g, out.data, in.data, in.type, mine);
    else if (link)
        group_link_scatter(g, out.data, in.data, mine / dtype_size(in.type), in.type);
    else if (blocks)
        sum_blocks(g, out, in, mine, g->scratch);
    else
        sum_straight(g, out, in);
    group_stop_clock(g);
}

static void scatter_even(struct group *g, view out, view in, const int64_t *none, const int64_t *rows)
{
    (void)none, (void)rows;
    group_cut_even(g, &g->parts, in);
    reduce_scatter(g, out, in, true);
}

void group_reduce_scatter(struct group *g, enum stream s, view out, view in)
{
    group_submit(g, s, scatter_even, out, in, NULL, NULL);
}

static void scatter_rows(struct group *g, view out, view in, const int64_t *none, const int64_t *rows)
{
    (void)none;
    group_cut_rows(g, &g->parts, in, rows);
    reduce_scatter(g, out, in, false);
}

void group_reduce_scatter_v(struct group *g, enum stream s, view out, view in, const int64_t *rows)
{
    group_submit(g, s, scatter_rows, out, in, NULL, rows);
}

/** For small x: every rank gathers the x of all, and sums. */
static void all_reduce_small(struct group *g, view x)
{
    int64_t n = group_bytes_of(g, x);

    group_scratch(g, mem_mul(g->size, n));
    if (dev_is_dry(g->dev))
        return;
    group_start_clock(g);
    spans_of_rows(&g->recv, g->size, NULL, n);
    group_keep_own(g, group_at(g->scratch, g->recv.at[g->rank]), x.data, x.type, n);
    group_link_gather(g, g->scratch);
    sum_rows(g, x.type, g->size, n, n, x.data, g->scratch, g->rank, x.data);
    g->sent += n * (g->size - 1);
    group_stop_clock(g);
}

/** Each rank sums one part, then all gather the parts. The sums have the same order. */
static void all_reduce_straight(struct group *g, view x)
{
    int64_t total = view_size(x), size = dtype_size(x.type);
    view all = view_reshape(x, 1, 1, total), mine; /* [total], [its part] */

    for (int r = 0; r < g->size; r++) {
        struct range part = block(total, g->size, r);
        g->parts.at[r] = part.lo * size;
        g->parts.n[r] = part.n * size;
    }
    mine = view_cols(all, g->parts.at[g->rank] / size, g->parts.n[g->rank] / size);
    reduce_scatter(g, mine, all, false);
    memcpy(g->recv.at, g->parts.at, (size_t)g->size * sizeof *g->recv.at);
    memcpy(g->recv.n, g->parts.n, (size_t)g->size * sizeof *g->recv.n);
    group_gather(g, all, mine);
}

/** The same in two levels, on a copy that is filled up with zeros to equal parts. */
static void all_reduce_blocks(struct group *g, view x)
{
    int64_t total = view_size(x), size = dtype_size(x.type), part = (total + g->size - 1) / g->size * size;
    int64_t copy = (part * g->size + 63) / 64 * 64;

    group_scratch(g, copy + blocks_scratch(g, part));
    if (dev_is_dry(g->dev))
        return;
    view all = flat(g->scratch, x.type, part * g->size);                         /* [ranks parts] */
    view mine = flat(g->scratch + g->rank * part, x.type, part);                 /* [a part] */
    view values = view_cols(all, 0, total), same = view_reshape(x, 1, 1, total); /* [total] */
    dev_copy(g->dev, values, same);
    view rest = flat(g->scratch + total * size, F32, part * g->size - total * size);
    dev_fill(g->dev, rest, 0); /* zero has the same bits in all types */
    group_start_clock(g);
    sum_blocks(g, mine, all, part, g->scratch + copy);
    group_stop_clock(g);
    spans_of_rows(&g->recv, g->size, NULL, part);
    group_gather(g, all, mine);
    dev_copy(g->dev, same, values);
}

static void all_reduce_by_link(struct group *g, view x)
{
    if (dev_is_dry(g->dev) || view_size(x) == 0)
        return;
    group_start_clock(g);
    group_link_reduce(g, x.data, view_size(x), x.type);
    group_stop_clock(g);
}

static void all_reduce(struct group *g, view x, view same, const int64_t *none, const int64_t *rows)
{
    int64_t all = mem_mul(group_bytes_of(g, x), g->size);

    (void)same, (void)none, (void)rows;
    if (g->size == 1)
        return;
    if (group_link_adds(g))
        all_reduce_by_link(g, x);
    else if (all <= ROUND_LEAST)
        all_reduce_small(g, x);
    else if (g->block == 1)
        all_reduce_straight(g, x);
    else
        all_reduce_blocks(g, x);
}

void group_all_reduce(struct group *g, enum stream s, view x)
{
    group_submit(g, s, all_reduce, x, x, NULL, NULL);
}
