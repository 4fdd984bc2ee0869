/* How often the host waits for the device in a training step, in the hidden mode, where it cannot look
 * without waiting: once a MoE layer in forward, for the experts' counts, never with a capacity, and once for
 * what a step reports, which may be read when the next step has begun. What goes on beside forward and
 * backward changes no bit. */
#include <math.h>

#include "base/mem.h"
#include "tap_ranks.h"
#include "train/step.h"
#include "weights/fill.h"

enum { SEQUENCE = 16, MICRO = 2, MICROS = 4, LAYERS = 3, MOE = 2 };

static struct comm *comm;
static struct dev *dev;
static enum recompute recompute;
static bool overlap = true; /* of what goes on beside forward and backward */

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
    struct net_shape shape = {.sequence = SEQUENCE,
                              .micro = MICRO,
                              .imbalance = 2,
                              .training = true,
                              .recompute = recompute,
                              .overlap_gradients = overlap,
                              .overlap_weights = overlap};
    struct fill_plan plan;
    int64_t bytes;
    TRY(groups_open(group, comm, dev, l));
    TRY(comm_agree(comm, store_open(s, m, l, comm_rank(comm), dev, true)));
    TRY(comm_agree(comm, plan_random(&plan, m, 3)));
    TRY(weights_fill(s, comm, &plan, &bytes));
    plan_free(&plan);
    return comm_agree(comm, net_open(net, s, group, &shape));
}

struct trial {
    struct store s;
    struct model m;
    struct layout l;
    struct group *group[GROUPS];
    struct net *net;
    struct stepper stepper;
    struct batch b;
};

static double betas[] = {0.9, 0.95};
static const struct optimizer_section section = {.betas = {2, betas}, .eps = 1e-8, .clip = 1};

static void run_open(struct trial *r, const struct config *c, int tp, int ep, int etp)
{
    struct layout_needs needs = config_needs(c);
    *r = (struct trial){.net = NULL};
    char *why = layout_make(&r->l, comm_size(comm), tp, ep, etp, &needs);
    if (why)
        bug("%s", why);
    model_open(&r->m, c, &r->l);
    if (open_all(&r->s, r->group, &r->net, &r->m, &r->l) != OK ||
        stepper_open(&r->stepper, comm, r->group, &r->s, r->net, &section) != OK)
        bug("%s", status_text());
    r->b = batch_of(&r->l);
}

static void run_close(struct trial *r)
{
    batch_close(&r->b);
    stepper_close(&r->stepper);
    net_close(r->net);
    store_close(&r->s);
    groups_close(r->group);
    model_close(&r->m);
}

static int64_t waited(int64_t *since)
{
    int64_t n = dev_waits(dev) - *since;
    *since += n;
    return n;
}

/* each: waits in a MoE layer. */
static void test_step(const char *what, struct config c, int tp, int ep, int etp, int each)
{
    struct trial r;
    run_open(&r, &c, tp, ep, etp);
    int64_t clock = dev_waits(dev);
    step_gradients(&r.stepper, &r.b);
    int64_t forward = waited(&clock);
    step_update(&r.stepper, 1, 1e-3);
    int64_t update = waited(&clock);
    ok(forward == each * r.b.rounds * MOE && update == 0,
       "%s: %lld waits in %lld micro-batches of %d MoE layers, %lld in the update", what, (long long)forward,
       (long long)r.b.rounds, MOE, (long long)update);
    step_gradients(&r.stepper, &r.b);
    step_update(&r.stepper, 2, 1e-3);
    forward = waited(&clock);
    bool finite = step_read(&r.stepper);
    double first = r.stepper.report.loss;
    int64_t one = waited(&clock), unread = step_unread(&r.stepper);
    finite = finite && step_read(&r.stepper);
    ok(forward == each * r.b.rounds * MOE && one <= 1 && unread == 1 && waited(&clock) == 1,
       "%s: none at the end of a step, %lld for its report when the next has begun", what, (long long)one);
    ok(finite && r.stepper.report.loss < first, "%s: the reports are each step's own: loss %.6f, then %.6f",
       what, first, r.stepper.report.loss);
    net_begin(r.net, false);
    struct micro_batch micro = batch_round(&r.b, 0);
    waited(&clock);
    net_eval(r.net, &micro, NULL);
    ok(waited(&clock) == MOE, "%s: once a layer in evaluation", what);
    run_close(&r);
}

/* A step whose loss is not finite changes nothing, nor does the one that began before that was known. */
static void test_stop(void)
{
    struct config c = config_of(AUX_MICRO_BATCH, 0, BY_POSITION);
    struct trial r;
    run_open(&r, &c, 1, 1, 1);
    step_gradients(&r.stepper, &r.b);
    double nan[1] = {(double)NAN};
    dev_upload(dev, net_loss(r.net), nan);
    uint64_t before = store_hash(&r.s, MASTER);
    step_update(&r.stepper, 1, 1e-3);
    step_gradients(&r.stepper, &r.b);
    step_update(&r.stepper, 2, 1e-3);
    step_read(&r.stepper);
    step_read(&r.stepper);
    ok(store_hash(&r.s, MASTER) == before,
       "weights are as before a step that is not finite, also after the next one");
    run_close(&r);
}

