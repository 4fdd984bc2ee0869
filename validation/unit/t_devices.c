/* Every op on two devices: the CPU's result of the same arguments is the measure of the other's. Integers
 * must be equal, floats to rounding. Each op takes all shapes (zero, odd, aligned, larger than a block) in
 * F32, in BF16 and in both by turns, with and without gaps between rows, which must survive; twice, with
 * equal bits. t_devices --device NAME [--small]      TAP; --small: small shapes alone */
#include <math.h>
#include <string.h>
#include "base/half.h"
#include "base/mem.h"
#include "base/rng.h"
#include "ops_device.h"
#include "tap.h"

enum { MAX = 10 };
struct dev *dev; /* that the ops below use */
static struct dev *cpu, *other;

/* Sizes of a case. Rows of matrices have `gap` more elements. */
struct sizes {
    int64_t t, h, v, x, k, seq, heads, kv, hd, gap;
};
static const struct sizes *at;

static const struct sizes shapes[] = {
    {0, 8, 5, 3, 2, 1, 2, 1, 8, 0},          {1, 1, 1, 2, 1, 1, 1, 1, 2, 0},
    {3, 8, 16, 4, 2, 3, 2, 2, 8, 8},         {5, 24, 9, 5, 3, 5, 4, 2, 24, 0},
    {13, 17, 31, 7, 2, 4, 3, 1, 10, 3},      {37, 64, 40, 8, 2, 12, 4, 2, 16, 8},
    {41, 40, 56, 33, 5, 20, 2, 1, 40, 3},    {66, 33, 257, 9, 4, 33, 3, 3, 6, 1},
    {70, 72, 264, 6, 1, 70, 2, 2, 64, 0},    {300, 16, 48, 12, 2, 50, 2, 1, 16, 8},
    {9, 2056, 2064, 40, 3, 9, 1, 1, 128, 8}, {1100, 1, 3, 3, 1, 11, 1, 1, 4, 3},
    {7, 4100, 600, 64, 8, 7, 2, 1, 72, 0},
};
enum { SMALL = 6 };

/* ---- arguments ---- */

/* i = float input, o = float output, a = float that is added to, in the types that are tested; f = F32 input,
 * e = F32 output, p = F32 input that is positive, q = F32 output added to, u = the same, positive; d = F64
 * added to; w = BF16 output; c, C = I32 output. I32 inputs: v = ids of the vocabulary and some beyond, t =
 * those or -1, s = a token or -1, r = a row of [T*k] or -1, x, Y = an expert, n = an expert or -1, m =
 * counts, z = a position, l = the first key of a row, b, B = an expert,
 * but -1 in each third row; g, G = F32 of few values, which repeat. Capitals and m
 * have no gaps. */
struct argument {
    char role, rows, columns;
};

static int64_t runs_total(void)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < 6 * at->x; i++)
        sum += i * 5 % 4;
    return sum;
}

/* Sizes by letters: 1, 2, T, H, V, X, K; I = 2H, R = T*k, B = X + 2, L = 3, Q = sources of rows, O = their
 * rows, S = positions, D = head dimension, A = tokens of whole sequences, W = their queries' columns, N =
 * keys', E = heads, P = columns of RoPE, Z = T times heads, M = X*T*k, Y = terms of
 * attention, 6 = statistics of two ranks.
 */
static int64_t size_of(char c)
{
    switch (c) {
    case '2': return 2;
    case 'T': return at->t;
    case 'H': return at->h;
    case 'I': return 2 * at->h;
    case 'V': return at->v;
    case 'X': return at->x;
    case 'B': return at->x + 2;
    case 'K': return at->k;
    case 'R': return at->t * at->k;
    case 'L': return 3;
    case 'Q': return 6;
    case 'O': return runs_total();
    case 'S': return at->seq;
    case 'D': return at->hd;
    case 'A': return at->t - at->t % at->seq;
    case 'W': return at->heads * at->hd;
    case 'N': return at->kv * at->hd;
    case 'E': return at->heads;
    case 'P': return at->heads * at->hd;
    case 'Z': return at->t * at->heads;
    case 'Y': return at->seq * at->heads / at->kv + at->hd;
    case 'M': return at->x * at->t * at->k;
    case '6': return 6 * at->t;
    default: return 1;
    }
}

