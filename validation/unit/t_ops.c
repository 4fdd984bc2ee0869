/* The ops of norm, rope, swiglu, embedding, attention, router, rows and cross-entropy: a table of cases
 * (ops.h says what is checked), and checks that do not fit into the table. `t_ops --bench` prints speeds
 * instead; `--device NAME` uses another device. */
#include "base/status.h"
#include "ops.h"
#include "ops_device.h"
#include "tap.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct dev *dev;

/* Sizes: see the op in ops_model.c or ops_moe.c. */
static const struct {
    const struct op *op;
    int64_t n[7];
} cases[] = {
    {&op_norm, {0, 17}},
    {&op_norm, {1, 1}},
    {&op_norm, {3, 17}},
    {&op_norm, {101, 576}},
    {&op_norm, {13, 24, 4}},
    {&op_norm, {5, 7, 2}},
    {&op_rope, {0, 2, 4, 3}},
    {&op_rope, {1, 1, 2, 1}},
    {&op_rope, {9, 3, 10, 3}},
    {&op_rope, {34, 3, 64, 17}},
    {&op_rope, {34, 3, 10, 17, 1}},
    {&op_swiglu, {0, 5}},
    {&op_swiglu, {1, 1}},
    {&op_swiglu, {3, 17}},
    {&op_swiglu, {17, 1536}},
    {&op_embed, {0, 3, 5, 0}},
    {&op_embed, {1, 1, 1, 0}},
    {&op_embed, {101, 3, 40, 20}},
    {&op_embed, {300, 65, 1000, 500}},
    {&op_attention, {0, 17, 2, 1, 10}},
    {&op_attention, {3, 1, 1, 1, 10}},
    {&op_attention, {2, 17, 2, 1, 10}},
    {&op_attention, {2, 17, 3, 3, 64}},
    {&op_attention, {2, 200, 4, 2, 10}},
    {&op_attention, {1, 200, 3, 1, 64}},
    {&op_attention, {1, 700, 2, 1, 64}},
    {&op_attention, {2, 17, 2, 1, 10, 1}},
    {&op_attention, {2, 17, 2, 1, 10, 5, 0}},
    {&op_attention, {2, 17, 4, 2, 10, 0, 4}},
    {&op_attention, {2, 200, 4, 2, 10, 33, 60}},
    {&op_attention, {1, 200, 3, 1, 64, 0, 66}},
    {&op_attention, {1, 700, 2, 1, 64, 300, 400}},
    {&op_attention, {1, 700, 2, 1, 64, 64, 0}},
    {&op_router_logits, {0, 4, 17}},
    {&op_router_logits, {1, 1, 1}},
    {&op_router_logits, {3, 7, 101}},
    {&op_router_logits, {17, 8, 576}},
    {&op_router, {0, 4, 2, 0, 0}},
    {&op_router, {1, 1, 1, 0, 0}},
    {&op_router, {17, 8, 2, 0, 0}},
    {&op_router, {17, 8, 2, 1, 0}},
    {&op_router, {17, 8, 3, 1, 1}},
    {&op_router, {3, 64, 64, 0, 0}},
    {&op_router, {101, 33, 5, 1, 0}},
    {&op_router, {17, 8, 2, 0, 0, 1}},
    {&op_router, {101, 33, 5, 1, 0, 1}},
    {&op_jitter, {0, 5}},
    {&op_jitter, {3, 17}},
    {&op_jitter, {65, 64}},
    {&op_sigmoid, {0, 1}},
    {&op_sigmoid, {17, 1}},
    {&op_sigmoid, {3, 5}},
    {&op_gather, {0, 2, 3, 4}},
    {&op_gather, {1, 1, 1, 1}},
    {&op_gather, {17, 3, 5, 4}},
    {&op_gather, {101, 2, 65, 8}},
    {&op_combine, {0, 2, 3, 4}},
    {&op_combine, {1, 1, 1, 1}},
    {&op_combine, {17, 3, 5, 4}},
    {&op_combine, {101, 2, 65, 8}},
    {&op_cross_entropy, {0, 3, 1}},
    {&op_cross_entropy, {1, 1, 1}},
    {&op_cross_entropy, {3, 17, 0}},
    {&op_cross_entropy, {17, 101, 40}},
    {&op_cross_entropy, {5, 3001, 1500}},
};

