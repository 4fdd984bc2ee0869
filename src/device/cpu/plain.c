/* Copies, fills, adds and sums over whole views.
 *
 * Views are cut into runs of adjacent elements: the rows of a matrix, or RUN elements each if there are no
 * gaps. Each run is summed in double, then the runs are added in order, so that sums do not depend on the
 * number of threads. */
#include "device/cpu/wide.h"
#include <string.h>

enum { RUN = 4096, LANES = 16 };

struct runs {
    int64_t count, length, total;
};

/** Cut views of one shape into the same runs. Afterwards run i of each begins at i*ld. */
static struct runs cut(view *x, view *y)
{
    int64_t total = view_size(*x);
    if (total == 0)
        return (struct runs){0, 0, 0};
    if (!view_contiguous(*x) || !view_contiguous(*y))
        return (struct runs){view_rows_all(*x), x->n[2], total};
    x->ld = RUN;
    y->ld = RUN;
    return (struct runs){(total + RUN - 1) / RUN, RUN, total};
}

static int64_t run_length(struct runs r, int64_t i)
{
    int64_t left = r.total - i * r.length;
    return left < r.length ? left : r.length;
}

static void *run_at(view v, int64_t i)
{
    return (char *)v.data + i * v.ld * dtype_size(v.type);
}

/* ---- copy ---- */
static void copy_run(int64_t n, void *y, dtype to, const void *x, dtype from)
{
    if (to == from)
        memcpy(y, x, (size_t)(n * dtype_size(to)));
    else if (to == BF16)
        wide_round(y, x, n);
    else
        wide_load(y, x, n);
}

void cpu_copy(struct dev *dev, view dst, view src)
{
    (void)dev;
    struct runs r = cut(&dst, &src);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < r.count; i++)
        copy_run(run_length(r, i), run_at(dst, i), dst.type, run_at(src, i), src.type);
}

/* ---- elementwise ---- */
KERNEL void cpu_fill(struct dev *dev, view dst, float value)
{
    (void)dev;
    view same = dst;
    struct runs r = cut(&dst, &same);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < r.count; i++) {
        int64_t n = run_length(r, i);
        float *y = dst.type == F32 ? f32_row(dst, i) : wide_buffer(0, n);
        for (int64_t j = 0; j < n; j++)
            y[j] = value;
        wide_store_part(dst, i, n, y);
    }
}

KERNEL void cpu_add(struct dev *dev, view y, view x)
{
    (void)dev;
    struct runs r = cut(&y, &x);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < r.count; i++) {
        int64_t n = run_length(r, i);
        float *restrict to = wide_part(y, i, n, 0);
        const float *restrict from = wide_part(x, i, n, 1);
        for (int64_t j = 0; j < n; j++)
            to[j] += from[j];
        wide_store_part(y, i, n, to);
    }
}

KERNEL void cpu_scale(struct dev *dev, view y, float by)
{
    (void)dev;
    struct runs r = cut(&y, &y);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < r.count; i++) {
        int64_t n = run_length(r, i);
        float *to = wide_part(y, i, n, 0);
        for (int64_t j = 0; j < n; j++)
            to[j] *= by;
        wide_store_part(y, i, n, to);
    }
}

KERNEL void cpu_add_bias(struct dev *dev, view y, view bias)
{
    (void)dev;
    const float *b = bias.data;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < y.n[1]; i++) {
        float *restrict to = wide_row(y, i, 0);
        for (int64_t j = 0; j < y.n[2]; j++)
            to[j] += b[j];
        wide_store(y, i, to);
    }
}

/* ---- sums ---- */
/** y (+)= the sums of the columns of x, of which there are at most LANES * 4. */
KERNEL static void sum_columns(view x, bool acc, float *y)
{
    double total[LANES * 4] = {0};
    int64_t width = x.n[2];
    for (int64_t i = 0; i < x.n[1]; i++) {
        const float *row = wide_row(x, i, 0);
        for (int64_t j = 0; j < width; j++)
            total[j] += (double)row[j];
    }
    for (int64_t j = 0; j < width; j++)
        y[j] = (float)(acc ? (double)y[j] + total[j] : total[j]);
}

void cpu_colsum(struct dev *dev, view x, bool acc, view y)
{
    (void)dev;
    enum { WIDTH = LANES * 4 };
    int64_t columns = x.n[2];
#pragma omp parallel for schedule(static)
    for (int64_t j = 0; j < columns; j += WIDTH)
        sum_columns(view_cols(x, j, columns - j < WIDTH ? columns - j : WIDTH), acc, (float *)y.data + j);
}

