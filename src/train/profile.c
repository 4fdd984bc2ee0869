#include "train/profile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

void profile_open(struct profile *p, bool on, dtype matrices)
{
    *p = (struct profile){.on = on, .matrices = matrices};
}

void profile_close(struct profile *p)
{
    free(p->step_seconds);
    free(p->ceiling);
}

void profile_step_begin(struct profile *p, struct dev *dev)
{
    if (p->on)
        dev_profile(dev, p->steps > 0);
}

void profile_step_end(struct profile *p, struct comm *comm, struct dev *dev, double seconds)
{
    if (!p->on || p->steps++ == 0)
        return;
    dev_profile(dev, false);
    int64_t n = p->steps - 1;
    if (n > p->room) {
        p->room = 2 * n;
        p->step_seconds = mem_grow(p->step_seconds, p->room, sizeof *p->step_seconds);
        p->ceiling = mem_grow(p->ceiling, 2 * p->room, sizeof *p->ceiling);
    }
    p->step_seconds[n - 1] = seconds;
    comm_barrier(comm);
    for (int i = 1; i <= 2; i++)
        p->ceiling[2 * n - i] = dev_ceiling_sample(dev, p->matrices);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *value, int64_t n)
{
    if (n < 1)
        return (double)NAN;
    double *sorted = mem_new(n, sizeof *sorted);
    memcpy(sorted, value, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, ascending);
    double middle = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
    free(sorted);
    return middle;
}

double profile_median_step(const struct profile *p)
{
    return median(p->step_seconds, p->steps - 1);
}

double profile_ceiling(const struct profile *p, struct comm *comm)
{
    double sum = median(p->ceiling, 2 * (p->steps - 1));
    comm_sum_f64(comm, &sum, 1);
    return sum;
}

double ceiling_sample(struct comm *comm, struct dev *dev, dtype matrices)
{
    enum { SAMPLES = 5 };
    double sample[SAMPLES];
    comm_barrier(comm);
    for (int i = 0; i < SAMPLES; i++)
        sample[i] = dev_ceiling_sample(dev, matrices);
    double sum = median(sample, SAMPLES);
    comm_sum_f64(comm, &sum, 1);
    return sum;
}

double ceiling_held(struct comm *comm, struct dev *dev, dtype matrices, double ceiling, double flops)
{
    int64_t low = comm_rank(comm) == 0 && isnan(ceiling_share(flops, ceiling));
    comm_max_i64(comm, &low, 1);
    return low ? fmax(ceiling, ceiling_sample(comm, dev, matrices)) : ceiling;
}

const char *ceiling_name(dtype matrices)
{
    return matrices == BF16 ? "bf16 GEMM" : "fp32 GEMM";
}

double ceiling_share(double flops, double ceiling)
{
    double share = flops / (1e9 * ceiling);
    return share <= 1 ? share : (double)NAN;
}
