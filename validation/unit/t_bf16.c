/* Ops on BF16. Every op computes in fp32 and rounds once, so its BF16 result has the bits of the rounded
 * result of the same op on the same values in F32. A GEMM may sum in another order, so arithmetic gives a
 * bound for its error. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "base/rng.h"
#include "device/cpu/cpu.h"
#include "tap.h"

static struct dev *dev;

enum { MAX = 10, T = 37, H = 24, V = 19, SEQ = 5, K = 2, R = T * K };

/* One argument: i = float input, o = float output, a = float output that is added to, f = F32 whatever the
 * types; integers: v = ids of the vocabulary and beyond, t = those or -1, T and R = a row of as many or -1.
 */
struct argument {
    char role;
    int64_t rows, columns;
};

static bool is_integer(char role)
{
    return strchr("vtTR", role) != NULL;
}

static int32_t integer(char role)
{
    static uint64_t n;
    int below = role == 'T' ? T : role == 'R' ? R : V + 6;
    return role == 'v' ? (int32_t)(rng_mix(n++) % (uint64_t)below)
                       : (int32_t)(rng_mix(n++) % (uint64_t)(below + 1)) - 1;
}

struct row {
    const char *name;
    void (*run)(const view *);
    struct argument argument[MAX];
};

/* ---- the ops ---- */

static void add(const view *v)
{
    dev_add(dev, v[0], v[1]);
}
static void bias(const view *v)
{
    dev_add_bias(dev, v[0], v[1]);
}
static void colsum(const view *v)
{
    dev_colsum(dev, v[1], true, v[0]);
}
static void embed(const view *v)
{
    dev_embed_fwd(dev, v[0], v[1], 3, v[2]);
}
static void embed_bwd(const view *v)
{
    dev_embed_bwd(dev, v[1], v[2], 3, true, v[0]);
}
static void norm(const view *v)
{
    dev_rmsnorm_fwd(dev, v[0], v[1], v[2], v[3], 1e-5f);
}
static void norm_bwd(const view *v)
{
    dev_rmsnorm_bwd(dev, true, v[0], true, v[1], v[2], v[3], v[4], v[5]);
}
static void rope(const view *v)
{
    dev_rope(dev, v[0], 3, view_none(), v[1], 1);
}
static void swiglu(const view *v)
{
    dev_swiglu_fwd(dev, v[0], v[1], v[2]);
}
static void swiglu_bwd(const view *v)
{
    dev_swiglu_bwd(dev, v[0], v[1], v[2], v[3], v[4], v[5]);
}
static void logits(const view *v)
{
    dev_router_logits(dev, v[0], v[1], v[2]);
}
static void jitter(const view *v)
{
    dev_jitter(dev, true, v[0], v[1], 0.25f, 7, 1000);
}
static void gather(const view *v)
{
    dev_gather_rows(dev, v[0], v[1], v[2], 1);
}
static void combine(const view *v)
{
    dev_combine(dev, v[0], v[1], v[2], true);
}
static void ce_stats(const view *v)
{
    dev_ce_stats(dev, v[0], v[1], v[2], 3);
}
static void ce_grad(const view *v)
{
    dev_ce_grad(dev, v[0], v[1], v[2], 3, 0.5f);
}
static const struct attn_shape shape = {.seq = T, .heads = 2, .kv_heads = 1, .head_dim = H / 2};
static void attention(const view *v)
{
    dev_attn_fwd(dev, shape, v[0], v[1], v[2], v[3], v[4]);
}
static void attention_bwd(const view *v)
{
    dev_attn_bwd(dev, shape, v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8]);
}

static void cached(const view *v)
{
    static int32_t zeros[T];
    dev_attn_cached(dev, shape, v[0], v[1], v[2], v[3], view_of(zeros, I32, 1, 1, T), v[4]);
}