/** The sum of x or of x*x: in lanes, then over the lanes, so that it is the same with every instruction set.
 */
KERNEL static double sum_run(int64_t n, const float *x, bool squares)
{
    double lane[LANES] = {0}, total = 0;
    int64_t whole = n / LANES * LANES;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int64_t j = 0; j < LANES; j++)
            lane[j] += (double)x[i + j] * (squares ? (double)x[i + j] : 1);
    for (int64_t i = whole; i < n; i++)
        lane[i - whole] += (double)x[i] * (squares ? (double)x[i] : 1);
    for (int64_t j = 0; j < LANES; j++)
        total += lane[j];
    return total;
}

static double sum_view(struct dev *dev, view x, bool squares)
{
    view same = x;
    struct runs r = cut(&x, &same);
    double *part = cpu_scratch(dev, r.count * (int64_t)sizeof *part), total = 0;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < r.count; i++)
        part[i] = sum_run(run_length(r, i), f32_row(x, i), squares);
    for (int64_t i = 0; i < r.count; i++)
        total += part[i];
    return total;
}

void cpu_sum(struct dev *dev, view total, view x)
{
    *(double *)total.data += sum_view(dev, x, false);
}

void cpu_sumsq(struct dev *dev, view total, view x)
{
    *(double *)total.data += sum_view(dev, x, true);
}

/* ---- finite ---- */
KERNEL static bool bad_f32(int64_t n, const void *p)
{
    const uint32_t *x = p;
    uint32_t bad = 0;
    for (int64_t i = 0; i < n; i++)
        bad |= (x[i] & 0x7f800000) == 0x7f800000;
    return bad;
}

KERNEL static bool bad_bf16(int64_t n, const void *p)
{
    const uint16_t *x = p;
    uint32_t bad = 0;
    for (int64_t i = 0; i < n; i++)
        bad |= (x[i] & 0x7f80) == 0x7f80;
    return bad;
}

bool cpu_finite(struct dev *dev, view x)
{
    (void)dev;
    view same = x;
    struct runs r = cut(&x, &same);
    int bad = 0;
#pragma omp parallel for schedule(static) reduction(| : bad)
    for (int64_t i = 0; i < r.count; i++)
        bad |= (x.type == F32 ? bad_f32 : bad_bf16)(run_length(r, i), run_at(x, i));
    return !bad;
}

/* ---- the sum of what ranks sent, block by block, so that blocks stay in the first cache ---- */

enum { SUM_BLOCK = 1024 };

#define SUM_PARTS(type)                                                                                   \
    static void sum_parts_##type(type *out, view parts, int64_t own, const type *mine, int64_t n)         \
    {                                                                                                     \
        _Pragma("omp parallel for schedule(static) if (n > 16 * SUM_BLOCK)") for (int64_t lo = 0; lo < n; \
                                                                                  lo += SUM_BLOCK)        \
        {                                                                                                 \
            int64_t m = n - lo < SUM_BLOCK ? n - lo : SUM_BLOCK;                                          \
            const type *all = parts.data;                                                                 \
            type sum[SUM_BLOCK];                                                                          \
            memcpy(sum, (own == 0 ? mine : all) + lo, (size_t)m * sizeof *sum);                           \
            for (int64_t r = 1; r < parts.n[1]; r++) {                                                    \
                const type *part = (r == own ? mine : all + r * parts.ld) + lo;                           \
                for (int64_t i = 0; i < m; i++)                                                           \
                    sum[i] += part[i];                                                                    \
            }                                                                                             \
            memcpy(out + lo, sum, (size_t)m * sizeof *sum);                                               \
        }                                                                                                 \
    }
SUM_PARTS(float)
SUM_PARTS(double)
SUM_PARTS(int32_t)

void cpu_sum_parts(struct dev *dev, view out, view parts, int64_t own, view mine)
{
    int64_t n = view_size(out);
    (void)dev;
    if (out.type == F32)
        sum_parts_float(out.data, parts, own, mine.data, n);
    else if (out.type == F64)
        sum_parts_double(out.data, parts, own, mine.data, n);
    else
        sum_parts_int32_t(out.data, parts, own, mine.data, n);
}