/* ---- checks that do not fit into the table ---- */

/* Rank of expert e among the logits of a token: by value (plus bias), then by number. */
static int64_t place(view logits, view bias, int64_t t, int64_t e)
{
    int64_t better = 0;
    for (int64_t f = 0; f < logits.n[2]; f++) {
        float mine = *at(logits, t, e), other = *at(logits, t, f);
        if (!view_is_none(bias)) {
            mine += *at(bias, 0, e);
            other += *at(bias, 0, f);
        }
        better += other > mine || (other == mine && f < e);
    }
    return better;
}

/* Logits of three values, so that most tokens have ties; the bias moves the choice, not the gates. */
static void test_choice(bool biased)
{
    enum { T = 65, X = 9, K = 3 };
    view logits = matrix(F32, T, X), idx = matrix(I32, T, K), gate = matrix(F32, T, K);
    view counted = vector(I32, X), stats = vector(F32, X + 2), small = matrix(I32, T, X),
         bias = biased ? vector(F32, X) : view_none();
    bool good = true, gates = true;
    int32_t counts[X] = {0};
    fill_ints(small, -1, 3);
    for (int64_t i = 0; i < T * X; i++)
        *at(logits, i / X, i % X) = (float)*int_at(small, i / X, i % X);
    if (biased)
        fill(bias, 1);
    dev_router_choose(dev, (struct route){.top_k = K}, idx, gate, counted, stats, logits, bias);
    for (int64_t t = 0; t < T; t++) {
        double sum = 0;
        for (int64_t j = 0; j < K; j++) {
            good = good && place(logits, bias, t, *int_at(idx, t, j)) == j;
            counts[*int_at(idx, t, j)]++;
            sum += exp((double)*at(logits, t, *int_at(idx, t, j)));
        }
        for (int64_t j = 0; j < K; j++)
            gates = gates && fabs((double)*at(gate, t, j) -
                                  exp((double)*at(logits, t, *int_at(idx, t, j))) / sum) < 8 * EPS;
    }
    const char *with = biased ? "a bias" : "ties";
    ok(good, "router with %s: by descending key, ties to the lower expert", with);
    ok(gates, "router with %s: gates are the softmax of the chosen logits", with);
    ok(!memcmp(counts, counted.data, sizeof counts), "router with %s: assignments counted", with);
    release();
}

/* More tokens than a float counts. */
static void test_large_count(void)
{
    enum { T = (1 << 24) + 1 };
    view logits = view_of(own(T), F32, 1, T, 1), idx = view_of(own(T), I32, 1, T, 1);
    view gate = view_of(own(T), F32, 1, T, 1), count = vector(I32, 1), stats = vector(F32, 3);
    dev_router_choose(dev, (struct route){.top_k = 1}, idx, gate, count, stats, logits, view_none());
    ok(*int_at(count, 0, 0) == T, "router: %d assignments are counted exactly", T);
    release();
}

static void test_nan_logits(void)
{
    enum { X = 7, K = 3 };
    bool good = true;
    struct dev *plain = ops_open(0, CHECK_NONE); /* one that lets NaN out */
    for (int64_t bad = 0; bad < 1 << X; bad++) {
        view logits = matrix(F32, 1, X), idx = matrix(I32, 1, K), gate = vector(F32, K),
             counts = vector(I32, X), stats = vector(F32, X + 2);
        for (int64_t e = 0; e < X; e++)
            *at(logits, 0, e) = bad >> e & 1 ? NAN : (float)(e * 3 % 7);
        dev_router_choose(plain, (struct route){.top_k = K}, idx, gate, counts, stats, logits, view_none());
        for (int64_t j = 0; j < K; j++)
            for (int64_t i = 0; i <= j; i++)
                good = good && *int_at(idx, 0, j) >= 0 && *int_at(idx, 0, j) < X &&
                       (i == j || *int_at(idx, 0, i) != *int_at(idx, 0, j));
        release();
    }
    dev_close(plain);
    ok(good, "router with NaN logits: the chosen experts exist and differ");
}