static dtype type_of(char role, dtype stored)
{
    return strchr("ioa", role)              ? stored
           : role == 'd'                    ? F64
           : role == 'w'                    ? BF16
           : strchr("cCvtsrxYnmzlbB", role) ? I32
                                            : F32;
}

static bool is_output(char role)
{
    return strchr("oaequdwcC", role) != NULL;
}

/* Vectors have no gaps: ops want them so. */
static view view_for(const struct argument *a, dtype stored)
{
    dtype type = type_of(a->role, stored);
    int64_t rows = size_of(a->rows), columns = size_of(a->columns);
    bool vector = a->rows == '1' || strchr("mCYGB", a->role);
    view v = {NULL, type, {1, rows, columns}, columns + (vector ? 0 : at->gap)};
    v.data = mem_new(rows * v.ld + 1, dtype_size(type));
    return v;
}

static uint64_t drawn;

static int32_t integer(char role, int64_t i)
{
    int64_t below = role == 's'           ? at->t
                    : role == 'r'         ? at->t * at->k
                    : strchr("xYn", role) ? at->x
                                          : at->v + 6;
    if (role == 'm')
        return (int32_t)(i * 5 % 4);
    if (strchr("bB", role))
        return i / (at->k + (role == 'b' ? at->gap : 0)) % 3 == 1 ? -1 : (int32_t)(i * 7 % at->x);
    if (role == 'z')
        return (int32_t)(i * 7 % at->seq);
    if (role == 'l') /* documents of 5 tokens, and a window of 4 */
        return (int32_t)(i % at->seq - (i % at->seq % 5 < 3 ? i % at->seq % 5 : 3));
    int64_t draw = (int64_t)(rng_mix(drawn++) % (uint64_t)(below + !strchr("vxY", role)));
    return (int32_t)(strchr("vxY", role) ? draw : draw - 1);
}

static double number(char role)
{
    double x = rng_normal(11, 0, drawn++);
    if (role == 'g' || role == 'G')
        return (double)(1 + (int)(fabs(x) * 4) % 6) / 8;
    return role == 'p' || role == 'u' ? 0.1 + fabs(x) : role == 'd' ? floor(4 * fabs(x)) : x;
}

static void put(view v, int64_t i, double x)
{
    if (v.type == BF16)
        ((uint16_t *)v.data)[i] = bf16_of_float((float)x);
    else if (v.type == F64)
        ((double *)v.data)[i] = x;
    else
        ((float *)v.data)[i] = (float)x;
}

static double get(view v, int64_t i)
{
    return v.type == BF16  ? (double)float_of_bf16(((uint16_t *)v.data)[i])
           : v.type == F64 ? ((double *)v.data)[i]
           : v.type == I32 ? ((int32_t *)v.data)[i]
                           : (double)((float *)v.data)[i];
}

/* Gaps too have values, that must survive. */
static void draw(view v, char role)
{
    for (int64_t i = 0; i < v.n[1] * v.ld; i++)
        if (v.type == I32)
            ((int32_t *)v.data)[i] = role == 'c' || role == 'C' ? 77 : integer(role, i);
        else
            put(v, i, strchr("oew", role) ? 12345 : number(role));
}

static size_t bytes_of(view v)
{
    return (size_t)(v.n[1] * v.ld * dtype_size(v.type));
}

static view copy_of(view v)
{
    view c = v;
    c.data = mem_new((int64_t)bytes_of(v) + 1, 1);
    memcpy(c.data, v.data, bytes_of(v));
    return c;
}

