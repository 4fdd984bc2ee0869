#include "start/origin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "eval/valid.h"

/* The source model, which only computes. It is freed before the target is made. */
struct guest {
    struct layout layout;
    struct group *group[GROUPS];
    struct model model;
    struct store store;
    struct fill_plan plan;
    struct net *net;
    int64_t bytes;
};

static void guest_close(struct guest *g)
{
    net_close(g->net);
    plan_free(&g->plan);
    store_close(&g->store);
    model_close(&g->model);
    groups_close(g->group);
}

struct planning {
    struct guest *g;
    const struct opened *s;
};

/* For comm_once. */
static status guest_plan(void *with)
{
    const struct planning *p = with;
    struct source *source = NULL;
    TRY(shapes_source(p->s->shapes, p->s->deck, &source));
    return plan_same(&p->g->plan, &p->g->model, source);
}

static status guest_open(struct guest *g, const struct opened *s)
{
    struct layout_needs needs = config_needs(&s->shapes->source);
    g->layout = layout_for_source(s->layout, &needs);
    TRY(groups_open(g->group, s->comm, s->dev, &g->layout));
    model_open_stored(&g->model, &s->shapes->source, &g->layout, s->deck->device.precision);
    TRY(comm_agree(s->comm, store_open(&g->store, &g->model, &g->layout, s->rank, s->dev, false)));
    struct planning planning = {g, s};
    TRY(comm_once(s->comm, guest_plan, &planning));
    return deck_place(s->deck, weights_fill(&g->store, s->comm, &g->plan, &g->bytes), NULL);
}

/* The certificate compares in F32, whatever the precision. Both models have weights rounded as the run rounds
 * them, so their logits differ by F32's rounding alone. */
static status open_net(struct net **net, const struct opened *s, const struct store *store,
                       struct group *const *group, int64_t sequence, int64_t micro, dtype activation)
{
    struct net_shape shape = {.sequence = sequence,
                              .micro = micro,
                              .imbalance = s->deck->model.moe.imbalance,
                              .training = false,
                              .documents = data_has_begins(s->data),
                              .activation = activation};
    return comm_agree(s->comm, net_open(net, store, group, &shape));
}

/* The mean validation loss over all sets, as the training loop computes it. */
static status guest_loss(struct guest *g, const struct opened *s, double *mean)
{
    int sets = data_valid_sets(s->data);
    double sum = 0;
    int64_t micro = s->deck->batch.micro, sequence = s->deck->data.sequence;
    TRY(open_net(&g->net, s, &g->store, g->group, sequence, micro, s->deck->device.precision));
    for (int i = 0; i < sets; i++) {
        double loss;
        TRY(valid_loss(&loss, s->comm, g->net, &g->layout, s->rank, s->data, i, s->deck->eval.tokens, micro,
                       sequence));
        if (sets > 1)
            log_say("dense     valid loss %.5f on %s", loss, data_valid_name(s->data, i));
        sum += loss;
    }
    *mean = sets > 0 ? sum / sets : (double)NAN;
    net_close(g->net);
    g->net = NULL;
    return OK;
}

static void show_loss(const struct opened *s, double loss, int64_t bytes)
{
    char read[32];
    double guess = log((double)s->shapes->source.vocab);
    text_bytes(read, (double)bytes);
    if (!isfinite(loss)) {
        log_say("dense     its loss is not known, because there are no validation data | read %s a rank",
                read);
        return;
    }
    log_say("dense     valid loss %.5f nats/token (perplexity %.2f; guessing is %.2f) | read %s a rank", loss,
            exp(loss), guess, read);
    if (loss > 0.6 * guess)
        log_warn("the dense model predicts these data badly: check the tokenizer and the rotary settings");
}

/* The tokens of the certificate: up to 512 of the first validation set, else of the training data, in whole
 * windows. */
static status certificate_tokens(const struct opened *s, struct origin *o)
{
    int64_t sequence = s->deck->data.sequence;
    int set = data_valid_sets(s->data) > 0 ? 0 : -1;
    int64_t windows = sequence < CERTIFICATE_TOKENS ? CERTIFICATE_TOKENS / sequence : 1;
    int64_t there = data_valid_windows(s->data, set, windows * sequence), length = sequence;
    windows = there < windows ? there : windows;
    if (length > CERTIFICATE_TOKENS)
        length = CERTIFICATE_TOKENS; /* a window is longer, so its beginning is used */
    int32_t *ids = mem_new(sequence, sizeof *ids), *targets = mem_new(sequence, sizeof *targets);
    o->ids = mem_new(mem_mul(windows, length), sizeof *o->ids);
    status code = OK;
    for (int64_t w = 0; w < windows && code == OK; w++) {
        code = data_window(s->data, set, w, (struct sample){.ids = ids, .targets = targets});
        memcpy(o->ids + w * length, ids, (size_t)length * sizeof *ids);
    }
    free(ids);
    free(targets);
    certificate_open(&o->certificate, s->comm, windows * length, length, &s->shapes->target,
                     &s->shapes->source, &s->shapes->grow, &s->shapes->upcycle);
    return code;
}

static status guest_logits(struct guest *g, const struct opened *s, struct origin *o)
{
    TRY(comm_agree(s->comm, certificate_tokens(s, o)));
    TRY(open_net(&g->net, s, &g->store, g->group, o->certificate.sequence, 1, F32));
    certificate_source(&o->certificate, g->net, &g->store, o->ids, s->comm);
    return OK;
}

status origin_open(struct origin *o, const struct opened *s)
{
    o->valid = (double)NAN;
    if (s->shapes->start != START_UPCYCLE && s->shapes->start != START_GROW)
        return OK;
    struct guest g = {0};
    o->certify = true;
    status code = guest_open(&g, s);
    if (code == OK)
        code = guest_loss(&g, s, &o->valid);
    if (code == OK) {
        show_loss(s, o->valid, g.bytes);
        code = guest_logits(&g, s, o);
    }
    guest_close(&g);
    return code;
}

status origin_compare(struct origin *o, const struct opened *s, const struct store *store,
                      struct group *const *group)
{
    struct certificate *c = &o->certificate;
    struct net *net = NULL;
    status code = open_net(&net, s, store, group, c->sequence, 1, F32);
    if (code == OK)
        certificate_target(c, net, store, o->ids, s->comm);
    net_close(net);
    return code;
}

void origin_close(struct origin *o)
{
    certificate_close(&o->certificate);
    free(o->ids);
    o->ids = NULL;
}
