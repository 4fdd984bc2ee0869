/* GEMM, copies, sums, AdamW and exp against double precision. */
#include "base/mem.h"
#include "base/rng.h"
#include "device/cpu/vmath.h"
#include "device/dev.h"
#include "ops_device.h"
#include "tap.h"
#include <math.h>
#include <omp.h>
#include <string.h>

static const double ROUNDING = 0x1p-24; /* half an ulp of a float, relative */
static struct dev *dev;

/** A matrix inside a wider allocation, normal values, the gaps between rows NaN. */
static view matrix(uint64_t seed, int64_t rows, int64_t columns)
{
    int64_t ld = columns + 3;
    float *p = mem_new(rows * ld + 1, sizeof *p);
    for (int64_t i = 0; i < rows * ld; i++)
        p[i] = i % ld < columns ? (float)rng_normal(seed, 0, (uint64_t)i) : NAN;
    return (view){p, F32, {1, rows, columns}, ld};
}

static float at(view v, int64_t i, int64_t j)
{
    return ((const float *)v.data)[i * v.ld + j];
}

static bool gaps_untouched(view v)
{
    for (int64_t i = 0; i < v.n[1]; i++)
        for (int64_t j = v.n[2]; j < v.ld; j++)
            if (!isnan(at(v, i, j)))
                return false;
    return true;
}

/* ---- GEMM ---- */
/** The largest error of c in units of its bound: (k + 2) roundings of the sum of |terms|. */
static double gemm_error(bool ta, bool tb, view a, view b, view before, view c)
{
    int64_t k_size = ta ? a.n[1] : a.n[2];
    double worst = 0;
    for (int64_t i = 0; i < c.n[1]; i++)
        for (int64_t j = 0; j < c.n[2]; j++) {
            double sum = view_is_none(before) ? 0 : (double)at(before, i, j), size = fabs(sum);
            for (int64_t k = 0; k < k_size; k++) {
                double term =
                    (double)(ta ? at(a, k, i) : at(a, i, k)) * (double)(tb ? at(b, j, k) : at(b, k, j));
                sum += term;
                size += fabs(term);
            }
            double error = fabs((double)at(c, i, j) - sum), bound = (double)(k_size + 2) * ROUNDING * size;
            if (!(error <= bound))
                return HUGE_VAL;
            worst = fmax(worst, bound > 0 ? error / bound : 0);
        }
    return worst;
}

static void test_gemm(int64_t m, int64_t n, int64_t k)
{
    double worst = 0;
    bool whole = true;
    for (int mode = 0; mode < 8; mode++) {
        bool ta = mode & 1, tb = mode & 2, acc = mode & 4;
        view a = matrix(1, ta ? k : m, ta ? m : k), b = matrix(2, tb ? n : k, tb ? k : n);
        view c = matrix(3, m, n), before = matrix(3, m, n);
        for (int64_t i = 0; !acc && i < m; i++)
            for (int64_t j = 0; j < n; j++)
                ((float *)c.data)[i * c.ld + j] = NAN; /* overwriting must not read */
        dev_gemm(dev, ta, tb, a, b, acc, c);
        worst = fmax(worst, gemm_error(ta, tb, a, b, acc ? before : view_none(), c));
        whole &= gaps_untouched(c);
        free(a.data), free(b.data), free(c.data), free(before.data);
    }
    ok(worst <= 1 && whole, "gemm %ld x %ld x %ld, all transposes and acc: error %.3f of its bound", (long)m,
       (long)n, (long)k, worst);
}

/* ---- copies ---- */
static bool is_nan(uint16_t half)
{
    return (half & 0x7fff) > 0x7f80;
}