/* ---- the ops ---- */

#define OP(name, ...)                     \
    static void run_##name(const view *v) \
    {                                     \
        dev_##name(dev, __VA_ARGS__);     \
    }
#define ROUTE ((struct route){.top_k = at->k})
#define ROUTE_ALL ((struct route){.top_k = at->k, .softmax_first = true})
#define ATTENTION(bound) ((struct attn_shape){at->seq, at->heads, at->kv, at->hd, bound})
#define ADAM ((struct adamw){.01f, .9f, .95f, 1e-8f, .1f, .1f, .05f})
OP(copy, v[0], v[1])
OP(fill, v[0], 2.5f)
OP(add, v[0], v[1])
OP(scale, v[0], 0.7f)
OP(add_bias, v[0], v[1])
OP(colsum, v[1], true, v[0])
OP(sum, v[0], v[1])
OP(sumsq, v[0], v[1])
OP(sum_parts, v[0], v[1], 1, v[2])
static void run_own_first(const view *v)
{
    dev_sum_parts(dev, v[0], v[1], 0, v[2]);
}

OP(embed_fwd, v[0], v[1], 3, v[2])
OP(embed_bwd, v[1], v[2], 3, true, v[0])
OP(rmsnorm_fwd, v[0], v[1], v[2], v[3], 1e-5f)
OP(rmsnorm_bwd, true, v[0], false, v[1], v[2], v[3], v[4], v[5])
OP(rope, v[0], at->heads, v[2], v[1], 1)
OP(attn_fwd, ATTENTION(v[5]), v[0], v[1], v[2], v[3], v[4])
OP(swiglu_fwd, v[0], v[1], v[2])
OP(swiglu_bwd, v[0], v[1], v[2], v[3], v[4], v[5])
OP(router_logits, v[0], v[1], v[2])
OP(router_choose, ROUTE, v[0], v[1], v[2], v[3], v[4], v[5])
OP(router_losses, ((struct router_losses){at->k, 0.5, true}), v[0], v[1], v[2], v[3], v[4], view_none())
OP(router_bwd, ROUTE_ALL, v[0], v[1], v[2], v[3], v[4], v[5], 0.3f, 0.2f)
OP(jitter, true, v[0], v[1], 0.25f, 7, 1000)
OP(sigmoid_fwd, v[0], v[1])
OP(sigmoid_bwd, v[0], v[1], v[2])
OP(expert_order, v[0], v[1], v[2], 2)
OP(balance_bias, v[0], v[1], 0, 0.25f, v[2])
OP(balance_load, v[0], v[1], 0, v[2])
OP(route_plan, v[0], v[1], v[2], v[3], 0)
OP(gather_rows, v[0], v[1], v[2], 1)
OP(combine, v[0], v[1], v[2], true)
OP(ce_stats, v[0], v[1], v[2], 3)
OP(ce_merge, v[0], v[1], view_reshape(v[2], 2, 3, at->t), v[3])
OP(ce_grad, v[0], v[1], v[2], 3, 0.5f)
OP(clip, v[0], v[1], v[2], ((struct clip){.limit = 1.5, .norm = 1e9, .loss = 1e9}))
OP(adamw, ADAM, v[0], v[1], v[2], v[3], view_none(), v[4])

static void run_choose_padded(const view *v)
{
    struct route route = ROUTE;
    route.padding = v[6];
    dev_router_choose(dev, route, v[0], v[1], v[2], v[3], v[4], v[5]);
}

static void run_softmax_first(const view *v)
{
    dev_router_choose(dev, ROUTE_ALL, v[0], v[1], v[2], v[3], v[4], view_none());
}

static void run_router_margin(const view *v)
{
    if (at->k < at->x)
        dev_router_margin(dev, v[0], at->k, v[1], v[2]);
}

static void run_overwritten(const view *v)
{
    dev_embed_bwd(dev, v[1], v[2], 3, false, v[0]);
}

