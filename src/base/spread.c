#include "base/spread.h"

static int64_t common_divisor(int64_t a, int64_t b)
{
    return b ? common_divisor(b, a % b) : a;
}

/* A step of about the golden section of n spreads best. It reaches every number if it has no common divisor
 * with n.
 */
struct spread spread_begin(int64_t n, int part, int parts)
{
    if (part >= n)
        return (struct spread){0};
    int64_t step = (int64_t)(0.618033988749895 * (double)n);
    while (step < 1 || common_divisor(n, step) != 1)
        step++;
    struct spread s = {.n = n, .left = (n - part + parts - 1) / parts};
    for (int i = 0; i < part; i++)
        s.at = (s.at + step) % n;
    for (int i = 0; i < parts; i++)
        s.step = (s.step + step) % n;
    return s;
}

int64_t spread_next(struct spread *s)
{
    if (s->left == 0)
        return -1;
    int64_t now = s->at;
    s->at = (s->at + s->step) % s->n;
    s->left--;
    return now;
}
