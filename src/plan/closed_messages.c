/* Messages, and the ops that sums are made of, as comm/group.c and comm/sum.c do them. */
#include "plan/closed_inside.h"

enum { ROUND = 1 << 22, BLOCK_ROUND = 1 << 25, ROUND_LEAST = 1 << 14, LARGE = 16 };

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t size_of(const struct form *f, enum group_id g)
{
    return layout_group_size(&f->l, g);
}

static void count(struct form *f, enum group_id g, int64_t bytes)
{
    if (size_of(f, g) == 1)
        return;
    f->out->group[g].calls += (double)f->calls;
    f->out->group[g].bytes += (double)(bytes * f->calls);
}

static void copy(struct form *f, int64_t m, int64_t n, int64_t size)
{
    if (m * n > 0)
        form_op(f, "copy", m, n, 0, 2 * m * n * size);
}

static void sum_parts(struct form *f, int64_t ranks, int64_t bytes, int64_t size)
{
    form_op(f, "sum_parts", ranks, bytes / size, 0, (ranks + 1) * bytes);
}

void form_gather(struct form *f, enum group_id g, int64_t bytes, int64_t size, bool copied)
{
    if (copied)
        copy(f, 1, bytes / size, size);
    count(f, g, bytes * (size_of(f, g) - 1));
}

void form_exchange(struct form *f, enum group_id g, int64_t self, int64_t away, int64_t size)
{
    copy(f, 1, self, size);
    count(f, g, away * size);
}

static int64_t round_bytes(int64_t round, int64_t ranks, int64_t longest)
{
    int64_t share = round / ranks / 64 * 64;
    return least(longest, share < ROUND_LEAST ? ROUND_LEAST : share);
}

/* Ranks of a block in the sums of a large group. */
static int64_t block_of(int64_t size)
{
    int64_t found = 1;
    for (int64_t b = 2; size > LARGE && b * b <= size; b++)
        if (size % b == 0)
            found = b;
    return found;
}

/* Parts of about `bytes` bytes together; this rank's has `mine`, the longest `longest`. */
static void sum_straight(struct form *f, enum group_id g, int64_t bytes, int64_t mine, int64_t longest,
                         int64_t size)
{
    int64_t n = size_of(f, g), length = round_bytes(ROUND, n, longest);
    for (int64_t lo = 0; lo < longest; lo += length) {
        int64_t part = mine > lo ? least(mine - lo, length) : 0;
        count(f, g, lo == 0 ? bytes - mine : 0);
        sum_parts(f, n, part, size);
    }
}

static void sum_blocks(struct form *f, enum group_id g, int64_t part, int64_t size)
{
    int64_t n = size_of(f, g), b = block_of(n), a = n / b, length = round_bytes(BLOCK_ROUND, n, part);
    for (int64_t lo = 0; lo < part; lo += length) {
        int64_t now = least(part - lo, length);
        for (int64_t j = 0; j < b; j++)
            copy(f, a, now / size, size);
        count(f, g, (b - 1) * a * now);
        sum_parts(f, b, a * now, size);
        count(f, g, (a - 1) * now);
        sum_parts(f, a, now, size);
    }
}

void form_reduce_scatter(struct form *f, enum group_id g, int64_t part, int64_t size, bool even)
{
    int64_t n = size_of(f, g);
    if (even && block_of(n) > 1)
        sum_blocks(f, g, part, size);
    else
        sum_straight(f, g, n * part, part, part, size);
}

/* Every rank's numbers are gathered and summed. */
static void all_reduce_small(struct form *f, enum group_id g, int64_t n, int64_t size)
{
    form_gather(f, g, n * size, size, true);
    sum_parts(f, size_of(f, g), n * size, size);
}

static void all_reduce_straight(struct form *f, enum group_id g, int64_t n, int64_t size)
{
    int64_t ranks = size_of(f, g), rank = layout_group_index(&f->l, f->at.d * f->l.tp + f->at.t, g),
            longest = 0;
    for (int64_t r = 0; r < ranks; r++)
        longest = block(n, ranks, r).n > longest ? block(n, ranks, r).n : longest;
    int64_t mine = block(n, ranks, rank).n;
    sum_straight(f, g, n * size, mine * size, longest * size, size);
    form_gather(f, g, mine * size, size, false);
}

static void all_reduce_blocks(struct form *f, enum group_id g, int64_t n, int64_t size)
{
    int64_t ranks = size_of(f, g), part = (n + ranks - 1) / ranks * size, rest = part * ranks - n * size;
    copy(f, 1, n, size);
    form_op(f, "fill", 1, rest / 4, 0, rest);
    sum_blocks(f, g, part, size);
    form_gather(f, g, part, size, false);
    copy(f, 1, n, size);
}

void form_all_reduce(struct form *f, enum group_id g, int64_t n, int64_t size)
{
    int64_t ranks = size_of(f, g);
    if (ranks == 1)
        return;
    if (n * size * ranks <= ROUND_LEAST)
        all_reduce_small(f, g, n, size);
    else if (block_of(ranks) == 1)
        all_reduce_straight(f, g, n, size);
    else
        all_reduce_blocks(f, g, n, size);
}