/* The gradient of attention wants the output and the lse that belong to it: the CPU's, because another device
 * may round an element to the other BF16. */
static void run_attn_bwd(const view *v)
{
    view o = copy_of(v[4]), lse = copy_of(v[5]);
    dev_attn_fwd(cpu, ATTENTION(v[9]), o, lse, v[6], v[7], v[8]);
    dev_attn_bwd(dev, ATTENTION(v[9]), v[0], v[1], v[2], v[3], o, lse, v[6], v[7], v[8]);
    free(o.data);
    free(lse.data);
}

/* Rows of the cache from `first`, which is none before the first, to `last`. */
static void run_attn_cached(const view *v)
{
    view from = copy_of(v[4]);
    int32_t *first = from.data;
    for (int64_t i = 0; i < at->t; i++)
        first[i] = first[i] < 0 ? 0 : first[i];
    dev_attn_cached(dev, ATTENTION(view_none()), v[0], v[1], v[2], v[3], from, v[5]);
    free(from.data);
}

/* Rows in reverse order, without those that were drawn -1. */
static void run_put_rows(const view *v)
{
    view to = copy_of(v[2]);
    int32_t *row = to.data;
    for (int64_t i = 0; i < at->t; i++)
        row[i] = row[i] < 0 ? -1 : (int32_t)(at->t - 1 - i);
    dev_put_rows(dev, v[0], v[1], to);
    free(to.data);
}

static struct capacity room(bool by_gate)
{
    return (struct capacity){at->x, at->t * at->k / (2 * at->x) + 1, 0, by_gate};
}

static void run_by_gate(const view *v)
{
    dev_capacity(dev, room(true), v[0], v[1], v[2], v[3], v[4]);
}

static void run_by_position(const view *v)
{
    dev_capacity(dev, room(false), v[0], v[1], v[2], v[3], v[4]);
}

static void run_half_kept(const view *v)
{
    struct capacity c = room(true);
    c.first = at->t - at->t / 2;
    dev_capacity(dev, c, view_rows(v[0], 0, at->t / 2), v[1], v[2], v[3], v[4]);
}

static void run_plan_with_room(const view *v)
{
    dev_route_plan(dev, v[0], v[1], v[2], v[3], at->t * at->k);
}

/* Whether, not what: a bool in an F64. */
static void run_finite(const view *v)
{
    ((double *)v[0].data)[0] = dev_finite(dev, v[1]);
}

static void run_working_weight(const view *v)
{
    if (v[0].n[2] > 0)
        dev_adamw(dev, ADAM, v[0], v[1], v[2], v[3], v[4], v[5]);
}