/* Two domains of four tokens, three experts, two choices a token, by hand. */
static void test_losses(bool told, bool loaded)
{
    enum { D = 2, X = 3, N = 4, K = 2 };
    static const int32_t count[D][X] = {{4, 3, 1}, {0, 4, 4}};
    static const float stat[D][X + 2] = {{2, 1.5f, 0.5f, 8, 4}, {0.5f, 1.5f, 2, 16, 12}},
                                   before[X] = {1.5f, 1, 0.5f};
    view counts = matrix(I32, D, X), stats = matrix(F32, D, X + 2), seeds = matrix(F32, D, X),
         load = vector(F32, X);
    double total[3] = {1, 2, 3}, loads[X] = {10, 20, 30}, aux = 0;
    const double coeff = 0.5;
    bool good = true;
    for (int i = 0; i < D; i++) {
        memcpy(int_at(counts, i, 0), count[i], sizeof count[i]);
        memcpy(at(stats, i, 0), stat[i], sizeof stat[i]);
    }
    memcpy(load.data, before, sizeof before);
    dev_router_losses(dev, (struct router_losses){K, coeff, told}, seeds, view_of(total, F64, 1, 1, 3),
                      view_of(loads, F64, 1, 1, X), counts, stats, loaded ? load : view_none());
    for (int i = 0; i < D; i++)
        for (int e = 0; e < X; e++) {
            double f = loaded ? (double)before[e] : X * (double)count[i][e] / (N * K); /* X*f_e */
            aux += f * (double)stat[i][e] / N / D;
            good = good && fabs((double)*at(seeds, i, e) - coeff / D * f / N) <= EPS * coeff;
        }
    double want = told ? 1 : 0;
    good = good && fabs(total[0] - 1 - want * aux) < 1e-14 && total[1] == 2 + want * 24 / (D * N) &&
           total[2] == 3 + want * 16 / (D * N);
    for (int e = 0; e < X; e++)
        good = good && loads[e] == 10 * (e + 1) + want * (count[0][e] + count[1][e]);
    ok(good, "losses of two domains by hand, %s, f_e %s", told ? "told" : "not told",
       loaded ? "given" : "counted");
    release();
}

static void test_router_margin(void)
{
    view logits = matrix(F32, 2, 4), bias = vector(F32, 4);
    double least = INFINITY, biased = 0.3;
    memcpy(at(logits, 0, 0), (float[]){1, 5, 3, 2.5f}, 16);
    memcpy(at(logits, 1, 0), (float[]){-1, -2, -8, 4}, 16);
    memcpy(bias.data, (float[]){0, 0, 0.25f, 0}, 16);
    dev_router_margin(dev, view_of(&least, F64, 1, 1, 1), 2, logits, view_none());
    dev_router_margin(dev, view_of(&biased, F64, 1, 1, 1), 2, logits, bias);
    ok(least == 0.5 && biased == 0.3,
       "routing margin: second against third, the smallest of what was and is");
    release();
}

