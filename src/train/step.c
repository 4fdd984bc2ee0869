#include "train/step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/progress.h"
#include "base/signals.h"
#include "train/balance.h"
#include "train/fault.h"

const char *const phase_name[PHASES] = {[PHASE_NET] = "forward+backward", [PHASE_EXCHANGE] = "exchange",
                                        [PHASE_REDUCE] = "reduce",        [PHASE_NORM] = "norm",
                                        [PHASE_OPTIMIZER] = "optimizer",  [PHASE_GATHER] = "gather"};

static int64_t loads(const struct stepper *s)
{
    const struct config *c = &s->store->model->config;
    return config_moe_layers(c) * c->moe.experts;
}

status stepper_open(struct stepper *s, struct comm *comm, struct group *const *group, struct store *store,
                    struct net *net, const struct optimizer_section *optimizer)
{
    *s = (struct stepper){.comm = comm, .group = group, .store = store, .net = net, .optimizer = optimizer};
    s->most = (struct clip){optimizer->clip, INFINITY, INFINITY};
    s->report.load_n = loads(s);
    return comm_agree(comm, optim_open(&s->optim, store->dev, net_squares(net)));
}

void stepper_close(struct stepper *s)
{
    optim_close(&s->optim);
}

/* The largest load of an expert divided by the mean load. */
static double load_ratio(const double *load, int64_t experts)
{
    double most = 0, all = 0;
    for (int64_t e = 0; e < experts; e++) {
        most = fmax(most, load[e]);
        all += load[e];
    }
    return all > 0 ? most * (double)experts / all : 1;
}

/* Report the mean of this ratio over layers, and the layer where it is largest; 1 for a dense model. */
static void report_loads(struct step_report *r, const struct config *c)
{
    double sum = 0;
    int64_t seen = 0;
    r->load_worst = r->load_max_over_mean = 1;
    for (int l = 0; l < c->layers && r->load_n > 0; l++) {
        if (!c->moe.layer[l])
            continue;
        double ratio = load_ratio(r->load + seen++ * c->moe.experts, c->moe.experts);
        sum += ratio;
        if (seen == 1 || ratio > r->load_worst) {
            r->load_worst = ratio;
            r->load_worst_layer = l;
        }
    }
    if (seen > 0)
        r->load_max_over_mean = sum / (double)seen;
}

/* Seconds that this rank has spent in the groups of forward and backward since they were opened. */
static double exchange_seconds(const struct stepper *s)
{
    return group_seconds(s->group[G_TP]) + group_seconds(s->group[G_EP]) + group_seconds(s->group[G_ETP]);
}

static struct step_report facts_of(const struct stepper *s, const struct batch *b)
{
    const struct config *c = &s->store->model->config;
    return (struct step_report){.counted = b->counted,
                                .micros = b->micros,
                                .assignments = (double)(b->real * c->moe.top_k * config_moe_layers(c)),
                                .load_n = loads(s)};
}

/* COLLECTIVE */
static bool ranks_hurry(const struct stepper *s)
{
    int64_t mine = signals_hurry();
    comm_max_i64(s->comm, &mine, 1);
    return mine;
}

bool step_gradients(struct stepper *s, const struct batch *b)
{
    struct step_report *r = &s->begun[s->steps++ % 2];
    double start = clock_seconds(), exchanged = exchange_seconds(s);
    *r = facts_of(s, b);
    net_begin(s->net, s->want_margin);
    for (int64_t round = 0; round < b->rounds; round++) {
        struct micro_batch m = batch_round(b, round);
        if (round > 0 && ranks_hurry(s)) {
            s->steps--;
            return false;
        }
        net_train(s->net, &m, round > 0, round == b->rounds - 1 && !fault_planned());
    }
    r->seconds[PHASE_EXCHANGE] = exchange_seconds(s) - exchanged;
    r->seconds[PHASE_NET] = clock_lap(&start) - r->seconds[PHASE_EXCHANGE];
    fault_gradient(s->store, b->sample, b->micros * b->micro);
    progress_part("sum of gradients", -1);
    net_reduce_grads(s->net);
    net_sum(s->net);
    r->seconds[PHASE_REDUCE] = clock_lap(&start);
    optim_squares(&s->optim, s->store, s->group[G_WORLD]);
    net_tell(s->net);
    r->seconds[PHASE_NORM] = clock_lap(&start);
    return true;
}

void step_update(struct stepper *s, int64_t update, double rate)
{
    struct step_report *r = &s->begun[(s->steps - 1) % 2];
    double start = clock_seconds();
    r->rate = rate;
    r->most = s->most;
    progress_part("update", -1);
    optim_update(&s->optim, s->store, s->optimizer, net_loss(s->net), s->most, rate, update);
    balance_update(s->store, net_loads(s->net), s->optim.control);
    r->seconds[PHASE_OPTIMIZER] = clock_lap(&start);
    progress_part("gather of weights", -1);
    net_gather_weights(s->net);
    r->seconds[PHASE_GATHER] = clock_lap(&start);
}

int64_t step_unread(const struct stepper *s)
{
    return s->steps - s->reads;
}

/* The means are those of definitions D10. */
bool step_read(struct stepper *s)
{
    struct step_report *r = &s->report;
    struct net_report sum = net_read(s->net);
    double margin = -sum.margin;
    *r = s->begun[s->reads++ % 2];
    comm_max_f64(s->comm, &margin, 1);
    r->loss = r->counted > 0 ? sum.nll / (double)r->counted : 0;
    r->aux = sum.aux / (double)r->micros;
    r->z = sum.z / (double)r->micros;
    r->max_z = sum.max_z / (double)r->micros;
    r->dropped_fraction = r->assignments > 0 ? sum.dropped / r->assignments : 0;
    r->load = sum.load;
    report_loads(r, &s->store->model->config);
    r->margin = -margin;
    r->grad_norm = sqrt(sum.squares);
    return isfinite(r->grad_norm) && isfinite(r->loss) && r->grad_norm <= r->most.norm &&
           sum.nll <= r->most.loss;
}