/* terms: letter of the length of the longest sum in fp32. */
static const struct row {
    const char *name;
    void (*run)(const view *);
    char terms;
    struct argument argument[MAX];
} rows[] = {
    {"copy", run_copy, '1', {{'o', 'T', 'H'}, {'i', 'T', 'H'}}},
    {"copy of integers", run_copy, '1', {{'c', 'T', 'K'}, {'x', 'T', 'K'}}},
    {"fill", run_fill, '1', {{'o', 'T', 'H'}}},
    {"add", run_add, '1', {{'a', 'T', 'H'}, {'i', 'T', 'H'}}},
    {"scale", run_scale, '1', {{'a', 'T', 'H'}}},
    {"add_bias", run_add_bias, '1', {{'a', 'T', 'H'}, {'f', '1', 'H'}}},
    {"colsum", run_colsum, '1', {{'q', '1', 'H'}, {'i', 'T', 'H'}}},
    {"sum", run_sum, '1', {{'d', '1', '1'}, {'f', 'T', 'H'}}},
    {"sumsq", run_sumsq, '1', {{'d', '1', '1'}, {'f', 'T', 'V'}}},
    {"finite", run_finite, '1', {{'d', '1', '1'}, {'i', 'T', 'H'}}},
    {"sum_parts", run_sum_parts, 'Q', {{'e', '1', 'V'}, {'f', 'Q', 'V'}, {'f', '1', 'V'}}},
    {"sum_parts, own first", run_own_first, 'Q', {{'e', '1', 'V'}, {'f', 'Q', 'V'}, {'f', '1', 'V'}}},
    {"embed_fwd", run_embed_fwd, '1', {{'o', 'T', 'H'}, {'v', '1', 'T'}, {'i', 'V', 'H'}}},
    {"embed_bwd", run_embed_bwd, 'T', {{'q', 'V', 'H'}, {'v', '1', 'T'}, {'i', 'T', 'H'}}},
    {"embed_bwd, overwriting", run_overwritten, 'T', {{'e', 'V', 'H'}, {'v', '1', 'T'}, {'i', 'T', 'H'}}},
    {"rmsnorm_fwd",
     run_rmsnorm_fwd,
     'H',
     {{'o', 'T', 'H'}, {'e', '1', 'T'}, {'i', 'T', 'H'}, {'f', '1', 'H'}}},
    {"rmsnorm_bwd",
     run_rmsnorm_bwd,
     'H',
     {{'a', 'T', 'H'}, {'e', '1', 'H'}, {'i', 'T', 'H'}, {'i', 'T', 'H'}, {'f', '1', 'T'}, {'f', '1', 'H'}}},
    {"rmsnorm_fwd by heads",
     run_rmsnorm_fwd,
     'D',
     {{'o', 'T', 'P'}, {'e', '1', 'Z'}, {'i', 'T', 'P'}, {'f', '1', 'D'}}},
    {"rmsnorm_bwd by heads",
     run_rmsnorm_bwd,
     'Z',
     {{'a', 'T', 'P'}, {'e', '1', 'D'}, {'i', 'T', 'P'}, {'i', 'T', 'P'}, {'f', '1', 'Z'}, {'f', '1', 'D'}}},
    {"rope", run_rope, '1', {{'a', 'T', 'P'}, {'f', 'S', 'D'}}},
    {"rope at positions", run_rope, '1', {{'a', 'T', 'P'}, {'f', 'S', 'D'}, {'z', '1', 'T'}}},
    {"attn_fwd",
     run_attn_fwd,
     'Y',
     {{'o', 'A', 'W'}, {'e', 'A', 'E'}, {'i', 'A', 'W'}, {'i', 'A', 'N'}, {'i', 'A', 'N'}}},
    {"attn_fwd from a first key",
     run_attn_fwd,
     'Y',
     {{'o', 'A', 'W'}, {'e', 'A', 'E'}, {'i', 'A', 'W'}, {'i', 'A', 'N'}, {'i', 'A', 'N'}, {'l', '1', 'A'}}},
    {"attn_bwd",
     run_attn_bwd,
     'Y',
     {{'o', 'A', 'W'},
      {'o', 'A', 'N'},
      {'o', 'A', 'N'},
      {'i', 'A', 'W'},
      {'i', 'A', 'W'},
      {'f', 'A', 'E'},
      {'i', 'A', 'W'},
      {'i', 'A', 'N'},
      {'i', 'A', 'N'}}},
    {"attn_bwd from a first key",
     run_attn_bwd,
     'Y',
     {{'o', 'A', 'W'},
      {'o', 'A', 'N'},
      {'o', 'A', 'N'},
      {'i', 'A', 'W'},
      {'i', 'A', 'W'},
      {'f', 'A', 'E'},
      {'i', 'A', 'W'},
      {'i', 'A', 'N'},
      {'i', 'A', 'N'},
      {'l', '1', 'A'}}},
    {"attn_cached",
     run_attn_cached,
     'Y',
     {{'o', 'T', 'W'}, {'i', 'T', 'W'}, {'i', 'T', 'N'}, {'i', 'T', 'N'}, {'s', '1', 'T'}, {'s', '1', 'T'}}},
    {"put_rows", run_put_rows, '1', {{'o', 'T', 'H'}, {'i', 'T', 'H'}, {'s', '1', 'T'}}},
    {"swiglu_fwd", run_swiglu_fwd, '1', {{'o', 'T', 'H'}, {'i', 'T', 'I'}, {'f', '1', 'T'}}},
    {"swiglu_bwd",
     run_swiglu_bwd,
     'H',
     {{'o', 'T', 'I'}, {'o', 'T', 'H'}, {'e', '1', 'T'}, {'i', 'T', 'H'}, {'i', 'T', 'I'}, {'f', '1', 'T'}}},
    {"router_logits", run_router_logits, 'H', {{'e', 'T', 'X'}, {'i', 'T', 'H'}, {'f', 'X', 'H'}}},
    {"router_choose",
     run_router_choose,
     'X',
     {{'c', 'T', 'K'}, {'e', 'T', 'K'}, {'c', '1', 'X'}, {'e', '1', 'B'}, {'g', 'T', 'X'}, {'f', '1', 'X'}}},
    {"router_choose with padding",
     run_choose_padded,
     'X',
     {{'c', 'T', 'K'},
      {'e', 'T', 'K'},
      {'c', '1', 'X'},
      {'e', '1', 'B'},
      {'g', 'T', 'X'},
      {'f', '1', 'X'},
      {'n', '1', 'T'}}},
    {"router_choose, softmax first",
     run_softmax_first,
     'X',
     {{'c', 'T', 'K'}, {'e', 'T', 'K'}, {'c', '1', 'X'}, {'e', '1', 'B'}, {'g', 'T', 'X'}}},
    {"router_losses",
     run_router_losses,
     '1',
     {{'e', 'L', 'X'}, {'d', '1', 'L'}, {'d', '1', 'X'}, {'m', 'L', 'X'}, {'p', 'L', 'B'}}},
    {"router_margin", run_router_margin, '1', {{'d', '1', '1'}, {'f', 'T', 'X'}, {'f', '1', 'X'}}},
    {"router_bwd",
     run_router_bwd,
     'X',
     {{'e', 'T', 'X'}, {'f', 'T', 'X'}, {'x', 'T', 'K'}, {'f', 'T', 'K'}, {'f', 'T', 'K'}, {'f', '1', 'X'}}},
    {"router_bwd with padding",
     run_router_bwd,
     'X',
     {{'e', 'T', 'X'}, {'f', 'T', 'X'}, {'b', 'T', 'K'}, {'f', 'T', 'K'}, {'f', 'T', 'K'}, {'f', '1', 'X'}}},
    {"jitter", run_jitter, '1', {{'a', 'T', 'H'}, {'i', 'T', 'H'}}},
    {"sigmoid_fwd", run_sigmoid_fwd, '1', {{'e', 'T', 'K'}, {'f', 'T', 'K'}}},
    {"sigmoid_bwd", run_sigmoid_bwd, '1', {{'e', 'T', 'K'}, {'f', 'T', 'K'}, {'f', 'T', 'K'}}},
    {"capacity by gate",
     run_by_gate,
     '1',
     {{'C', 'T', 'K'}, {'d', '1', '1'}, {'d', '1', '1'}, {'Y', 'T', 'K'}, {'G', 'T', 'K'}}},
    {"capacity by gate with padding",
     run_by_gate,
     '1',
     {{'C', 'T', 'K'}, {'d', '1', '1'}, {'d', '1', '1'}, {'B', 'T', 'K'}, {'G', 'T', 'K'}}},
    {"capacity by position",
     run_by_position,
     '1',
     {{'C', 'T', 'K'}, {'d', '1', '1'}, {'d', '1', '1'}, {'Y', 'T', 'K'}, {'G', 'T', 'K'}}},
    {"capacity of a part",
     run_half_kept,
     '1',
     {{'C', 'T', 'K'}, {'d', '1', '1'}, {'d', '1', '1'}, {'Y', 'T', 'K'}, {'G', 'T', 'K'}}},
    {"expert_order", run_expert_order, '1', {{'c', '1', 'O'}, {'c', '1', 'O'}, {'m', 'Q', 'X'}}},
    {"balance_bias", run_balance_bias, '1', {{'q', '1', 'X'}, {'d', '1', 'X'}, {'p', '1', '2'}}},
    {"balance_load", run_balance_load, '1', {{'q', '1', 'X'}, {'d', '1', 'X'}, {'p', '1', '2'}}},
    {"route_plan", run_route_plan, '1', {{'c', '1', 'X'}, {'c', 'T', 'K'}, {'c', '1', 'R'}, {'n', 'T', 'K'}}},
    {"route_plan with room",
     run_plan_with_room,
     '1',
     {{'c', '1', 'X'}, {'c', 'T', 'K'}, {'c', '1', 'M'}, {'n', 'T', 'K'}}},
    {"gather_rows", run_gather_rows, '1', {{'o', 'R', 'H'}, {'i', 'T', 'H'}, {'s', '1', 'R'}}},
    {"combine", run_combine, 'K', {{'a', 'T', 'H'}, {'i', 'R', 'H'}, {'r', 'T', 'K'}}},
    {"ce_stats", run_ce_stats, 'V', {{'e', 'L', 'T'}, {'i', 'T', 'V'}, {'t', '1', 'T'}}},
    {"ce_merge", run_ce_merge, '1', {{'e', '1', 'T'}, {'e', '1', 'T'}, {'p', '1', '6'}, {'t', '1', 'T'}}},
    {"ce_grad", run_ce_grad, '1', {{'a', 'T', 'V'}, {'f', '1', 'T'}, {'t', '1', 'T'}}},
    {"clip", run_clip, '1', {{'u', '1', '2'}, {'d', '1', '1'}, {'d', '1', '1'}}},
    {"adamw",
     run_adamw,
     '1',
     {{'q', '1', 'V'}, {'q', '1', 'V'}, {'u', '1', 'V'}, {'f', '1', 'V'}, {'p', '1', '2'}}},
    {"adamw with a working weight",
     run_working_weight,
     '1',
     {{'q', '1', 'V'}, {'q', '1', 'V'}, {'u', '1', 'V'}, {'f', '1', 'V'}, {'w', '1', 'V'}, {'p', '1', '2'}}},
};

