/* run.profile: the first step does not count, ops add up over the other steps, medians, samples of the
 * ceiling. */
#include "base/mem.h"
#include "tap.h"
#include "train/profile.h"
#include <stdlib.h>
#include <string.h>

enum { N = 64 };

static void step(struct profile *p, struct comm *comm, struct dev *dev, view x, double seconds)
{
    profile_step_begin(p, dev);
    dev_gemm(dev, false, false, view_rows(x, 0, N), view_rows(x, 0, N), false, view_rows(x, N, N));
    dev_gemm(dev, false, false, view_rows(x, 0, N), view_rows(x, 0, N), false, view_rows(x, N, N));
    dev_copy(dev, view_rows(x, N, N), view_rows(x, 0, N));
    profile_step_end(p, comm, dev, seconds);
}

static struct dev_profile_row *row;

static int rows_of(struct dev *dev, enum dev_profile_by by)
{
    free(row);
    return dev_profile_rows(dev, by, &row);
}

static const struct dev_profile_row *find(int rows, const char *op)
{
    for (int i = 0; i < rows; i++)
        if (strcmp(row[i].op, op) == 0)
            return &row[i];
    return NULL;
}

/* Shapes of two products and a sum; then more shapes than there is room for. */
static void test_shapes(struct dev *dev, view x)
{
    enum { MANY = 700 };
    double total = 0;
    view sum = view_of(&total, F64, 1, 1, 1);
    dev_profile(dev, true);
    for (int i = 0; i < 3; i++)
        dev_gemm(dev, false, true, view_rows(x, 0, 3), view_rows(x, 0, 5), false,
                 view_cols(view_rows(x, N, 3), 0, 5));
    dev_sum(dev, sum, view_rows(x, 0, 7));
    const struct dev_profile_row *small = find(rows_of(dev, BY_SHAPE), "sum");
    ok(small && small->m == 7 && small->n == N && small->k == 0 && small->calls == 1,
       "a sum's shape is its input's");
    int n = rows_of(dev, BY_SHAPE), gemms = 0;
    for (int i = 0; i < n; i++) {
        bool square = row[i].m == N && row[i].n == N && row[i].k == N && row[i].calls == 8;
        bool flat = row[i].m == 3 && row[i].n == 5 && row[i].k == N && row[i].calls == 3;
        gemms += strcmp(row[i].op, "gemm") == 0 && (square || flat);
    }
    ok(n == 4 && gemms == 2 && rows_of(dev, BY_OP) == 3, "two shapes of gemm, %d rows", n);
    for (int round = 0; round < 2; round++) {
        for (int i = 1; i <= MANY; i++)
            dev_fill(dev, view_of(x.data, F32, 1, 1 + i / N, 1 + i % N), 0);
        n = rows_of(dev, BY_SHAPE);
        int64_t rest = 0;
        for (int i = 0; i < n; i++)
            rest += row[i].m == 0 ? row[i].calls : 0;
        ok(round == 0 ? rest > 0 : n > MANY, "%d rows, %lld calls without room", n, (long long)rest);
        ok(find(rows_of(dev, BY_OP), "fill")->calls == (round + 1) * MANY, "no call is lost");
        dev_profile(dev, true);
    }
}

int main(void)
{
    struct comm *comm;
    struct dev *dev;
    struct dev_options options = {.threads = 1};
    struct profile p;
    if (comm_open(&comm) != OK || dev_open(&dev, "cpu", 0, &options) != OK)
        return 1;
    float *memory = mem_new(2 * N * N, sizeof *memory);
    view x = view_of(memory, F32, 1, 2 * N, N);

    profile_open(&p, true, BF16);
    step(&p, comm, dev, x, 100);
    ok(rows_of(dev, BY_OP) == 0 && isnan(profile_median_step(&p)), "the first step does not count");
    const double seconds[] = {5, 1, 9, 4};
    for (int i = 0; i < 4; i++)
        step(&p, comm, dev, x, seconds[i]);
    int ops = rows_of(dev, BY_OP);
    const struct dev_profile_row *gemm = find(ops, "gemm"), *copy = find(ops, "copy");
    ok(ops == 2 && gemm && copy, "two kinds of op (%d)", ops);
    ok(gemm && gemm->calls == 8 && copy && copy->calls == 4, "calls add up over four steps");
    ok(gemm && gemm->flops == 8.0 * 2 * N * N * N && gemm->seconds > 0, "FLOPs and time add up");
    ok(row[0].seconds >= row[1].seconds, "slowest first");
    ok(profile_median_step(&p) == 4.5, "median of 5, 1, 9, 4 is 4.5 (%g)", profile_median_step(&p));
    double ceiling = profile_ceiling(&p, comm), least = p.ceiling[0], most = p.ceiling[0];
    for (int i = 1; i < 8; i++) {
        least = fmin(least, p.ceiling[i]);
        most = fmax(most, p.ceiling[i]);
    }
    ok(least > 0 && ceiling >= least && ceiling <= most,
       "two samples of the ceiling a step, and their median");
    profile_close(&p);

    ok(ceiling_share(5e8, 1) == 0.5 && ceiling_share(1e9, 1) == 1 && isnan(ceiling_share(1.001e9, 1)),
       "half of the ceiling, all of it; more is not judged");
    double lowered = ceiling / 1e4, held = ceiling_held(comm, dev, BF16, lowered, 1e9 * ceiling / 1e3);
    ok(held > lowered && ceiling_share(1e9 * ceiling / 1e3, held) <= 1,
       "a ceiling that was lowered, and a step faster than it: it is raised (%g to %g GFLOP/s)", lowered,
       held);
    ok(ceiling_held(comm, dev, BF16, lowered, 1e9 * lowered / 2) == lowered, "a slower step: it stays");
    ok(ceiling_held(comm, dev, BF16, 1e9, 2e18) == 1e9, "it never falls, though the step stays beyond it");

    profile_open(&p, false, F32);
    step(&p, comm, dev, x, 1);
    step(&p, comm, dev, x, 1);
    ok(rows_of(dev, BY_OP) == ops && p.steps == 0 && isnan(profile_ceiling(&p, comm)),
       "off: nothing is kept");
    profile_close(&p);
    test_shapes(dev, x);
    free(row);
    free(memory);
    dev_close(dev);
    comm_close(comm);
    return tap_done();
}
