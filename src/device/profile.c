/* Time, FLOPs and bytes by op and shape, in a hash table. It grows only when profiling is switched on,
 * between steps. Until then a shape for which there is no room counts as the rest of its op. */
#include <stdlib.h>
#include <omp.h>
#include "base/mem.h"
#include "device/check.h"

enum { FIRST = 512, LIMIT = 1 << 16 };

/** The row of this op and shape, or a free row for it. The table is never full. */
static struct dev_profile_row *find(const struct profile_table *p, const struct dev_profile_row *as)
{
    uint64_t hash = 0;
    const int64_t key[] = {(int64_t)(intptr_t)as->op, as->m, as->n, as->k};
    for (int i = 0; i < 4; i++)
        hash = (hash ^ (uint64_t)key[i]) * 0x9e3779b97f4a7c15ull;
    for (int64_t i = (int64_t)(hash >> 32) % p->room;; i = (i + 1) % p->room) {
        struct dev_profile_row *row = &p->row[i];
        if (!row->op || (row->op == as->op && row->m == as->m && row->n == as->n && row->k == as->k))
            return row;
    }
}

static void grow(struct profile_table *p, int64_t room)
{
    struct profile_table was = *p;
    p->row = mem_new(room, sizeof *p->row);
    p->room = room;
    for (int64_t i = 0; i < was.room; i++)
        if (was.row[i].op)
            *find(p, &was.row[i]) = was.row[i];
    free(was.row);
}

void dev_profile(struct dev *dev, bool on)
{
    struct profile_table *p = &dev->profile;
    dev->profiling = on;
    if (on && p->used >= p->room / 2 && p->room < LIMIT)
        grow(p, p->room > 0 ? 2 * p->room : FIRST);
}

void profile_free(struct profile_table *p)
{
    free(p->row);
}

static void add_row(struct dev_profile_row *sum, const struct dev_profile_row *x)
{
    sum->calls += x->calls;
    sum->seconds += x->seconds;
    sum->flops += x->flops;
    sum->bytes += x->bytes;
}

/** The row to count in: that of the shape, a new one, or that of the rest of the op. */
static struct dev_profile_row *row_for(struct profile_table *p, enum dev_op op,
                                       const struct dev_profile_row *as)
{
    struct dev_profile_row *row = find(p, as);
    if (row->op)
        return row;
    if (p->used + 1 < p->room) {
        p->used++;
        *row = (struct dev_profile_row){.op = as->op, .m = as->m, .n = as->n, .k = as->k};
        return row;
    }
    p->rest[op].op = as->op;
    return &p->rest[op];
}

void profile_count(struct dev *dev, enum dev_op op, view shape, double begin, double flops, double bytes)
{
    struct profile_table *p = &dev->profile;
    struct dev_profile_row as = {
        .op = dev_op_name(op), .m = shape.n[0] * shape.n[1], .n = shape.n[2], .calls = 1};
    double results = (double)as.m * (double)as.n;
    as.k = results > 0 ? (int64_t)(flops / (2 * results)) : 0;
    struct dev_profile_row *row = row_for(p, op, &as);
    as.seconds = omp_get_wtime() - begin;
    as.flops = flops;
    as.bytes = bytes;
    add_row(row, &as);
}

static int by_time(const void *a, const void *b)
{
    const struct dev_profile_row *x = a, *y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

/** The index of the row of `to` in which a row counts: that of its op among the first n, else n. */
static int place_of(const struct dev_profile_row *row, enum dev_profile_by by,
                    const struct dev_profile_row *to, int n)
{
    int i = by == BY_OP ? 0 : n;
    while (i < n && to[i].op != row->op)
        i++;
    return i;
}

static int gather(const struct dev_profile_row *row, int64_t rows, enum dev_profile_by by,
                  struct dev_profile_row *to, int n)
{
    for (int64_t r = 0; r < rows; r++) {
        if (!row[r].op)
            continue;
        int i = place_of(&row[r], by, to, n);
        if (i == n) {
            to[n++] = row[r];
            continue;
        }
        add_row(&to[i], &row[r]);
        to[i].m = to[i].n = to[i].k = 0;
    }
    return n;
}

int dev_profile_rows(struct dev *dev, enum dev_profile_by by, struct dev_profile_row **out)
{
    const struct profile_table *p = &dev->profile;
    *out = mem_new(p->used + OP_COUNT, sizeof **out);
    int n = gather(p->row, p->room, by, *out, 0);
    n = gather(p->rest, OP_COUNT, by, *out, n);
    qsort(*out, (size_t)n, sizeof **out, by_time);
    return n;
}
