/* Moving rows to the experts and back: the plan, which is a stable counting sort; gather; combine. */
#include "device/cpu/wide.h"
#include <string.h>

/* Give every assignment the next free position of its expert. next [X] is where each expert begins, and then
 * where it ends. */
static void place(int32_t *next, view slot, int32_t *source, view idx)
{
    int64_t k = idx.n[2];
    for (int64_t n = 0; n < idx.n[1]; n++)
        for (int64_t j = 0; j < k; j++) {
            int32_t e = i32_row(idx, n)[j];
            int32_t to = e >= 0 ? next[e]++ : -1;
            i32_row(slot, n)[j] = to;
            if (to >= 0)
                source[to] = (int32_t)(n * k + j);
        }
}

/* One thread does this, because T * k integers are few beside the rows that they move. */
void cpu_route_plan(struct dev *dev, view counts, view slot, view pick, view idx, int64_t room)
{
    int64_t experts = view_size(counts), total = 0;
    int32_t *count = counts.data, *next = cpu_scratch(dev, experts * (int64_t)sizeof *next);
    memset(count, 0, (size_t)experts * sizeof *count);
    memset(pick.data, 0xff, (size_t)view_size(pick) * sizeof *next); /* -1 */
    for (int64_t n = 0; n < idx.n[1]; n++)
        for (int64_t j = 0; j < idx.n[2]; j++) {
            int32_t e = i32_row(idx, n)[j];
            if (e >= 0)
                count[e]++;
        }
    for (int64_t e = 0; e < experts; e++) {
        if (room > 0 && count[e] > room)
            bug("route_plan: %d assignments for %d places of expert %d", (int)count[e], (int)room, (int)e);
        next[e] = (int32_t)total;
        total += count[e] = room > 0 ? (int32_t)room : count[e];
    }
    place(next, slot, pick.data, idx);
}

void cpu_gather_rows(struct dev *dev, view y, view x, view row, int64_t div)
{
    (void)dev;
    const int32_t *from = row.data;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < y.n[1]; r++)
        if (from[r] < 0)
            memset(row_of(y, r), 0, (size_t)(y.n[2] * dtype_size(y.type)));
        else
            wide_copy(y, r, x, from[r] / div);
}

void cpu_put_rows(struct dev *dev, view y, view x, view row)
{
    (void)dev;
    const int32_t *to = row.data;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < x.n[1]; r++)
        if (to[r] >= 0)
            wide_copy(y, to[r], x, r);
}

/* The first row is assigned and not added to zero, so that its bits stay (0 + -0 would be 0). */
KERNEL void cpu_combine(struct dev *dev, view out, view y, view slot, bool acc)
{
    (void)dev;
    int64_t h = out.n[2];
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < out.n[1]; t++) {
        const int32_t *from = i32_row(slot, t);
        float *to = acc ? wide_row(out, t, 0) : wide_room(out, t, 0);
        bool add = acc;
        for (int64_t j = 0; j < slot.n[2]; j++) {
            if (from[j] < 0)
                continue;
            const float *row = wide_row(y, from[j], 1);
#pragma omp simd
            for (int64_t i = 0; i < h; i++)
                to[i] = add ? to[i] + row[i] : row[i];
            add = true;
        }
        if (!add)
            memset(to, 0, (size_t)h * sizeof *to);
        wide_store(out, t, to);
    }
}

/* Rows arrive in the order (q, p, expert). Expert order is (expert, p, q), where (p, q) are source ranks. */
void cpu_expert_order(struct dev *dev, view order, view back, view cnt, int64_t q)
{
    int64_t sources = cnt.n[1], experts = cnt.n[2], p = sources / q, at = 0;
    int64_t *start = cpu_scratch(dev, sources * experts * (int64_t)sizeof *start); /* where each run begins */
    int32_t r = 0, *to = order.data, *from = back.data;
    for (int64_t i = 0; i < sources * experts; i++) {
        start[i] = at;
        at += i32_row(cnt, i / experts)[i % experts];
    }
    for (int64_t e = 0; e < experts; e++)
        for (int64_t source = 0; source < sources; source++) {
            int64_t lies = source % q * p + source / q;
            for (int32_t i = 0; i < i32_row(cnt, lies)[e]; i++, r++) {
                to[r] = (int32_t)(start[lies * experts + e] + i);
                from[to[r]] = r;
            }
        }
}
