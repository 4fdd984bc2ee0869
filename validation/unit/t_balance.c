/* Routing state after a step, compared with values computed by hand. The bias moves by u towards the mean,
 * and the load is n_e over the mean. Each rank writes only what it owns, and the pieces of all ranks make the
 * whole. */
#include <string.h>

#include "base/mem.h"
#include "tap.h"
#include "train/balance.h"

enum { X = 200, LAYERS = 3, MOE = 2 }; /* two ZeRO-1 parts of 128: bias and load are cut */
static const double RATE = 0.25;       /* exact in fp32 */

static struct config config_of(void)
{
    struct config c = {.hidden = 8,
                       .ffn = 8,
                       .layers = LAYERS,
                       .heads = 2,
                       .kv_heads = 2,
                       .head_dim = 4,
                       .vocab = 16,
                       .norm_eps = 1e-5,
                       .rope = {.theta = 1e4},
                       .max_positions = 32};
    c.moe = (struct moe){.experts = X,
                         .top_k = 2,
                         .granularity = 1,
                         .aux_coeff = 1,
                         .aux_domain = AUX_GLOBAL,
                         .bias_rate = RATE};
    c.moe.layer[0] = c.moe.layer[2] = true;
    return c;
}

/* Counts of the two MoE layers: below, at and above the mean of 2. */
static double count_of(int moe_layer, int e)
{
    return (double)((e + moe_layer) % 4 == 3 ? 5 : (e + moe_layer) % 4);
}

/* What must come out for expert e of a tensor: 2 = (0 + 1 + 2 + 5) / 4. */
static float expected(const char *name, int moe_layer, int e, float before)
{
    double n = count_of(moe_layer, e);
    if (strstr(name, "router_load"))
        return (float)(n / 2);
    return before + (float)RATE * (float)((n < 2) - (n > 2));
}

static float go[2] = {1, 1};

static float start(int e)
{
    return 0.5f * (float)(e % 3);
}

/* Values that this rank owns of the untrained tensors, checked; the rest of its memory is untouched. */
static bool update_rank(struct dev *dev, const struct model *m, const struct layout *l, int rank, int *seen)
{
    struct store s;
    double counts[MOE * X];
    struct shard shard[64];
    bool good = store_open(&s, m, l, rank, dev, true) == OK;
    int n = model_shards(m, l, rank, MASTER, shard, 64);
    for (int i = 0; i < MOE * X; i++)
        counts[i] = count_of(i / X, i % X);
    for (int i = 0; i < n; i++)
        for (int64_t j = 0; j < shard[i].part.n; j++)
            ((float *)store_shard(&s, &shard[i]).data)[j] = start((int)(shard[i].part.lo + j));
    balance_update(&s, view_of(counts, F64, 1, 1, MOE * X), view_of(go, F32, 1, 1, 2));
    for (int i = 0; i < n; i++) {
        const struct tensor *t = &m->tensor[shard[i].tensor];
        for (int64_t j = 0; j < shard[i].part.n; j++) {
            int e = (int)(shard[i].part.lo + j);
            float want = t->trained ? start(e) : expected(t->name, t->layer == 3, e, start(e));
            good = good && ((float *)store_shard(&s, &shard[i]).data)[j] == want;
            *seen += !t->trained;
        }
    }
    store_close(&s);
    return good;
}

static void test_layout(struct dev *dev, int world, int tp, int ep, int etp)
{
    struct config c = config_of();
    struct layout_needs needs = config_needs(&c);
    struct layout l;
    struct model m;
    char *why = layout_make(&l, world, tp, ep, etp, &needs);
    int seen = 0;
    bool good = !why;
    free(why);
    model_open(&m, &c, &l);
    for (int rank = 0; rank < world; rank++)
        good = update_rank(dev, &m, &l, rank, &seen) && good;
    ok(good, "%d ranks (tensor %d, expert %d, expert tensor %d): bias and load by hand, weights untouched",
       world, tp, ep, etp);
    ok(seen == 2 * MOE * X, "%d ranks: every value has one owner (%d of %d)", world, seen, 2 * MOE * X);
    model_close(&m);
}

/* The table: such tensors exist where they are asked for, without gradients or moments. */
static void test_table(void)
{
    static const enum kind none[] = {GRAD, MOMENT1, MOMENT2};
    struct config c = config_of();
    struct model m;
    struct shard shard[64];
    bool trained = true;
    model_open(&m, &c, &layout_alone);
    for (int k = 0; k < 3; k++)
        for (int i = model_shards(&m, &layout_alone, 0, none[k], shard, 64) - 1; i >= 0; i--)
            trained = trained && m.tensor[shard[i].tensor].trained;
    ok(trained, "routing state has no gradient and no moments");
    ok(model_find(&m, "layers.0.router_bias") >= 0 && model_find(&m, "layers.2.router_load") >= 0 &&
           model_find(&m, "layers.1.router_bias") < 0,
       "MoE layers alone have routing state");
    model_close(&m);
    c.moe.bias_rate = 0;
    c.moe.aux_domain = AUX_SEQUENCE;
    model_open(&m, &c, &layout_alone);
    ok(model_find(&m, "layers.0.router_bias") < 0 && model_find(&m, "layers.0.router_load") < 0,
       "without bias and global loss there is no routing state");
    model_close(&m);
}

static void test_nothing_routed(struct dev *dev)
{
    struct config c = config_of();
    struct model m;
    struct store s;
    double counts[MOE * X] = {0};
    model_open(&m, &c, &layout_alone);
    bool good = store_open(&s, &m, &layout_alone, 0, dev, true) == OK;
    balance_update(&s, view_of(counts, F64, 1, 1, MOE * X), view_of(go, F32, 1, 1, 2));
    const float *bias = store_view(&s, model_find(&m, "layers.0.router_bias"), WEIGHT).data;
    const float *load = store_view(&s, model_find(&m, "layers.0.router_load"), WEIGHT).data;
    for (int e = 0; e < X; e++)
        good = good && bias[e] == 0 && load[e] == 1;
    ok(good, "a step without assignments leaves the bias and takes even loads");
    counts[0] = 7;
    go[1] = 0;
    balance_update(&s, view_of(counts, F64, 1, 1, MOE * X), view_of(go, F32, 1, 1, 2));
    go[1] = 1;
    ok(bias[0] == 0 && bias[1] == 0 && load[0] == 1, "a step that is not taken leaves both");
    store_close(&s);
    model_close(&m);
}

int main(void)
{
    struct dev *dev;
    if (dev_open(&dev, "cpu", 0, &(struct dev_options){.check = CHECK_VALUES}) != OK)
        return 1;
    test_table();
    test_nothing_routed(dev);
    test_layout(dev, 1, 1, 1, 1);
    test_layout(dev, 4, 1, 1, 1);
    test_layout(dev, 4, 2, 2, 2);
    test_layout(dev, 3, 1, 1, 1);
    dev_close(dev);
    return tap_done();
}