static const struct row rows[] = {
    {"add", add, {{'a', T, H}, {'i', T, H}}},
    {"add_bias", bias, {{'a', T, H}, {'f', 1, H}}},
    {"colsum", colsum, {{'f', 1, H}, {'i', T, H}}},
    {"embed_fwd", embed, {{'o', T, H}, {'v', 1, T}, {'i', V, H}}},
    {"embed_bwd", embed_bwd, {{'f', V, H}, {'v', 1, T}, {'i', T, H}}},
    {"rmsnorm_fwd", norm, {{'o', T, H}, {'f', 1, T}, {'i', T, H}, {'f', 1, H}}},
    {"rmsnorm_bwd", norm_bwd, {{'a', T, H}, {'f', 1, H}, {'i', T, H}, {'i', T, H}, {'f', 1, T}, {'f', 1, H}}},
    {"rope", rope, {{'a', T, H}, {'f', SEQ, H / 3}}},
    {"swiglu_fwd", swiglu, {{'o', T, H}, {'i', T, 2 * H}, {'f', 1, T}}},
    {"swiglu_bwd",
     swiglu_bwd,
     {{'o', T, 2 * H}, {'o', T, H}, {'f', 1, T}, {'i', T, H}, {'i', T, 2 * H}, {'f', 1, T}}},
    {"router_logits", logits, {{'f', T, 7}, {'i', T, H}, {'f', 7, H}}},
    {"jitter", jitter, {{'a', T, H}, {'i', T, H}}},
    {"gather_rows", gather, {{'o', R, H}, {'i', T, H}, {'T', 1, R}}},
    {"combine", combine, {{'a', T, H}, {'i', R, H}, {'R', T, K}}},
    {"ce_stats", ce_stats, {{'f', 3, T}, {'i', T, V}, {'t', 1, T}}},
    {"ce_grad", ce_grad, {{'a', T, V}, {'f', 1, T}, {'t', 1, T}}},
    {"attn_fwd", attention, {{'o', T, H}, {'f', T, 2}, {'i', T, H}, {'i', T, H / 2}, {'i', T, H / 2}}},
    {"attn_cached", cached, {{'o', T, H}, {'i', T, H}, {'i', T, H / 2}, {'i', T, H / 2}, {'T', 1, T}}},
    {"attn_bwd",
     attention_bwd,
     {{'o', T, H},
      {'o', T, H / 2},
      {'o', T, H / 2},
      {'i', T, H},
      {'i', T, H},
      {'f', T, 2},
      {'i', T, H},
      {'i', T, H / 2},
      {'i', T, H / 2}}},
};

/* ---- the comparison ---- */

static uint64_t drawn;

/* A number that BF16 holds. */
static float number(void)
{
    return float_of_bf16(bf16_of_float((float)rng_normal(11, 0, drawn++)));
}

static view matrix(dtype type, int64_t r, int64_t c)
{
    int64_t pitch = r > 1 ? c + 3 : c; /* a gap between rows */
    view v = view_of(calloc((size_t)(r * pitch), sizeof(float)), type, 1, r, c);
    v.ld = pitch;
    return v;
}

static float value(view v, int64_t r, int64_t c)
{
    return v.type == BF16 ? float_of_bf16(((uint16_t *)v.data)[r * v.ld + c])
                          : ((float *)v.data)[r * v.ld + c];
}

static void put(view v, int64_t r, int64_t c, float x)
{
    if (v.type == BF16)
        ((uint16_t *)v.data)[r * v.ld + c] = bf16_of_float(x);
    else
        ((float *)v.data)[r * v.ld + c] = x;
}

/* The same values twice, once with every float as F32 and once as BF16. */
static void make(const struct argument *a, view *wide, view *narrow)
{
    dtype type = is_integer(a->role) ? I32 : F32;
    *wide = matrix(type, a->rows, a->columns);
    *narrow = matrix(strchr("ioa", a->role) ? BF16 : type, a->rows, a->columns);
    for (int64_t r = 0; r < a->rows; r++)
        for (int64_t c = 0; c < a->columns; c++) {
            float x = number();
            if (type == F32) {
                put(*wide, r, c, x);
                put(*narrow, r, c, x);
            } else {
                int32_t n = integer(a->role);
                ((int32_t *)wide->data)[r * wide->ld + c] = ((int32_t *)narrow->data)[r * narrow->ld + c] = n;
            }
        }
}

static bool rounded(view narrow, view wide)
{
    bool good = true;
    for (int64_t r = 0; r < wide.n[1]; r++)
        for (int64_t c = 0; c < wide.n[2]; c++) {
            float x = value(wide, r, c), y = value(narrow, r, c);
            good = good && y == (narrow.type == BF16 ? float_of_bf16(bf16_of_float(x)) : x);
        }
    return good;
}

static void test_op(const struct row *row)
{
    view wide[MAX], narrow[MAX];
    bool good = true, changed = false;
    int n = 0;
    for (; n < MAX && row->argument[n].role; n++)
        make(&row->argument[n], &wide[n], &narrow[n]);
    view before = matrix(F32, wide[0].n[1], wide[0].n[2]);
    memcpy(before.data, wide[0].data, (size_t)(wide[0].n[1] * wide[0].ld) * sizeof(float));
    row->run(wide);
    row->run(narrow);
    for (int i = 0; i < n; i++)
        if (!is_integer(row->argument[i].role))
            good = good && rounded(narrow[i], wide[i]);
    changed = memcmp(before.data, wide[0].data, (size_t)(wide[0].n[1] * wide[0].ld) * sizeof(float)) != 0;
    ok(good && changed, "%s on BF16 is the rounded %s on F32", row->name, row->name);
    for (int i = 0; i < n; i++) {
        free(wide[i].data);
        free(narrow[i].data);
    }
    free(before.data);
}

