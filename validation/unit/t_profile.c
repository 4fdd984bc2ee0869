/* run.profile: the first step does not count, ops add up over the others, medians, the ceiling's samples. */
#include "base/mem.h"
#include "tap.h"
#include "train/profile.h"
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

static const struct dev_profile_row *find(const struct profile *p, const char *op)
{
    for (int i = 0; i < p->ops; i++)
        if (strcmp(p->op[i].op, op) == 0)
            return &p->op[i];
    return NULL;
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

    profile_open(&p, true);
    step(&p, comm, dev, x, 100);
    ok(p.ops == 0 && isnan(profile_median_step(&p)), "the first step does not count");
    const double seconds[] = {5, 1, 9, 4};
    for (int i = 0; i < 4; i++)
        step(&p, comm, dev, x, seconds[i]);
    const struct dev_profile_row *gemm = find(&p, "gemm"), *copy = find(&p, "copy");
    ok(p.ops == 2 && gemm && copy, "two kinds of op (%d)", p.ops);
    ok(gemm && gemm->calls == 8 && copy && copy->calls == 4, "calls add up over four steps");
    ok(gemm && gemm->flops == 8.0 * 2 * N * N * N && gemm->seconds > 0, "FLOPs and time add up");
    ok(p.op[0].seconds >= p.op[1].seconds, "slowest first");
    ok(profile_median_step(&p) == 4.5, "median of 5, 1, 9, 4 is 4.5 (%g)", profile_median_step(&p));
    double ceiling = profile_ceiling(&p, comm), least = p.ceiling[0], most = p.ceiling[0];
    for (int i = 1; i < 8; i++) {
        least = fmin(least, p.ceiling[i]);
        most = fmax(most, p.ceiling[i]);
    }
    ok(least > 0 && ceiling >= least && ceiling <= most, "two samples of the ceiling a step, and their median");
    profile_close(&p);

    profile_open(&p, false);
    step(&p, comm, dev, x, 1);
    step(&p, comm, dev, x, 1);
    ok(p.ops == 0 && p.steps == 0 && isnan(profile_ceiling(&p, comm)), "off: nothing is kept");
    profile_close(&p);
    free(memory);
    dev_close(dev);
    comm_close(comm);
    return tap_done();
}