/* 2 x 2 sources, two experts: rows as they arrive (q, p, expert), wanted (expert, p, q). */
static void test_expert_order(void)
{
    static const int32_t count[4][2] = {{1, 2}, {1, 1}, {2, 1}, {1, 1}}; /* (q, p) = 00, 01, 10, 11 */
    static const int32_t want[] = {0, 5, 6, 3, 8, 1, 2, 7, 4, 9};
    view cnt = matrix(I32, 4, 2), order = vector(I32, 10), back = vector(I32, 10);
    bool good = true;
    for (int i = 0; i < 4; i++)
        memcpy(int_at(cnt, i, 0), count[i], sizeof count[i]);
    dev_expert_order(dev, order, back, cnt, 2);
    for (int i = 0; i < 10; i++)
        good = good && *int_at(order, 0, i) == want[i] && *int_at(back, 0, want[i]) == i;
    ok(good, "expert order of 2 x 2 sources by hand");
    release();
}

/* Three tokens, two choices, three experts with room for two: an expert's positions begin at twice its
 * number. */
static void test_route_room(void)
{
    static const int32_t choice[3][2] = {{2, 0}, {-1, 2}, {0, -1}}, to[3][2] = {{4, 0}, {-1, 5}, {1, -1}};
    static const int32_t from[6] = {1, 4, -1, -1, 0, 3};
    view idx = matrix(I32, 3, 2), slot = matrix(I32, 3, 2), pick = vector(I32, 6), counts = vector(I32, 3);
    bool good = true;
    for (int i = 0; i < 3; i++)
        memcpy(int_at(idx, i, 0), choice[i], sizeof choice[i]);
    dev_route_plan(dev, counts, slot, pick, idx, 2);
    for (int i = 0; i < 6; i++)
        good = good && *int_at(slot, i / 2, i % 2) == to[i / 2][i % 2] && *int_at(pick, 0, i) == from[i];
    for (int e = 0; e < 3; e++)
        good = good && *int_at(counts, 0, e) == 2;
    ok(good, "a route plan with room for two rows an expert, by hand");
    release();
}

/* A token's logits have the same bits alone and among others, and equal experts equal bits. */
static void test_logit_bits(void)
{
    enum { T = 37, X = 7, H = 101 };
    view x = matrix(F32, T, H), w = matrix(F32, X, H), all = matrix(F32, T, X), one = matrix(F32, 1, X);
    bool alone = true, alike = true;
    fill(x, 1);
    fill(w, 1);
    copy_rows(view_rows(w, X - 1, 1), view_rows(w, 1, 1));
    dev_router_logits(dev, all, x, w);
    for (int64_t t = 0; t < T; t++) {
        dev_router_logits(dev, one, view_rows(x, t, 1), w);
        alone = alone && !memcmp(at(all, t, 0), at(one, 0, 0), X * sizeof(float));
        alike = alike && *at(all, t, 1) == *at(all, t, X - 1);
    }
    ok(alone, "router logits do not depend on the number of tokens");
    ok(alike, "router logits of equal experts are equal");
    release();
}

/* Factors fill 1-eps .. 1+eps evenly, and a token's do not depend on which rank holds it. */
static void test_jitter(void)
{
    enum { T = 64, H = 129, CUT = 21, ROW = 5 };
    const float eps = 0.5f;
    const uint64_t key = 99;
    view one = matrix(F32, T, H), y = matrix(F32, T, H), part = matrix(F32, T - CUT, H);
    double sum = 0, squares = 0;
    bool inside = true, alike = true;
    dev_fill(dev, one, 1);
    dev_jitter(dev, false, y, one, eps, key, ROW);
    dev_jitter(dev, false, part, view_rows(one, CUT, T - CUT), eps, key, ROW + CUT);
    for (int64_t i = 0; i < T * H; i++) {
        double u = ((double)*at(y, i / H, i % H) - 1) / (double)eps;
        inside = inside && u >= -1 && u <= 1;
        sum += u;
        squares += u * u;
    }
    for (int64_t t = CUT; t < T; t++)
        alike = alike && !memcmp(at(y, t, 0), at(part, t - CUT, 0), H * sizeof(float));
    ok(inside, "jitter stays within 1-eps .. 1+eps");
    double n = T * H, mean = sum / n, variance = squares / n; /* 1/3 +- sqrt(4/45/n) */
    ok(fabs(mean) < 4 / sqrt(3 * n) && fabs(variance - 1.0 / 3) < 4 * sqrt(4.0 / 45 / n),
       "jitter is uniform: mean %.4f, variance %.4f", mean, variance);
    ok(alike, "jitter of a token does not depend on the rows beside it");
    release();
}