static void test_bf16(void)
{
    static const struct {
        uint32_t from;
        uint16_t to;
    } cases[] = {
        {0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f818000, 0x3f82}, {0x3f808001, 0x3f81},
        {0x3f807fff, 0x3f80}, {0x80000000, 0x8000}, {0x7f800000, 0x7f80}, {0xff800000, 0xff80},
        {0x7f7fffff, 0x7f80}, {0x7f800001, 0x7fc0}, {0xffffffff, 0xffff},
    };
    enum { N = sizeof cases / sizeof *cases };
    uint32_t in[N], back[N];
    uint16_t out[N];
    bool good = true;
    for (int i = 0; i < N; i++)
        in[i] = cases[i].from;
    dev_copy(dev, view_of(out, BF16, 1, 1, N), view_of(in, F32, 1, 1, N));
    dev_copy(dev, view_of(back, F32, 1, 1, N), view_of(out, BF16, 1, 1, N));
    for (int i = 0; i < N; i++)
        good &= is_nan(cases[i].to) ? is_nan(out[i])
                                    : out[i] == cases[i].to && back[i] == (uint32_t)cases[i].to << 16;
    ok(good, "copy to BF16 rounds to nearest even, keeps infinities, NaN, signs; and back");
}

static void test_copy(int64_t rows, int64_t columns)
{
    view x = matrix(5, rows, columns), y = matrix(6, rows, columns);
    float *dense = mem_new(rows * columns, sizeof *dense);
    bool good = true;
    dev_copy(dev, view_of(dense, F32, 1, rows, columns), x);
    dev_copy(dev, y, view_of(dense, F32, 1, rows, columns));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            good &= at(x, i, j) == at(y, i, j) && at(x, i, j) == dense[i * columns + j];
    dev_add(dev, y, x);
    dev_add_bias(dev, y, view_of(dense, F32, 1, 1, columns));
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            good &= at(y, i, j) == (at(x, i, j) + at(x, i, j)) + dense[j];
    dev_copy(dev, y, x);
    dev_scale(dev, y, 0.22f);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            good &= at(y, i, j) == 0.22f * at(x, i, j);
    ok(good && gaps_untouched(y), "copy, add, add_bias, scale [%ld, %ld]", (long)rows, (long)columns);
    free(x.data), free(y.data), free(dense);
}

/* ---- sums ---- */
static double summed(void (*op)(struct dev *, view, view), view x)
{
    double total = 0;
    op(dev, view_of(&total, F64, 1, 1, 1), x);
    return total;
}

static void test_sums(int64_t rows, int64_t columns)
{
    view x = matrix(7, rows, columns);
    float *y = mem_new(columns, sizeof *y);
    double sum = 0, squares = 0, size = 0;
    bool good = true;
    for (int64_t i = 0; i < columns; i++)
        y[i] = 1;
    dev_colsum(dev, x, true, view_of(y, F32, 1, 1, columns));
    for (int64_t j = 0; j < columns; j++) {
        double column = 1;
        for (int64_t i = 0; i < rows; i++) {
            double v = (double)at(x, i, j);
            column += v, sum += v, squares += v * v, size += fabs(v);
        }
        good &= fabs((double)y[j] - column) <= 2 * ROUNDING * fabs(column);
    }
    omp_set_num_threads(1);
    double one = summed(dev_sum, x), one2 = summed(dev_sumsq, x);
    omp_set_num_threads(3);
    good &= summed(dev_sum, x) == one && summed(dev_sumsq, x) == one2;
    omp_set_num_threads(2);
    double slack = (double)(rows * columns) * 0x1p-53;
    good &= fabs(one - sum) <= slack * size && fabs(one2 - squares) <= slack * squares;
    ok(good, "sum, sumsq, colsum [%ld, %ld], the same for 1 and 3 threads", (long)rows, (long)columns);
    good = dev_finite(dev, x); /* the gaps are NaN */
    for (int64_t j = 0; j < columns; j += columns - 1) {
        float *p = (float *)x.data + (rows - 1) * x.ld + j, was = *p;
        *p = j ? INFINITY : NAN;
        good &= !dev_finite(dev, x);
        *p = was;
    }
    ok(good && dev_finite(dev, x), "finite [%ld, %ld]", (long)rows, (long)columns);
    free(x.data), free(y);
}

