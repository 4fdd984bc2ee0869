#include "train/rehearsal.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "ckpt/ckpt.h"
#include "model/net.h"
#include "train/saving.h"
#include "train/step.h"

/* Everything that a rank has open while it trains, except data and files. */
struct stage {
    struct comm *comm;
    struct dev *dev;
    struct group *group[GROUPS];
    struct model model;
    struct store store;
    struct net *net;
    struct stepper stepper;
    struct batch batch;
    int64_t rounds;
};

status rehearsal_device(struct dev **dev, const struct deck *deck)
{
    const char *name = choice_name(device_types, deck->device.type);
    return dev_open(dev, dev_is_known(name) ? name : "cpu", 0,
                    &(struct dev_options){.threads = 1, .null = true});
}

static void open_batch(struct stage *s, const struct deck *deck, const struct layout *l)
{
    enum { MOST = 2 }; /* rounds: the first, and one of the others, which are all equal */
    const struct batch_section *b = &deck->batch;
    s->rounds = layout_rounds(l, b->sequences / b->micro);
    int64_t rounds = s->rounds < MOST ? s->rounds : MOST;
    batch_open(&s->batch, l, 0, mem_mul(mem_mul(rounds, b->micro), l->dp), b->micro, deck->data.sequence);
}

static status open_stage(struct stage *s, const struct deck *deck, const struct config *config,
                         const struct layout *l, int rank)
{
    struct net_shape shape = {.sequence = deck->data.sequence,
                              .micro = deck->batch.micro,
                              .imbalance = deck->model.moe.imbalance,
                              .training = true,
                              .activation = deck->device.precision,
                              .recompute = deck->device.recompute};
    s->comm = comm_null_open(rank, l->world);
    TRY(rehearsal_device(&s->dev, deck));
    TRY(groups_open(s->group, s->comm, s->dev, l));
    model_open_stored(&s->model, config, l, deck->device.precision);
    TRY(store_open(&s->store, &s->model, l, rank, s->dev, true));
    TRY(net_open(&s->net, &s->store, s->group, &shape));
    open_batch(s, deck, l);
    return stepper_open(&s->stepper, s->comm, s->group, &s->store, s->net, &deck->optimizer);
}

static void close_stage(struct stage *s)
{
    stepper_close(&s->stepper);
    batch_close(&s->batch);
    net_close(s->net);
    store_close(&s->store);
    model_close(&s->model);
    groups_close(s->group);
    dev_close(s->dev);
    comm_close(s->comm);
}

/* ---- counting ---- */

/* The counts of device and groups since they were opened. */
struct tally {
    struct dev_profile_row *row;
    int rows;
    struct rehearsed_group group[GROUPS];
};

static struct tally run_step(struct stage *s, int64_t rounds)
{
    struct tally t;
    s->batch.rounds = rounds;
    dev_profile(s->dev, true);
    step_gradients(&s->stepper, &s->batch);
    step_update(&s->stepper, 1, 1);
    dev_profile(s->dev, false);
    t.rows = dev_profile_rows(s->dev, BY_SHAPE, &t.row);
    for (int g = 0; g < GROUPS; g++)
        t.group[g] = (struct rehearsed_group){group_size(s->group[g]), (double)group_calls(s->group[g]),
                                              (double)group_bytes_sent(s->group[g])};
    return t;
}

/* The count of a step of many rounds. first: of a step of one round; both: of that and a step of two rounds.
 */
static double many_rounds(double first, double both, int64_t rounds)
{
    return first + (double)(rounds - 1) * (both - 2 * first);
}

static struct dev_profile_row row_of(const struct tally *t, const struct dev_profile_row *as)
{
    for (int i = 0; i < t->rows; i++)
        if (t->row[i].op == as->op && t->row[i].m == as->m && t->row[i].n == as->n && t->row[i].k == as->k)
            return t->row[i];
    return (struct dev_profile_row){0};
}

static void extend(struct tally *first, const struct tally *both, int64_t rounds)
{
    for (int i = 0; i < both->rows; i++) {
        struct dev_profile_row *to = &both->row[i], was = row_of(first, to);
        to->calls = (int64_t)many_rounds((double)was.calls, (double)to->calls, rounds);
        to->flops = many_rounds(was.flops, to->flops, rounds);
        to->bytes = many_rounds(was.bytes, to->bytes, rounds);
    }
    for (int g = 0; g < GROUPS; g++) {
        struct rehearsed_group *to = &first->group[g];
        to->calls = many_rounds(to->calls, both->group[g].calls, rounds);
        to->bytes = many_rounds(to->bytes, both->group[g].bytes, rounds);
    }
    free(first->row);
    first->row = both->row;
    first->rows = both->rows;
}

static void count_step(struct rehearsal *r, struct stage *s)
{
    struct tally t = run_step(s, 1);
    if (s->rounds > 1) {
        struct tally both = run_step(s, 2);
        extend(&t, &both, s->rounds);
    }
    r->row = t.row;
    r->rows = t.rows;
    memcpy(r->group, t.group, sizeof r->group);
}

static void count_memory(struct rehearsal *r, const struct deck *deck, const struct stage *s)
{
    struct net_memory net = net_memory(s->net);
    store_bytes_by_kind(&s->model, &s->store.layout, s->store.rank, true, r->store);
    r->saved = net.saved;
    r->scratch = net.scratch;
    r->routed = net.routed;
    r->beyond = net.beyond;
    r->small = net.small;
    for (int g = 0; g < GROUPS; g++)
        r->exchange += group_scratch_bytes(s->group[g]);
    r->snapshot = saving_beside(&deck->checkpoint) ? ckpt_copy_bytes(&s->store) : 0;
}

static status on_stage(struct rehearsal *r, const struct deck *deck, const struct config *config,
                       const struct layout *l, int rank, bool step)
{
    struct stage s = {0};
    *r = (struct rehearsal){0};
    status code = open_stage(&s, deck, config, l, rank);
    if (code == OK && step)
        count_step(r, &s);
    if (code == OK)
        count_memory(r, deck, &s);
    close_stage(&s);
    return code;
}

status rehearse(struct rehearsal *r, const struct deck *deck, const struct config *config,
                const struct layout *l, int rank)
{
    return on_stage(r, deck, config, l, rank, true);
}

status rehearse_memory(struct rehearsal *r, const struct deck *deck, const struct config *config,
                       const struct layout *l, int rank)
{
    return on_stage(r, deck, config, l, rank, false);
}

void rehearsal_free(struct rehearsal *r)
{
    free(r->row);
    *r = (struct rehearsal){0};
}

int64_t rehearsal_bytes(const struct rehearsal *r)
{
    int64_t bytes = r->saved + r->scratch + r->routed + r->beyond + r->exchange + r->small + r->snapshot;
    for (int k = 0; k < KINDS; k++)
        bytes += r->store[k];
    return bytes;
}