/* Sums over a row do not depend on where in memory it lies. */
static void test_alignment(void)
{
    enum { H = 577 };
    view x = vector(F32, H + 16), y = vector(F32, H), w = vector(F32, H), first = vector(F32, 1),
         rstd = vector(F32, 1);
    bool good = true;
    fill(w, 1);
    for (int64_t shift = 0; shift < 16; shift++) {
        view v = view_cols(x, shift, H);
        for (int64_t i = 0; i < H; i++)
            *at(v, 0, i) = sinf((float)(i * i));
        dev_rmsnorm_fwd(dev, y, shift ? rstd : first, v, w, 0);
        good = good && (!shift || *at(rstd, 0, 0) == *at(first, 0, 0));
    }
    ok(good, "rmsnorm: bits do not depend on alignment");
    release();
}

/* Same shape, gaps included. */
static bool same_bits(view a, view b)
{
    return !memcmp(a.data, b.data, (size_t)(a.n[1] * a.ld) * sizeof(float));
}

/* New tokens of two sequences in a cache against the causal op of the whole: sequence 1 lies first in it. */
static void test_cached(void)
{
    enum { SEQ = 70, HEADS = 4, KV = 2, D = 10, ROOM = 90, FROM = 65, NEW = SEQ - FROM };
    struct attn_shape a = {.seq = SEQ, .heads = HEADS, .kv_heads = KV, .head_dim = D};
    view q = matrix(F32, 2 * SEQ, HEADS * D), k = matrix(F32, 2 * SEQ, KV * D),
         v = matrix(F32, 2 * SEQ, KV * D), o = matrix(F32, 2 * SEQ, HEADS * D),
         lse = matrix(F32, 2 * SEQ, HEADS);
    view keys = matrix(F32, 2 * ROOM, KV * D), values = matrix(F32, 2 * ROOM, KV * D),
         row = vector(I32, 2 * SEQ), first = vector(I32, NEW + 1), last = vector(I32, NEW + 1),
         out = matrix(F32, NEW + 1, HEADS * D);
    double worst = 0;
    bool none = true;
    fill(q, 2), fill(k, 2), fill(v, 1), fill(keys, 9), fill(values, 9);
    dev_attn_fwd(dev, a, o, lse, q, k, v);
    for (int s = 0; s < 2; s++) {
        for (int i = 0; i < 2 * SEQ; i++)
            *int_at(row, 0, i) = (1 - i / SEQ) * ROOM + i % SEQ;
        *int_at(row, 0, s * SEQ + FROM - 1) = -1; /* is put by the next call, alone */
        dev_put_rows(dev, keys, k, row), dev_put_rows(dev, values, v, row);
        view one = vector(I32, 1), lone = view_rows(k, s * SEQ + FROM - 1, 1);
        *int_at(one, 0, 0) = (1 - s) * ROOM + FROM - 1;
        dev_put_rows(dev, keys, lone, one);
        dev_put_rows(dev, values, view_rows(v, s * SEQ + FROM - 1, 1), one);
        for (int i = 0; i <= NEW; i++) {
            *int_at(first, 0, i) = (1 - s) * ROOM;
            *int_at(last, 0, i) = i < NEW ? (1 - s) * ROOM + FROM + i : -1;
        }
        view rows = matrix(F32, NEW + 1, HEADS * D);
        copy_rows(view_rows(rows, 0, NEW), view_rows(q, s * SEQ + FROM, NEW));
        dev_attn_cached(dev, a, out, rows, keys, values, first, last);
        for (int64_t i = 0; i < NEW * HEADS * D; i++)
            worst = fmax(worst, fabs((double)*at(out, i / (HEADS * D), i % (HEADS * D)) -
                                     (double)*at(o, s * SEQ + FROM + i / (HEADS * D), i % (HEADS * D))));
        for (int64_t i = 0; i < HEADS * D; i++)
            none = none && *at(out, NEW, i) == 0;
    }
    ok(worst < 8 * (8 + sqrt(SEQ)) * EPS, "attention to a cache is that of whole sequences: %.1e", worst);
    ok(none && gaps_intact(out) && gaps_intact(keys), "a row that sees nothing gives 0");
    release();
}