/* ---- the comparison ---- */

enum types { AS_F32, AS_BF16, EVEN_F32, ODD_F32, TYPES };

/* How far the other device may be from the CPU's element x of a view whose largest is `most`: sums in another
 * order; a rounding to BF16 that falls the other way; operands of attention's inner products in BF16. */
static double slack(const struct row *row, view v, double x, double most, enum types types)
{
    double terms = (double)size_of(row->terms), fp32 = 2 * 0x1p-24 * (8 + sqrt(terms)) * fmax(1, most);
    bool rough = types == AS_BF16 && !strncmp(row->name, "attn", 4);
    if (v.type == I32)
        return 0;
    if (v.type == F64)
        return 1e-12 * fmax(1, most) * (double)(1 + at->t * at->v);
    return fp32 + (v.type == BF16 ? 0x1p-7 * fabs(x) : 0) + (rough ? 8 * 0x1p-8 * fmax(1, most) : 0);
}

/* The worst difference in units of the slack; infinite if a gap changed. */
static double difference(const struct row *row, view want, view got, view before, enum types types)
{
    double most = 0, worst = 0;
    for (int64_t r = 0; r < want.n[1]; r++)
        for (int64_t c = 0; c < want.n[2]; c++)
            most = fmax(most, fabs(get(want, r * want.ld + c)));
    for (int64_t i = 0; i < want.n[1] * want.ld; i++) {
        double x = get(want, i), y = get(got, i), was = get(before, i),
               most_off = slack(row, want, x, most, types);
        double off = i % want.ld >= want.n[2] ? (y == was ? 0 : (double)INFINITY)
                     : x == y                 ? 0
                     : most_off == 0          ? (double)INFINITY
                                              : fabs(x - y) / most_off;
        worst = off <= worst ? worst : isnan(off) ? (double)INFINITY : off;
    }
    return worst;
}