static void test_parts(dtype type)
{
    enum { N = 5, RANKS = 3, OWN = 1 };
    static const double value[RANKS][N] = {{1, 2, 3, 4, 5}, {10, 20, 30, 40, 50}, {100, 200, 300, 400, 500}};
    double memory[(RANKS + 1) * N]; /* of any type */
    view parts = view_of(memory, type, 1, RANKS, N), mine = view_of(memory + RANKS * N, type, 1, 1, N);
    bool good = true;
    for (int i = 0; i < RANKS * N; i++) {
        double x = i / N == OWN ? 1e6 : value[i / N][i % N]; /* its own place is not read */
        type == F32   ? (void)(((float *)parts.data)[i] = (float)x)
        : type == F64 ? (void)(((double *)parts.data)[i] = x)
                      : (void)(((int32_t *)parts.data)[i] = (int32_t)x);
    }
    for (int i = 0; i < N; i++)
        type == F32   ? (void)(((float *)mine.data)[i] = (float)value[OWN][i])
        : type == F64 ? (void)(((double *)mine.data)[i] = value[OWN][i])
                      : (void)(((int32_t *)mine.data)[i] = (int32_t)value[OWN][i]);
    dev_sum_parts(dev, mine, parts, OWN, mine);
    for (int i = 0; i < N; i++) {
        double x = type == F32   ? (double)((float *)mine.data)[i]
                   : type == F64 ? ((double *)mine.data)[i]
                                 : ((int32_t *)mine.data)[i];
        good &= x == 111.0 * (i + 1);
    }
    ok(good, "the sum of three ranks' parts, type %d, into this rank's own", (int)type);
}

static void test_long_vector(void)
{
    enum { N = 100003 };
    static float x[N];
    view v = view_of(x, F32, 1, 1, N);
    uint16_t infinite[] = {0x3f80, 0x7f80};
    dev_fill(dev, v, 0.5f);
    ok(summed(dev_sum, v) == 0.5 * N && summed(dev_sumsq, v) == 0.25 * N,
       "fill, sum and sumsq of a long vector");
    double total = 7;
    dev_sum(dev, view_of(&total, F64, 1, 1, 1), v);
    ok(total == 7 + 0.5 * N, "a sum adds to what is there");
    x[N - 1] = NAN;
    ok(!dev_finite(dev, v) && !dev_finite(dev, view_of(infinite, BF16, 1, 1, 2)),
       "finite: last element, BF16");
}

/* ---- AdamW ---- */
static void test_adamw(double decay)
{
    enum { N = 1003 };
    const double lr = 1e-2, beta1 = (double)0.9f, beta2 = (double)0.95f, eps = 1e-8, scale = 0.5;
    static float p[N], m[N], v[N], g[N];
    static double P[N], M[N], V[N];
    float control[2] = {(float)scale, 1};
    double worst = 0;
    for (int i = 0; i < N; i++) {
        P[i] = (double)(p[i] = (float)rng_normal(1, 0, (uint64_t)i));
        M[i] = V[i] = (double)(m[i] = v[i] = 0);
    }
    for (int u = 1; u <= 5; u++) {
        double bias1 = 1 - pow(beta1, u), bias2 = 1 - pow(beta2, u);
        struct adamw a = {.lr = (float)lr,
                          .beta1 = (float)beta1,
                          .beta2 = (float)beta2,
                          .eps = (float)eps,
                          .decay = (float)decay,
                          .bias1 = (float)bias1,
                          .bias2 = (float)bias2};
        for (int i = 0; i < N; i++) {
            g[i] = i % 7 ? (float)rng_normal(2, (uint64_t)u, (uint64_t)i) : 0; /* no gradient: decay alone */
            double d = scale * (double)g[i];
            M[i] = beta1 * M[i] + (1 - beta1) * d;
            V[i] = beta2 * V[i] + (1 - beta2) * d * d;
            P[i] = P[i] * (1 - lr * decay) - lr * (M[i] / bias1) / (sqrt(V[i] / bias2) + eps);
        }
        dev_adamw(dev, a, view_of(p, F32, 1, 1, N), view_of(m, F32, 1, 1, N), view_of(v, F32, 1, 1, N),
                  view_of(g, F32, 1, 1, N), view_none(), view_of(control, F32, 1, 1, 2));
    }
    for (int i = 0; i < N; i++)
        worst = fmax(worst, fabs((double)p[i] - P[i]) / (ROUNDING * 5 * (2 * fabs(P[i]) + 20 * lr)));
    ok(worst <= 1, "adamw, decay %g, five steps: error %.2f of its bound", decay, worst);
}