static void open_device(int threads, enum dev_check mode)
{
    dev_close(dev);
    dev = ops_open(threads, mode);
}

/* The largest difference, in units of the largest value. */
static double difference(view a, view b)
{
    double most = 0, value = 0;
    for (int64_t i = 0; i < elements(a); i++) {
        double x = (double)*at(a, i / a.n[2], i % a.n[2]), y = (double)*at(b, i / b.n[2], i % b.n[2]);
        most = fmax(most, fabs(x - y));
        value = fmax(value, fabs(x));
    }
    return most > 0 ? most / value : 0;
}

/* Gradients of attention by many threads against those by one: chunks of rows against whole heads. Sums of
 * dk and dv take another order, rows of dq do not. Threads that share two cores come in any order. */
static void test_attention_threads(const int64_t *n, int threads)
{
    struct run r = {.n = n};
    view one[3];
    double worst = 0;
    bool again = true;
    open_device(1, CHECK_VALUES);
    make(&op_attention, &r);
    op_attention.fwd(&r);
    op_attention.bwd(&r);
    for (int i = 0; i < 3; i++)
        copy_rows(one[i] = matrix(F32, r.d_in[i].n[1], r.d_in[i].n[2]), r.d_in[i]);
    bool rows = true;
    open_device(threads, CHECK_VALUES);
    for (int round = 0; round < 3; round++) {
        view was[3];
        for (int i = 0; i < 3; i++)
            copy_rows(was[i] = matrix(F32, r.d_in[i].n[1], r.d_in[i].n[2]), r.d_in[i]);
        op_attention.bwd(&r);
        rows = rows && same_bits(one[0], r.d_in[0]);
        for (int i = 0; i < 3; i++) {
            worst = fmax(worst, difference(one[i], r.d_in[i]));
            again = again && (round == 0 || same_bits(was[i], r.d_in[i]));
        }
    }
    double unit = EPS * (8 + sqrt((double)op_attention.terms(n)));
    ok(rows && again && worst < unit,
       "attention of %d threads, %lld x %lld, heads %lld/%lld of %lld: %.2f of the tolerance from one "
       "thread's",
       threads, (long long)n[0], (long long)n[1], (long long)n[2], (long long)n[3], (long long)n[4],
       worst / unit);
    release();
}

static void test_threads(void)
{
    static const int64_t shape[][7] = {{1, 1, 2, 1, 10},   {1, 65, 2, 1, 10},   {2, 200, 4, 2, 10},
                                       {1, 700, 6, 2, 64}, {1, 1100, 3, 1, 32}, {1, 700, 6, 2, 64, 300, 200}};
    char text[256];
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
        test_attention_threads(shape[i], 5);
        test_attention_threads(shape[i], 64);
    }
    ok(check(&op_attention, (int64_t[7]){2, 200, 3, 1, 10}, 0, text), "64 threads: %s", text);
    open_device(0, CHECK_VALUES);
}

