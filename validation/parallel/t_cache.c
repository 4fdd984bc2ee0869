/* Tokens that come piece by piece, each piece by the cache of keys and values, have the logits of the whole
 * sequence: dense and MoE, layers with a window and without, one layout and another, sequences of different
 * lengths side by side. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "tap_ranks.h"
#include "model/net.h"
#include "weights/fill.h"

enum { VOCAB = 61, LENGTH = 23, PLACES = 4, ROOM = 24, SEQUENCES = 3 };

static struct comm *comm;

static struct config config_of(bool moe)
{
    struct config c = {.hidden = 32,
                       .ffn = 48,
                       .layers = 3,
                       .heads = 4,
                       .kv_heads = 2,
                       .head_dim = 8,
                       .vocab = VOCAB,
                       .norm_eps = 1e-5,
                       .rope = {.theta = 100, .scaling = ROPE_YARN, .factor = 4, .original_positions = 8},
                       .max_positions = 64,
                       .window = 6,
                       .whole = {false, true}};
    if (moe)
        c.moe = (struct moe){
            .experts = 4, .top_k = 2, .granularity = 1, .shared = 1, .layer = {true, false, true}};
    if (moe)
        c.moe.capacity_ppm = 500000; /* has no effect here */
    c.qk_norm = c.bare[1] = !moe;
    if (!moe)
        c.multiply =
            (struct multipliers){.embedding = 3, .residual = 0.5, .attention = 0.4, .logits_scaling = 0.2};
    return c;
}

struct trial {
    struct store s;
    struct model m;
    struct layout l;
    struct group *group[GROUPS];
    struct dev *dev;
    struct net *net;
};

static status open_all(struct trial *t, const struct config *c, int tp, int ep, enum dev_check check,
                       dtype type)
{
    struct layout_needs needs = config_needs(c);
    struct dev_options options = {.threads = 1, .check = check};
    struct net_shape shape = {.sequence = LENGTH,
                              .micro = SEQUENCES,
                              .imbalance = 2,
                              .cached = PLACES,
                              .room = ROOM,
                              .activation = type};
    struct fill_plan plan;
    int64_t bytes;
    *t = (struct trial){.net = NULL};
    char *why = layout_make(&t->l, comm_size(comm), tp, ep, 1, &needs);
    if (why)
        bug("%s", why);
    TRY(dev_open(&t->dev, "cpu", 0, &options));
    model_open_stored(&t->m, c, &t->l, type);
    TRY(groups_open(t->group, comm, t->dev, &t->l));
    TRY(comm_agree(comm, store_open(&t->s, &t->m, &t->l, comm_rank(comm), t->dev, false)));
    TRY(comm_agree(comm, plan_random(&plan, &t->m, 3)));
    TRY(weights_fill(&t->s, comm, &plan, &bytes));
    plan_free(&plan);
    return comm_agree(comm, net_open(&t->net, &t->s, t->group, &shape));
}

static void close_all(struct trial *t)
{
    net_close(t->net);
    store_close(&t->s);
    groups_close(t->group);
    model_close(&t->m);
    dev_close(t->dev);
}

static int32_t token(int sequence, int i)
{
    return (int32_t)((sequence * 17 + i * i * 7 + i * 3 + 5) % VOCAB);
}

static void keep(void *with, int64_t row, int64_t rows, const float *logits)
{
    memcpy((float *)with + row * VOCAB, logits, (size_t)(rows * VOCAB) * sizeof *logits);
}

static float whole[SEQUENCES * LENGTH * VOCAB]; /* logits of each token */
static double most, worst;

static void run_whole(struct trial *t)
{
    int32_t ids[SEQUENCES * LENGTH];
    struct logits_sink sink = {.take = keep, .with = whole};
    for (int i = 0; i < SEQUENCES * LENGTH; i++)
        ids[i] = token(i / LENGTH, i % LENGTH);
    net_eval(t->net, &(struct micro_batch){.tokens = SEQUENCES * LENGTH, .ids = ids}, &sink);
    most = worst = 0;
    for (int i = 0; i < SEQUENCES * LENGTH * VOCAB; i++)
        most = fmax(most, fabs((double)whole[i]));
}