/* All arguments as they are now, and then what the op on this device makes of them. */
static void run_on(struct dev *device, const struct row *row, const view *from, view *to, int n)
{
    for (int i = 0; i < n; i++)
        to[i] = copy_of(from[i]);
    dev = device;
    row->run(to);
}

static void forget(view *v, int n)
{
    for (int i = 0; i < n; i++)
        free(v[i].data);
}

static bool is_bf16(enum types types, int argument)
{
    return types == AS_BF16 || (types == EVEN_F32 && argument % 2) || (types == ODD_F32 && argument % 2 == 0);
}

/* The worst difference of a case. */
static double test_types(const struct row *row, enum types types)
{
    view start[MAX] = {0}, want[MAX] = {0}, got[MAX] = {0}, again[MAX] = {0}; /* zero: no argument */
    int n = 0;
    double worst = 0;
    for (; n < MAX && row->argument[n].role; n++) {
        start[n] = view_for(&row->argument[n], is_bf16(types, n) ? BF16 : F32);
        draw(start[n], row->argument[n].role);
    }
    run_on(cpu, row, start, want, n);
    run_on(other, row, start, got, n);
    run_on(other, row, start, again, n);
    for (int i = 0; i < n; i++) {
        bool same = !memcmp(got[i].data, again[i].data, bytes_of(got[i]));
        double off = is_output(row->argument[i].role) ? difference(row, want[i], got[i], start[i], types)
                     : memcmp(got[i].data, start[i].data, bytes_of(got[i])) ? (double)INFINITY
                                                                            : 0;
        worst = fmax(worst, same ? off : (double)INFINITY);
    }
    forget(start, n);
    forget(want, n);
    forget(got, n);
    forget(again, n);
    return worst;
}