static void test_no_weight(void)
{
    enum { R = 5, F = 37 };
    view gu = matrix(F32, R, 2 * F), one = vector(F32, R), with = matrix(F32, R, F),
         without = matrix(F32, R, F);
    fill(gu, 2);
    dev_fill(dev, one, 1);
    dev_swiglu_fwd(dev, with, gu, one);
    dev_swiglu_fwd(dev, without, gu, view_none());
    ok(same_bits(with, without), "swiglu: no weight is weight 1");
    view d = matrix(F32, R, 2 * F), d_act = matrix(F32, R, F), d_weight = vector(F32, R);
    view again = matrix(F32, R, 2 * F);
    fill(d_act, 1);
    dev_swiglu_bwd(dev, d, with, d_weight, d_act, gu, one);
    dev_swiglu_bwd(dev, again, without, view_none(), d_act, gu, view_none());
    ok(same_bits(d, again), "swiglu backward: no weight is weight 1");
    release();
}

static void test_activations(void)
{
    enum { R = 5, F = 37 };
    view gu = matrix(F32, R, 2 * F), weight = vector(F32, R), act = matrix(F32, R, F),
         again = matrix(F32, R, F);
    view d_gu = matrix(F32, R, 2 * F), d_act = matrix(F32, R, F), d_weight = vector(F32, R);
    fill(gu, 2);
    fill(weight, 1);
    fill(d_act, 1);
    dev_swiglu_fwd(dev, act, gu, weight);
    dev_swiglu_bwd(dev, d_gu, again, d_weight, d_act, gu, weight);
    ok(same_bits(act, again), "swiglu backward writes the activations of forward again");
    release();
}

/* ---- t_ops --bench: shapes of SmolLM2 at 4,096 tokens ---- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Best of 20; amount: FLOPs (unit "GFLOP/s") or bytes ("GB/s") of a call. */
static void time_op(const char *name, void (*call)(struct run *), struct run *r, double amount,
                    const char *unit)
{
    double best = (double)INFINITY;
    for (int i = 0; i < 20; i++) {
        double begin = now();
        call(r);
        best = fmin(best, now() - begin);
    }
    printf("%-22s %8.2f ms %8.1f %s\n", name, 1e3 * best, 1e-9 * amount / best, unit);
}

static void bench(const struct op *op, const int64_t *n, double fwd, double bwd, const char *unit)
{
    struct run r = {.n = n};
    char name[64];
    make(op, &r);
    time_op(op->name, op->fwd, &r, fwd, unit);
    snprintf(name, sizeof name, "%s backward", op->name);
    if (op->bwd)
        time_op(name, op->bwd, &r, bwd, unit);
    release();
}

