/* Which assignments stay when experts are full (definitions D5), and the routing state after a step. */
#include "device/cpu/cpu.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- capacity: a counting sort by expert, then a cut ---- */

struct candidate {
    float weight;
    int64_t at; /* n*k + j: ascending n breaks ties */
};

static int by_weight(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* list: the candidates, at most n, expert by expert, in the order of tokens. end [X]: where each expert's
 * candidates end. */
static void list_candidates(struct candidate *list, int64_t *end, const int32_t *idx, const float *gate,
                            int64_t n, int64_t experts)
{
    memset(end, 0, (size_t)experts * sizeof *end);
    for (int64_t a = 0; a < n; a++)
        if (idx[a] >= 0 && idx[a] + 1 < experts)
            end[idx[a] + 1]++;
    for (int64_t e = 1; e < experts; e++)
        end[e] += end[e - 1]; /* where e begins; the next loop moves it to where e ends */
    for (int64_t a = 0; a < n; a++)
        if (idx[a] >= 0)
            list[end[idx[a]]++] = (struct candidate){gate[a], a};
}

/* Keep the first `most` candidates of one expert. kept holds choices [first, first + n) of the micro-batch.
 */
static void cut(const struct capacity *c, struct candidate *list, int64_t count, int32_t *kept, int64_t first,
                int64_t n, double *dropped, double *least)
{
    if (count <= c->most)
        return;
    if (c->by_gate) {
        qsort(list, (size_t)count, sizeof *list, by_weight);
        if (c->most > 0)
            *least = fmin(*least, (double)list[c->most - 1].weight - (double)list[c->most].weight);
    }
    for (int64_t i = c->most; i < count; i++)
        if (list[i].at >= first && list[i].at < first + n) {
            kept[list[i].at - first] = -1;
            ++*dropped;
        }
}

void cpu_capacity(struct dev *dev, struct capacity c, view kept, view dropped, view least, view idx,
                  view gate)
{
    int64_t k = idx.n[2], n = view_size(idx), mine = view_size(kept), from = 0;
    struct candidate *list =
        cpu_scratch(dev, n * (int64_t)sizeof *list + c.experts * (int64_t)sizeof(int64_t));
    int64_t *end = (int64_t *)(list + n);
    if (n == 0)
        return;
    if (mine > 0)
        memcpy(kept.data, (int32_t *)idx.data + c.first * k, (size_t)mine * sizeof(int32_t));
    list_candidates(list, end, idx.data, gate.data, n, c.experts);
    for (int64_t e = 0; e < c.experts; from = end[e], e++)
        cut(&c, list + from, end[e] - from, kept.data, c.first * k, mine, dropped.data, least.data);
}

/* ---- routing state ---- */

static bool goes(view control)
{
    return ((const float *)control.data)[1] != 0;
}

static double mean_of(view counts)
{
    const double *n = counts.data;
    double sum = 0;
    for (int64_t e = 0; e < view_size(counts); e++)
        sum += n[e]; /* exact, because these are integers */
    return sum / (double)view_size(counts);
}

void cpu_balance_bias(struct dev *dev, view value, view counts, int64_t first, float rate, view control)
{
    const double *n = (const double *)counts.data + first;
    double mean = mean_of(counts);
    float *bias = value.data;
    (void)dev;
    for (int64_t i = 0; i < view_size(value) && goes(control); i++)
        bias[i] = n[i] < mean ? bias[i] + rate : n[i] > mean ? bias[i] - rate : bias[i];
}

void cpu_balance_load(struct dev *dev, view value, view counts, int64_t first, view control)
{
    const double *n = (const double *)counts.data + first;
    double mean = mean_of(counts);
    (void)dev;
    for (int64_t i = 0; i < view_size(value) && goes(control); i++)
        ((float *)value.data)[i] = mean > 0 ? (float)(n[i] / mean) : 1;
}