static bool has_stored(const struct row *row)
{
    for (int i = 0; i < MAX && row->argument[i].role; i++)
        if (strchr("ioa", row->argument[i].role))
            return true;
    return false;
}

static void test(const struct row *row, size_t count)
{
    static const char *const names[] = {"F32", "BF16", "F32 and BF16", "BF16 and F32"};
    double worst[TYPES] = {0};
    for (size_t i = 0; i < count; i++) {
        at = &shapes[i];
        for (int types = AS_F32; types < (has_stored(row) ? TYPES : AS_BF16); types++) {
            double off = test_types(row, (enum types)types);
            if (!(off <= 1))
                printf("# %s, %s, shape %d: %.3g of the slack\n", row->name, names[types], (int)i, off);
            worst[types] = fmax(worst[types], off);
        }
    }
    ok(worst[0] <= 1 && worst[1] <= 1 && worst[2] <= 1 && worst[3] <= 1,
       "%s, %d shapes: %.2f of the slack in F32, %.2f in BF16, %.2f in both", row->name, (int)count, worst[0],
       worst[1], fmax(worst[2], worst[3]));
}

int main(int argc, char **argv)
{
    ops_arguments(&argc, argv);
    bool small = argc > 1 && !strcmp(argv[1], "--small");
    const char *only = argc > 1 + small ? argv[1 + small] : "";
    if (dev_open(&cpu, "cpu", 0, &(struct dev_options){.threads = 1}) != OK)
        return 99;
    other = ops_open(1, CHECK_NONE);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strncmp(rows[i].name, only, strlen(only)))
            test(&rows[i], small ? SMALL : sizeof shapes / sizeof *shapes);
    dev_close(other);
    dev_close(cpu);
    return tap_done();
}