/* Of all threads, which other work on the cores does not lengthen. */
static double cpu_seconds(void (*call)(struct run *), struct run *r)
{
    struct timespec from, to;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    call(r);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    return (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
}

static void square_gemm(struct run *r)
{
    dev_gemm(dev, false, false, r->saved, r->saved, false, r->slot);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Attention as a share of a hot 1024^3 GEMM, by CPU time: the three take turns; medians of the ratios. What a
 * mask leaves out counts as done, so that its gain shows. */
static void bench_attention(const int64_t *n)
{
    enum { TURNS = 7, N = 1024 };
    struct run r = {.n = n};
    double share[2][TURNS], causal = 2.0 * (double)(n[0] * n[1] * n[2] * n[4] * (n[1] + 1));
    make(&op_attention, &r);
    void *pages; /* huge ones, as in training */
    if (dev_alloc(dev, "two squares", &pages, 2 * N * N * 4, FRESH_ZERO) != OK)
        bug("%s", status_text());
    r.saved = view_of(pages, F32, 1, N, N);
    r.slot = view_of((float *)pages + N * N, F32, 1, N, N);
    fill(r.saved, 1);
    for (int i = 0; i < TURNS; i++) {
        square_gemm(&r);
        double gemm = 2.0 * N * N * N / cpu_seconds(square_gemm, &r);
        share[0][i] = 2 * causal / cpu_seconds(op_attention.fwd, &r) / gemm;
        share[1][i] = 5 * causal / cpu_seconds(op_attention.bwd, &r) / gemm;
    }
    for (int i = 0; i < 2; i++)
        qsort(share[i], TURNS, sizeof *share[i], ascending);
    char mask[64] = "";
    if (n[5] > 0 || n[6] > 0)
        snprintf(mask, sizeof mask, ", %s of %lld", n[5] > 0 ? "a window" : "documents",
                 (long long)(n[5] > 0 ? n[5] : n[6]));
    printf("attention %lld x %lld, heads %lld/%lld of %lld%s: %.0f %% of a GEMM's speed, backward %.0f %%\n",
           (long long)n[0], (long long)n[1], (long long)n[2], (long long)n[3], (long long)n[4], mask,
           100 * share[0][TURNS / 2], 100 * share[1][TURNS / 2]);
    fflush(stdout);
    dev_free(dev, pages, 2 * N * N * 4);
    release();
}

static int bench_all(void)
{
    enum { T = 4096, H = 576, F = 1536, V = 49152, S = 512, HEADS = 9, HD = 64, X = 8, K = 2, CE_T = 512 };
    double f = sizeof(float);
    printf("%s; GEMM ceiling %.0f GFLOP/s\n", dev_about(dev), dev_ceiling_sample(dev, F32));
    static const int64_t attention[][7] = {
        {2, 512, 8, 2, 32},  {2, 512, 9, 3, 64},          {2, 512, 4, 1, 128},        {1, 2048, 8, 2, 32},
        {1, 2048, 9, 3, 64}, {1, 2048, 9, 3, 64, 256, 0}, {1, 2048, 9, 3, 64, 0, 512}};
    for (size_t i = 0; i < sizeof attention / sizeof *attention; i++)
        bench_attention(attention[i]);
    bench(&op_router_logits, (int64_t[]){T, X, H}, 2.0 * T * X * H, 0, "GFLOP/s");
    bench(&op_norm, (int64_t[]){T, H, 0}, 2 * f * T * H, 3 * f * T * H, "GB/s");
    bench(&op_rope, (int64_t[]){T, HEADS, HD, S, 0}, 4 * f * T * H, 4 * f * T * H, "GB/s, with a copy");
    bench(&op_swiglu, (int64_t[]){2 * T, F}, 3 * f * 2 * T * F, 10 * f * 2 * T * F,
          "GB/s, backward with a copy");
    bench(&op_router, (int64_t[]){T, X, K, 0, 0, 0}, f * T * (X + 2 * K), f * T * (2 * X + 3 * K), "GB/s");
    bench(&op_gather, (int64_t[]){T, K, H, X}, 2 * f * T * K * H, f * T * (K + 1) * H, "GB/s");
    bench(&op_embed, (int64_t[]){T, H, V, 0}, 2 * f * T * H, f * V * H, "GB/s");
    bench(&op_cross_entropy, (int64_t[]){CE_T, V, V / 2}, f * CE_T * V, 4 * f * CE_T * V,
          "GB/s, backward with a copy");
    return 0;
}

int main(int argc, char **argv)
{
    char text[256];
    ops_arguments(&argc, argv);
    bool timing = argc > 1 && !strcmp(argv[1], "--bench");
    dev = ops_open(0, timing ? CHECK_NONE : CHECK_VALUES);
    if (timing)
        return bench_all();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (unsigned acc = 0; acc < 1u << cases[i].op->accs; acc++)
            ok(check(cases[i].op, cases[i].n, acc, text), "%s", text);
    test_choice(false);
    test_choice(true);
    test_losses(true, false);
    test_losses(true, true);
    test_losses(false, false);
    test_router_margin();
    test_cached();
    test_expert_order();
    test_route_room();
    test_nan_logits();
    test_logit_bits();
    test_jitter();
    test_alignment();
    test_no_weight();
    test_activations();
    if (ops_on_cpu()) {
        test_large_count();
        test_threads();
    }
    dev_close(dev);
    return tap_done();
}