/* c against double: an error of k products in fp32, and one rounding of c. types: of a, b and c. Of a large c
 * some rows and columns. library: by its BF16 kernels, where there are some, though they may not be the
 * faster ones. */
static void test_gemm(bool library, bool ta, bool tb, int64_t m, int64_t n, int64_t k, bool acc,
                      const dtype types[3])
{
    int64_t every = m * n * k > 1 << 24 ? 61 : 1;
    view a = matrix(types[0], ta ? k : m, ta ? m : k), b = matrix(types[1], tb ? n : k, tb ? k : n),
         c = matrix(types[2], m, n), was = matrix(F32, m, n);
    view all[3] = {a, b, c};
    double worst = 0;
    for (int i = 0; i < 3; i++)
        for (int64_t r = 0; r < all[i].n[1]; r++)
            for (int64_t j = 0; j < all[i].n[2]; j++)
                put(all[i], r, j, number());
    for (int64_t r = 0; r < m; r++)
        for (int64_t j = 0; j < n; j++)
            put(was, r, j, acc ? value(c, r, j) : 0);
    if (!library)
        dev_gemm(dev, ta, tb, a, b, acc, c);
    else if (!cpu_gemm_bf16(ta, tb, a, b, acc, c))
        every = m + n + 1;
    for (int64_t r = every > m + n ? m : 0; r < m; r += every)
        for (int64_t j = 0; j < n; j += every) {
            double sum = (double)value(was, r, j), size = fabs(sum);
            for (int64_t i = 0; i < k; i++) {
                double p =
                    (double)value(a, ta ? i : r, ta ? r : i) * (double)value(b, tb ? j : i, tb ? i : j);
                sum += p;
                size += fabs(p);
            }
            double bar = (double)(k + 1) * 0x1p-24 * size + (types[2] == BF16 ? 0x1p-8 * fabs(sum) : 0);
            double off = fabs((double)value(c, r, j) - sum) / (bar > 0 ? bar : 1);
            worst = off <= worst ? worst : off;
        }
    ok(worst <= 1.01, "gemm%s %s%s [%d, %d, %d] %s types %d %d %d: error %.2f of its bound",
       library ? " of the library" : "", ta ? "T" : "N", tb ? "T" : "N", (int)m, (int)n, (int)k,
       acc ? "added" : "written", types[0], types[1], types[2], worst);
    for (int i = 0; i < 3; i++)
        free(all[i].data);
    free(was.data);
}

static void test_gemms(void)
{
    static const dtype types[][3] = {
        {BF16, BF16, BF16}, {BF16, BF16, F32}, {F32, BF16, F32}, {F32, F32, BF16}, {BF16, F32, BF16}};
    static const int64_t sizes[][3] = {{1, 1, 1}, {7, 33, 20},    {65, 9, 129},  {0, 3, 4},
                                       {3, 5, 0}, {1030, 17, 40}, {40, 2060, 33}};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (int form = 0; form < 3; form++)
                for (int library = 0; library < (t < 2 ? 2 : 1); library++)
                    test_gemm(library, form == 2, form == 1, sizes[s][0], sizes[s][1], sizes[s][2],
                              (s + t) % 2, types[t]);
    for (int form = 0; form < 3; form++) /* operands that become F32 in two parts each */
        test_gemm(false, form == 2, form == 1, 560, 555, 8200, form == 0, types[0]);
}

/* The working weight is the master's, to nearest even. */
static void test_working_weight(void)
{
    enum { N = 5003 };
    static float p[N], m[N], v[N], g[N];
    static uint16_t w[N];
    float control[2] = {1, 1};
    bool good = true;
    struct adamw a = {
        .lr = 0.01f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .bias1 = 0.1f, .bias2 = 0.05f};
    for (int i = 0; i < N; i++) {
        p[i] = (float)rng_normal(1, 0, (uint64_t)i);
        g[i] = (float)rng_normal(2, 0, (uint64_t)i);
    }
    dev_adamw(dev, a, view_of(p, F32, 1, 1, N), view_of(m, F32, 1, 1, N), view_of(v, F32, 1, 1, N),
              view_of(g, F32, 1, 1, N), view_of(w, BF16, 1, 1, N), view_of(control, F32, 1, 1, 2));
    for (int i = 0; i < N; i++)
        good = good && w[i] == bf16_of_float(p[i]);
    ok(good, "adamw writes the working weight, rounded to nearest even");
}

int main(void)
{
    struct dev_options options = {.threads = 2, .check = CHECK_VALUES};
    if (dev_open(&dev, "cpu", 0, &options) != OK)
        return 99;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        test_op(&rows[i]);
    test_gemms();
    test_working_weight();
    dev_close(dev);
    return tap_done();
}