/* Norm 5 of squares 25: scaled to the limit, left alone below it, or not at all; what is not finite stops. */
static void test_clip(void)
{
    static const struct {
        double squares, loss;
        struct clip most;
        float scale, go;
    } row[] = {{25, 2, {1, INFINITY, INFINITY}, (float)(1 / (5 + 1e-6)), 1},
               {25, 2, {10, INFINITY, INFINITY}, 1, 1},
               {25, 2, {0, INFINITY, INFINITY}, 1, 1},
               {25, 2, {0, 5, 2}, 1, 1},
               {25, 2, {0, 4.9, 2}, 0, 0},
               {25, 2, {0, 5, 1.9}, 0, 0},
               {NAN, 2, {1, INFINITY, INFINITY}, 0, 0},
               {INFINITY, 2, {1, INFINITY, INFINITY}, 0, 0},
               {25, NAN, {1, INFINITY, INFINITY}, 0, 0},
               {25, INFINITY, {0, INFINITY, INFINITY}, 0, 0}};
    struct adamw a = {.lr = 1, .beta1 = 0.5f, .beta2 = 0.5f, .eps = 1, .decay = 1, .bias1 = 1, .bias2 = 1};
    bool good = true, still = true;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        double squares = row[i].squares, loss = row[i].loss;
        float control[2] = {NAN, 1}, p = 1, m = 2, v = 3, g = NAN;
        view at[4] = {view_of(&p, F32, 1, 1, 1), view_of(&m, F32, 1, 1, 1), view_of(&v, F32, 1, 1, 1),
                      view_of(&g, F32, 1, 1, 1)};
        dev_clip(dev, view_of(control, F32, 1, 1, 2), view_of(&squares, F64, 1, 1, 1),
                 view_of(&loss, F64, 1, 1, 1), row[i].most);
        good = good && control[0] == row[i].scale && control[1] == row[i].go;
        if (control[1] == 0)
            dev_adamw(dev, a, at[0], at[1], at[2], at[3], view_none(), view_of(control, F32, 1, 1, 2));
        still = still && p == 1 && m == 2 && v == 3;
    }
    ok(good, "clip: factor and decision");
    double fine = 1;
    float stopped[2] = {0, 0};
    dev_clip(dev, view_of(stopped, F32, 1, 1, 2), view_of(&fine, F64, 1, 1, 1), view_of(&fine, F64, 1, 1, 1),
             (struct clip){1, INFINITY, INFINITY});
    ok(stopped[1] == 0, "clip: what was stopped stays so");
    ok(still, "adamw changes nothing where the decision is no");
}

static void test_exp(void)
{
    double worst = 0;
    for (uint32_t bits = 0; bits < 0xff800000; bits += 4093) {
        float x = vm_from_bits(bits);
        if (!(x > -87.3f && x < 88.7f))
            continue;
        double exact = exp((double)x);
        worst = fmax(worst, fabs((double)vm_exp(x) - exact) / (exact * 2 * ROUNDING));
    }
    ok(worst <= 2, "vm_exp: error %.2f ulp at most", worst);
    ok(vm_exp(-INFINITY) == 0 && vm_exp(-200) == 0 && vm_exp(0) == 1 && isinf(vm_exp(INFINITY)) &&
           isinf(vm_exp(89)) && isnan(vm_exp(NAN)) && isnan(vm_exp(-NAN)),
       "vm_exp: infinities and NaN");
}

int main(int argc, char **argv)
{
    static const int64_t sizes[][3] = {{1, 1, 1},     {3, 5, 7}, {17, 1, 33}, {1, 64, 40}, {65, 33, 129},
                                       {20, 9, 1300}, {0, 4, 3}, {4, 0, 3},   {5, 6, 0},   {0, 0, 0}};
    ops_arguments(&argc, argv);
    dev = ops_open(2, CHECK_NONE);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        test_gemm(sizes[i][0], sizes[i][1], sizes[i][2]);
    test_bf16();
    test_copy(37, 19);
    test_copy(1, 9001);
    test_sums(100, 77);
    test_sums(3, 5001);
    test_parts(F32);
    test_parts(F64);
    test_parts(I32);
    test_long_vector();
    test_clip();
    test_adamw(0);
    test_adamw(0.1);
    test_exp();
    dev_close(dev);
    return tap_done();
}
