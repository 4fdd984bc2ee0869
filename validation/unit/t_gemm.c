/* Products whose inner dimension is longer than one chunk of cpu_gemm. The numbers are integers, so every
 * order of summation gives the same bits, and the reference is exact. */
#include "base/mem.h"
#include "base/rng.h"
#include "device/dev.h"
#include "tap.h"

enum { M = 5, N = 7, LONGEST = 2 * 512 + 513 };

/* Element (i, j), small: sums stay below 2^24. */
static float number(int64_t i, int64_t j)
{
    return (float)(int)(rng_mix((uint64_t)(i * 10007 + j)) % 17) - 8;
}

static view filled(int64_t rows, int64_t columns, int64_t salt)
{
    float *x = mem_new(rows * columns, sizeof *x);
    for (int64_t i = 0; i < rows * columns; i++)
        x[i] = number(salt, i);
    return view_of(x, F32, 1, rows, columns);
}

static float at(view v, bool transposed, int64_t i, int64_t j)
{
    const float *x = v.data;
    return transposed ? x[j * v.ld + i] : x[i * v.ld + j];
}

static void check(struct dev *dev, bool ta, bool tb, int64_t k, bool acc)
{
    view a = ta ? filled(k, M, 1) : filled(M, k, 1), b = tb ? filled(N, k, 2) : filled(k, N, 2);
    view c = filled(M, N, 3), before = filled(M, N, 3);
    dev_gemm(dev, ta, tb, a, b, acc, c);
    int wrong = 0;
    for (int64_t i = 0; i < M; i++)
        for (int64_t j = 0; j < N; j++) {
            double sum = acc ? (double)at(before, false, i, j) : 0;
            for (int64_t l = 0; l < k; l++)
                sum += (double)at(a, ta, i, l) * (double)at(b, tb, l, j);
            wrong += sum != (double)at(c, false, i, j);
        }
    ok(wrong == 0, "%s x %s, inner dimension %lld%s: exact (%d differ)", ta ? "a^T" : "a", tb ? "b^T" : "b",
       (long long)k, acc ? ", added" : "", wrong);
    free(a.data);
    free(b.data);
    free(c.data);
    free(before.data);
}

int main(void)
{
    static const int64_t inner[] = {1, 511, 512, 513, 1024, LONGEST};
    struct dev *dev;
    struct dev_options options = {.threads = 1};
    if (dev_open(&dev, "cpu", 0, &options) != OK)
        return 99;
    for (int i = 0; i < (int)(sizeof inner / sizeof *inner); i++)
        for (int kind = 0; kind < 8; kind++)
            check(dev, kind & 1, kind & 2, inner[i], kind & 4);
    dev_close(dev);
    return tap_done();
}
