#include "data/blend.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/status.h"

void blend_open(struct blend *b, int n, const double *weight)
{
    double sum = 0;

    *b = (struct blend){n, mem_new(n, sizeof *b->weight), 0, mem_new(n, sizeof *b->taken)};
    for (int s = 0; s < n; s++)
        sum += weight[s];
    for (int s = 0; s < n; s++)
        b->weight[s] = weight[s] / sum;
}

void blend_close(struct blend *b)
{
    free(b->weight);
    free(b->taken);
    *b = (struct blend){0};
}

/* The set that lags most behind its share. */
static int choose(const struct blend *b, int64_t i)
{
    double share = (double)(i > 0 ? i : 1), most = 0;
    int chosen = -1;

    for (int s = 0; s < b->n; s++) {
        double lag = b->weight[s] * share - (double)b->taken[s];
        if (chosen < 0 || lag > most) {
            chosen = s;
            most = lag;
        }
    }
    return chosen;
}

int blend_locate(struct blend *b, int64_t i, int64_t *nth)
{
    if (i < 0)
        bug("blend: sample %lld", (long long)i);
    if (b->n == 1) {
        *nth = i;
        return 0;
    }
    if (i < b->next) {
        memset(b->taken, 0, (size_t)b->n * sizeof *b->taken);
        b->next = 0;
    }
    for (; b->next < i; b->next++)
        b->taken[choose(b, b->next)]++;
    int set = choose(b, i);
    *nth = b->taken[set];
    return set;
}
