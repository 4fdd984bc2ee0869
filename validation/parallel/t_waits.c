/* How often the host waits for the device in a training step, in the hidden mode, where it cannot look
 * without waiting: once a MoE layer in forward, for the experts' counts, and twice at the end of the step,
 * for what it reports. */
#include <math.h>

#include "base/mem.h"
#include "tap_ranks.h"
#include "train/step.h"
#include "weights/fill.h"

enum { SEQUENCE = 16, MICRO = 2, MICROS = 4, LAYERS = 3, MOE = 2 };

static struct comm *comm;
static struct dev *dev;

static struct config config_of(enum aux_domain domain, int64_t capacity_ppm, enum capacity_policy policy)
{
    struct config c = {.hidden = 32,
                       .ffn = 48,
                       .layers = LAYERS,
                       .heads = 4,
                       .kv_heads = 2,
                       .head_dim = 8,
                       .vocab = 64,
                       .norm_eps = 1e-5,
                       .rope = {.theta = 10000},
                       .tied = true,
                       .max_positions = 64};
    c.moe = (struct moe){.experts = 4,
                         .top_k = 2,
                         .granularity = 1,
                         .aux_coeff = 0.01,
                         .aux_domain = domain,
                         .bias_rate = 0.01,
                         .shared = 1,
                         .capacity_ppm = capacity_ppm,
                         .capacity_policy = policy,
                         .layer = {true, false, true}};
    return c;
}

/* Random tokens without a data set. */
static struct batch batch_of(const struct layout *l)
{
    struct batch b;
    batch_open(&b, l, comm_rank(comm), MICRO * MICROS, MICRO, SEQUENCE);
    for (int64_t i = 0; i < b.mine.n * MICRO * SEQUENCE; i++) {
        b.ids[i] = (int32_t)((b.mine.lo * 37 + i * 11) % 64);
        b.targets[i] = (int32_t)(i * 7 % 64);
    }
    b.counted = MICROS * MICRO * SEQUENCE;
    return b;
}

static status open_all(struct store *s, struct group **group, struct net **net, const struct model *m,
                       const struct layout *l)
{
    struct net_shape shape = {.sequence = SEQUENCE, .micro = MICRO, .imbalance = 2, .training = true};
    struct fill_plan plan;
    int64_t bytes;
    TRY(groups_open(group, comm, dev, l));
    TRY(comm_agree(comm, store_open(s, m, l, comm_rank(comm), dev, true)));
    TRY(comm_agree(comm, plan_random(&plan, m, 3)));
    TRY(weights_fill(s, comm, &plan, &bytes));
    plan_free(&plan);
    return comm_agree(comm, net_open(net, s, group, &shape));
}

static void test_step(const char *what, struct config c, int tp, int ep, int etp)
{
    double betas[] = {0.9, 0.95};
    struct optimizer_section section = {.betas = {2, betas}, .eps = 1e-8, .clip = 1};
    struct layout_needs needs = config_needs(&c);
    struct layout l;
    struct model m;
    struct store s;
    struct group *group[GROUPS];
    struct net *net = NULL;
    struct stepper stepper;
    char *why = layout_make(&l, comm_size(comm), tp, ep, etp, &needs);
    if (why)
        bug("%s", why);
    model_open(&m, &c, &l);
    if (open_all(&s, group, &net, &m, &l) != OK ||
        stepper_open(&stepper, comm, group, &s, net, &section) != OK)
        bug("%s", status_text());
    struct batch b = batch_of(&l);
    int64_t before = dev_waits(dev);
    step_gradients(&stepper, &b);
    int64_t forward = dev_waits(dev) - before;
    step_update(&stepper, 1, 1e-3);
    int64_t update = dev_waits(dev) - before - forward;
    bool finite = step_read(&stepper, &b);
    int64_t end = dev_waits(dev) - before - forward - update;
    ok(finite && forward == b.rounds * MOE, "%s: %lld waits in %lld micro-batches of %d MoE layers", what,
       (long long)forward, (long long)b.rounds, MOE);
    ok(update == 0 && end == 2, "%s: %lld waits in the update, %lld at the end of the step", what,
       (long long)update, (long long)end);
    before = dev_waits(dev);
    net_begin(net, false);
    struct micro_batch one = batch_round(&b, 0);
    net_eval(net, &one, NULL);
    ok(dev_waits(dev) - before == MOE, "%s: as many in evaluation", what);
    batch_close(&b);
    stepper_close(&stepper);
    net_close(net);
    store_close(&s);
    groups_close(group);
    model_close(&m);
}

/* A gather on COMM: what it makes is not there before COMPUTE has waited; its row counts were kept. */
static void test_late(void)
{
    struct layout_needs needs = {.heads = 1, .kv_heads = 1, .experts = 1};
    struct layout l;
    struct group *group[GROUPS];
    int size = comm_size(comm);
    int64_t rows[64] = {0};
    void *memory;
    if (layout_make(&l, size, 1, 1, 1, &needs) || groups_open(group, comm, dev, &l) != OK ||
        dev_alloc(dev, "rows", &memory, (size + 1) * 4, FRESH_ANY) != OK)
        bug("no group");
    view all = view_of(memory, F32, 1, size, 1), mine = view_of((float *)memory + size, F32, 1, 1, 1);
    float *seen = mem_new(size, sizeof *seen);
    dev_fill(dev, mine, 3);
    for (int r = 0; r < size; r++)
        rows[r] = 1;
    dev_wait(dev, COMM, dev_mark(dev, COMPUTE));
    group_all_gather_v(group[G_WORLD], COMM, all, rows, mine);
    rows[0] = 99;
    dev_download(dev, seen, all);
    bool early = seen[0] == 3;
    dev_wait(dev, COMPUTE, dev_mark(dev, COMM));
    dev_download(dev, seen, all);
    bool good = true;
    for (int r = 0; r < size; r++)
        good = good && seen[r] == 3;
    ok(!early && good, "a gather on COMM is done when COMPUTE has waited, not before");
    free(seen);
    dev_free(dev, memory, (size + 1) * 4);
    groups_close(group);
}

int main(void)
{
    struct dev_options options = {.threads = 1, .check = CHECK_HIDDEN};
    if (comm_open(&comm) != OK || dev_open(&dev, "cpu", 0, &options) != OK)
        return 1;
    tap_open(comm);
    bool alone = comm_size(comm) == 1;
    test_late();
    test_step("dropless", config_of(AUX_MICRO_BATCH, 0, BY_POSITION), 1, alone ? 1 : 2, alone ? 1 : 2);
    test_step("capacity by probability", config_of(AUX_GLOBAL, 1000000, BY_PROBABILITY), alone ? 1 : 2,
              alone ? 1 : 2, 1);
    test_step("capacity by position", config_of(AUX_SEQUENCE, 1000000, BY_POSITION), 1, 1, 1);
    dev_close(dev);
    return tap_done();
}