static void compare(const float *logits, int sequence, int i)
{
    for (int v = 0; v < VOCAB; v++)
        worst = fmax(worst, fabs((double)logits[v] - (double)whole[(sequence * LENGTH + i) * VOCAB + v]));
}

/* Feed tokens [past, past + length) of sequences [from, from + n), in rows of the longest; each has the place
 * PLACES - 1 - sequence. */
static void feed(struct trial *t, int from, int n, const int32_t *past, const int32_t *length, bool ends)
{
    static float logits[SEQUENCES * LENGTH * VOCAB];
    int32_t ids[SEQUENCES * LENGTH], slot[SEQUENCES], longest = 0;
    for (int s = 0; s < n; s++) {
        slot[s] = PLACES - 1 - (from + s);
        longest = length[s] > longest ? length[s] : longest;
    }
    for (int i = 0; i < n * longest; i++)
        ids[i] = i % longest < length[i / longest]
                     ? token(from + i / longest, past[i / longest] + i % longest)
                     : 0;
    struct cached cached = {.slot = slot, .past = past, .length = length, .ends = ends};
    struct micro_batch m = {.tokens = n * longest, .sequence = longest, .ids = ids, .cached = &cached};
    net_eval(t->net, &m, &(struct logits_sink){.take = keep, .with = logits});
    for (int s = 0; s < n; s++)
        for (int i = ends ? length[s] - 1 : 0; i < length[s]; i++)
            compare(logits + (ends ? s : s * longest + i) * VOCAB, from + s, past[s] + i);
}

/* Beginnings of 11, 2 and 7 tokens; pieces of others; then one by one. */
static void test(const char *what, bool moe, int tp, int ep, enum dev_check check, dtype type)
{
    struct config c = config_of(moe);
    struct trial t;
    if (open_all(&t, &c, tp, ep, check, type) != OK)
        bug("%s", status_text());
    run_whole(&t);
    feed(&t, 0, 3, (int32_t[]){0, 0, 0}, (int32_t[]){11, 2, 7}, true);
    feed(&t, 1, 2, (int32_t[]){2, 7}, (int32_t[]){6, 3}, false);
    for (int i = 11; i < 14; i++)
        feed(&t, 0, 3, (int32_t[]){i, i - 3, i - 1}, (int32_t[]){1, 1, 1}, true);
    feed(&t, 1, 1, (int32_t[]){5}, (int32_t[]){1}, true); /* again: what followed is forgotten */
    feed(&t, 1, 1, (int32_t[]){6}, (int32_t[]){LENGTH - 6}, false);
    net_eval(t.net, &(struct micro_batch){0}, NULL);
    feed(&t, 0, 1, (int32_t[]){14}, (int32_t[]){LENGTH - 14}, true);
    net_cache_copy(t.net, PLACES - 3, PLACES - 1, 9); /* sequence 0's beginning in the place of sequence 2 */
    feed(&t, 2, 1, (int32_t[]){9}, (int32_t[]){1}, true);
    double copied = worst;
    worst = 0;
    feed(&t, 2, 1, (int32_t[]){0}, (int32_t[]){9}, true);
    net_cache_copy(t.net, PLACES - 1, PLACES - 3, 9);
    net_cache_copy(t.net, PLACES - 3, PLACES - 1, 9);
    feed(&t, 2, 1, (int32_t[]){9}, (int32_t[]){LENGTH - 9}, false);
    /* bf16: a rounding of each of some ten numbers on the way may fall the other way */
    double bar = type == F32 ? 1e-5 : 16 * 0x1p-8;
    ok(worst <= bar * most, "%s: pieces have the logits of the whole: %.1e of %.1f", what, worst, most);
    ok(copied > worst + 1e-5 * most, "%s: another beginning has others", what);
    close_all(&t);
}

int main(void)
{
    if (comm_open(&comm) != OK)
        return 1;
    tap_open(comm);
    bool alone = comm_size(comm) == 1;
    test("dense", false, alone ? 1 : 2, 1, CHECK_VALUES, F32);
    test("MoE", true, 1, alone ? 1 : 4, CHECK_VALUES, F32);
    test("MoE, hidden", true, alone ? 1 : 2, alone ? 1 : 2, CHECK_HIDDEN, F32);
    test("dense, bf16", false, 1, 1, CHECK_NONE, BF16);
    return tap_done();
}
