#include "train/step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "train/balance.h"

void batch_open(struct batch *b, const struct layout *l, int rank, int64_t sequences, int64_t micro,
                int64_t sequence)
{
    *b = (struct batch){.micros = sequences / micro, .micro = micro, .sequence = sequence};
    b->rounds = layout_rounds(l, b->micros);
    b->mine = layout_micros(l, b->micros, layout_coords(l, rank).d);
    int64_t n = mem_mul(mem_mul(b->mine.n, micro), sequence);
    b->ids = mem_new(n, sizeof *b->ids);
    b->targets = mem_new(n, sizeof *b->targets);
}

void batch_close(struct batch *b)
{
    free(b->ids);
    free(b->targets);
}

status batch_fetch(struct batch *b, struct data *data, int64_t first)
{
    b->first = first;
    for (int64_t i = 0; i < b->mine.n * b->micro; i++)
        TRY(data_sample(data, first + b->mine.lo * b->micro + i, b->ids + i * b->sequence,
                        b->targets + i * b->sequence));
    return data_counted(data, first, b->micros * b->micro, &b->counted);
}

struct micro_batch batch_round(const struct batch *b, int64_t round)
{
    if (round >= b->mine.n)
        return (struct micro_batch){0};
    int64_t n = b->micro * b->sequence;
    return (struct micro_batch){n, b->ids + round * n, b->targets + round * n,
                                b->counted > 0 ? 1 / (double)b->counted : 0,
                                b->first + (b->mine.lo + round) * b->micro};
}

status stepper_open(struct stepper *s, struct comm *comm, struct group *const *group, struct store *store,
                    struct net *net, const struct optimizer_section *optimizer)
{
    const struct config *c = &store->model->config;
    *s = (struct stepper){.comm = comm, .group = group, .store = store, .net = net, .optimizer = optimizer};
    s->report.load_n = config_moe_layers(c) * c->moe.experts;
    return comm_agree(comm, optim_open(&s->optim, store->dev));
}

void stepper_close(struct stepper *s)
{
    optim_close(&s->optim);
}

/* Mean over layers of the largest expert load over the mean load; 1 for a dense model. */
static double load_ratio(const struct config *c, const double *load)
{
    int64_t layers = config_moe_layers(c), x = c->moe.experts;
    double sum = 0;
    for (int64_t l = 0; l < layers; l++) {
        double most = 0, all = 0;
        for (int64_t e = 0; e < x; e++) {
            most = fmax(most, load[l * x + e]);
            all += load[l * x + e];
        }
        sum += all > 0 ? most * (double)x / all : 1;
    }
    return layers > 0 ? sum / (double)layers : 1;
}

void step_gradients(struct stepper *s, const struct batch *b)
{
    struct step_report *r = &s->report;
    double start = clock_seconds();
    net_begin(s->net, s->want_margin);
    for (int64_t round = 0; round < b->rounds; round++) {
        struct micro_batch m = batch_round(b, round);
        net_train(s->net, &m, round > 0);
    }
    r->seconds[PHASE_NET] = clock_lap(&start);
    store_reduce_grads(s->store, s->group);
    net_sum(s->net);
    r->seconds[PHASE_REDUCE] = clock_lap(&start);
    optim_squares(&s->optim, s->store, s->group[G_WORLD]);
    r->seconds[PHASE_NORM] = clock_lap(&start);
}

void step_update(struct stepper *s, int64_t update, double rate)
{
    struct step_report *r = &s->report;
    double start = clock_seconds();
    r->rate = rate;
    optim_update(&s->optim, s->store, s->optimizer, net_loss(s->net), rate, update);
    balance_update(s->store, net_loads(s->net), s->optim.control);
    r->seconds[PHASE_OPTIMIZER] = clock_lap(&start);
    store_gather_weights(s->store, s->group);
    r->seconds[PHASE_GATHER] = clock_lap(&start);
}

/* Means by definitions D10. */
bool step_read(struct stepper *s, const struct batch *b)
{
    struct step_report *r = &s->report;
    const struct config *c = &s->store->model->config;
    struct net_report sum = net_read(s->net);
    double margin = -sum.margin;
    comm_max_f64(s->comm, &margin, 1);
    double assignments = (double)(b->micros * b->micro * b->sequence * c->moe.top_k * config_moe_layers(c));
    r->loss = b->counted > 0 ? sum.nll / (double)b->counted : 0;
    r->aux = sum.aux / (double)b->micros;
    r->z = sum.z / (double)b->micros;
    r->max_z = sum.max_z / (double)b->micros;
    r->dropped_fraction = assignments > 0 ? sum.dropped / assignments : 0;
    r->load = sum.load;
    r->load_max_over_mean = load_ratio(c, r->load);
    r->margin = -margin;
    r->grad_norm = optim_norm(&s->optim);
    return isfinite(r->grad_norm) && isfinite(r->loss);
}