/* Rows of a fixed number and rows that follow each other: the same sums, with zeros in them. */
static void test_fixed(int ep, int etp)
{
    struct config c = config_of(AUX_MICRO_BATCH, 1000000, BY_PROBABILITY);
    struct dev *hidden = dev, *plain;
    struct dev_options options = {.threads = 1, .check = CHECK_VALUES};
    struct step_report report[2];
    if (dev_open(&plain, "cpu", 0, &options) != OK)
        bug("%s", status_text());
    for (int i = 0; i < 2; i++) {
        struct trial r;
        dev = i ? plain : hidden;
        run_open(&r, &c, 1, ep, etp);
        step_gradients(&r.stepper, &r.b);
        step_read(&r.stepper);
        report[i] = r.stepper.report;
        run_close(&r);
    }
    dev_close(plain);
    dev = hidden;
    double loss = fabs(report[0].loss / report[1].loss - 1),
           norm = fabs(report[0].grad_norm / report[1].grad_norm - 1);
    ok(loss < 1e-6 && norm < 1e-5 && report[0].dropped_fraction == report[1].dropped_fraction &&
           report[0].dropped_fraction > 0,
       "EP %d, ETP %d: fixed rows change loss by %.1e, norm by %.1e; %.3f dropped", ep, etp, loss, norm,
       report[0].dropped_fraction);
}

/* What three steps leave behind. */
struct outcome {
    uint64_t hash;
    double loss;
    int64_t kept; /* bytes for backward */
};

static struct outcome three_steps(const struct config *c, int tp, int ep, int etp)
{
    struct trial r;
    run_open(&r, c, tp, ep, etp);
    for (int step = 1; step <= 3; step++) {
        step_gradients(&r.stepper, &r.b);
        step_update(&r.stepper, step, 1e-3);
        step_read(&r.stepper);
    }
    struct net_memory m = net_memory(r.net);
    struct outcome o = {store_hash(&r.s, MASTER), r.stepper.report.loss, m.saved + m.routed};
    run_close(&r);
    return o;
}

/* Sums of gradients beside backward, and weights that come beside forward: the same bits. The device does
 * late what nothing waits for, so what is read too early has other bits. */
static void test_overlap(int tp, int ep, int etp)
{
    struct config c = config_of(AUX_MICRO_BATCH, 0, BY_POSITION);
    struct outcome on = three_steps(&c, tp, ep, etp);
    overlap = false;
    struct outcome off = three_steps(&c, tp, ep, etp);
    overlap = true;
    ok(on.hash == off.hash && on.loss == off.loss,
       "TP %d, EP %d, ETP %d: overlap changes no bit: loss %.9f, %.9f", tp, ep, etp, on.loss, off.loss);
}

/* Backward computes again what was not kept: the same bits, from less memory. */
static void test_recompute(int64_t capacity_ppm, int tp, int ep, int etp)
{
    struct config c = config_of(AUX_SEQUENCE, capacity_ppm, BY_PROBABILITY);
    c.moe.shared_gate = true;
    c.moe.jitter = 0.01;
    c.qk_norm = true;
    struct outcome of[RECOMPUTE_FULL + 1];
    for (int r = RECOMPUTE_NONE; r <= RECOMPUTE_FULL; r++) {
        recompute = (enum recompute)r;
        of[r] = three_steps(&c, tp, ep, etp);
        if (r > RECOMPUTE_NONE)
            ok(of[r].hash == of[r - 1].hash && of[r].loss == of[r - 1].loss && of[r].kept < of[r - 1].kept,
               "TP %d, EP %d, ETP %d: recompute %s changes no bit: loss %.9f, %.9f; %lld bytes for %lld", tp,
               ep, etp, choice_name(recomputes, r), of[r].loss, of[r - 1].loss, (long long)of[r].kept,
               (long long)of[r - 1].kept);
    }
    recompute = RECOMPUTE_NONE;
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
    test_step("dropless", config_of(AUX_MICRO_BATCH, 0, BY_POSITION), 1, alone ? 1 : 2, alone ? 1 : 2, 1);
    test_step("capacity by probability", config_of(AUX_GLOBAL, 1000000, BY_PROBABILITY), 1, alone ? 1 : 2, 1,
              0);
    test_step("capacity by position", config_of(AUX_SEQUENCE, 1500000, BY_POSITION), 1, 1, alone ? 1 : 2, 0);
    test_step("much capacity", config_of(AUX_SEQUENCE, 2000000, BY_POSITION), 1, 1, 1, 1);
    if (!alone)
        test_step("capacity with TP", config_of(AUX_MICRO_BATCH, 1000000, BY_POSITION), 2, 2, 1, 1);
    test_stop();
    test_fixed(1, 1);
    if (!alone)
        test_fixed(2, 2);
    test_overlap(1, 1, 1);
    if (!alone) {
        test_overlap(2, 2, 1);
        test_overlap(1, 2, 2);
    }
    if (alone)
        test_recompute(0, 1, 1, 1);
    else {
        test_recompute(1000000, 2, 2, 1);
        test_recompute(0, 1, 2, 2);
    }
    dev_close(dev);
    return tap_done();
}
