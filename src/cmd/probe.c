/* coppice probe DECK [--out F] [--expect F] [--curve]: logits, loss and every gradient of one global batch,
 * or with --curve the losses of a training run and its final parameters. They are written to a safetensors
 * file (probe_write.c), or compared with one (probe_expect.c). */
#include "cmd/probe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "cmd/commands.h"
#include "train/schedule.h"

const char *const probe_curve_name[CURVES] = {"train.loss", "train.grad_norm", "train.lr"};
const char *const probe_scalar_name[SCALARS] = {"loss", "cross_entropy", "aux_loss", "z_loss", "max_z_loss"};

/* The bars follow from the step with fewest targets and from the closest routing choice. */
static void judge_by(struct probe *p)
{
    const struct step_report *r = &p->stepper.report;
    struct judged *j = &p->judged;
    j->targets = p->batch.counted < j->targets ? p->batch.counted : j->targets;
    j->margin = fmin(j->margin, r->margin);
    j->max_logit = fmax(j->max_logit, sqrt(r->max_z));
    p->bars = bars_of(j);
}

int64_t probe_micro_logits(const struct probe *p)
{
    return mem_mul(p->batch.micro * p->batch.sequence, p->s.shapes.target.vocab);
}

/* ---- one batch ---- */

/* Where to put the logits of a micro-batch. */
struct collect {
    float *to;
    int64_t vocab;
};

static void collect_logits(void *with, int64_t first, int64_t rows, const float *logits)
{
    struct collect *c = with;
    memcpy(c->to + first * c->vocab, logits, (size_t)(rows * c->vocab) * sizeof *logits);
}

static void forward_logits(struct probe *p)
{
    p->logits = mem_new(mem_mul(p->batch.mine.n, probe_micro_logits(p)), sizeof *p->logits);
    for (int64_t r = 0; r < p->batch.rounds; r++) {
        struct micro_batch m = batch_round(&p->batch, r);
        struct collect to = {p->logits + r * probe_micro_logits(p), p->s.shapes.target.vocab};
        struct logits_sink sink = {.take = collect_logits, .with = &to};
        net_probe(p->s.net, &m, &sink);
    }
}

static double probe_loss(const struct probe *p)
{
    const struct moe *m = &p->s.shapes.target.moe;
    const struct step_report *r = &p->stepper.report;
    return r->loss + m->aux_coeff * r->aux + m->z_coeff * r->z + m->max_z_coeff * r->max_z;
}

void probe_scalars(const struct probe *p, double value[SCALARS])
{
    const struct step_report *r = &p->stepper.report;
    const double all[SCALARS] = {probe_loss(p), r->loss, r->aux, r->z, r->max_z};
    memcpy(value, all, sizeof all);
}

static status run_batch(struct probe *p)
{
    TRY(batch_fetch(&p->batch, p->s.comm, p->s.data, 0));
    if (p->s.options.out || p->opened_expect)
        forward_logits(p);
    step_gradients(&p->stepper, &p->batch);
    step_read(&p->stepper);
    double norm = p->stepper.report.grad_norm;
    const struct step_report *r = &p->stepper.report;
    log_say("loss %.9f  cross_entropy %.9f  aux_loss %.9f  z_loss %.9f  grad_norm %.9f", probe_loss(p),
            r->loss, r->aux, r->z, norm);
    log_say("dropped %.6f  margin %.3g", r->dropped_fraction, r->margin);
    judge_by(p);
    return OK;
}

/* ---- a training curve ---- */

static status train_step(struct probe *p, int64_t step)
{
    const struct optimizer_section *o = &p->s.deck.optimizer;
    const struct step_report *r = &p->stepper.report;
    int64_t steps = deck_steps(&p->s.deck), horizon = o->horizon > 0 ? o->horizon : steps;
    TRY(batch_fetch(&p->batch, p->s.comm, p->s.data, step * p->batch.micros * p->batch.micro));
    step_gradients(&p->stepper, &p->batch);
    step_update(&p->stepper, step + 1, schedule_rate(o, horizon, step + 1));
    if (!step_read(&p->stepper))
        return comm_agree(
            p->s.comm, fail(E_NAN, "step %lld: the loss or the gradient is not finite", (long long)step + 1));
    const double value[CURVES] = {r->loss, r->grad_norm, r->rate};
    for (int i = 0; i < CURVES; i++)
        p->curve[i * steps + step] = (float)value[i];
    if (!p->opened_expect)
        log_say("step %lld loss %.8f grad_norm %.8f", (long long)step + 1, r->loss, r->grad_norm);
    return OK;
}

static status run_curve(struct probe *p)
{
    p->curve = mem_new(mem_mul(CURVES, deck_steps(&p->s.deck)), sizeof *p->curve);
    for (int64_t step = 0; step < deck_steps(&p->s.deck); step++) {
        TRY(train_step(p, step));
        p->rates += p->stepper.report.rate;
        judge_by(p);
    }
    log_say("margin %.3g", p->judged.margin);
    return OK;
}

/* ---- the command ---- */

static status open_probe(struct probe *p, int argc, char **argv)
{
    struct session *s = &p->s;
    TRY(session_open(s, argc, argv));
    TRY(session_open_device(s));
    TRY(session_open_store(s, true));
    TRY(session_fill(s, NULL));
    TRY(session_open_net(s, true));
    const struct batch_section *b = &s->deck.batch;
    batch_open(&p->batch, &s->layout, s->rank, b->sequences, b->micro, s->deck.data.sequence);
    batch_mask(&p->batch, s->data);
    TRY(stepper_open(&p->stepper, s->comm, s->group, &s->store, s->net, &s->deck.optimizer));
    p->stepper.want_margin = true;
    p->judged = (struct judged){.stored = session_precision(s),
                                .layers = s->shapes.target.layers,
                                .targets = INT64_MAX,
                                .margin = (double)INFINITY};
    if (!s->options.expect)
        return OK;
    status code = comm_agree(s->comm, st_open(&p->expect, s->options.expect));
    p->opened_expect = code == OK;
    return code == OK ? comm_agree(s->comm, probe_check_expected(p)) : code;
}

static status run_probe(struct probe *p, int argc, char **argv)
{
    TRY(open_probe(p, argc, argv));
    struct session *s = &p->s;
    uint64_t hash = comm_sum_u64(s->comm, store_hash(&s->store, MASTER));
    log_say("weights %016llx  ranks %d  data %d x tensor %d  experts %d x %d x %d", (unsigned long long)hash,
            s->layout.world, s->layout.dp, s->layout.tp, s->layout.edp, s->layout.ep, s->layout.etp);
    char rows[48];
    TRY(s->options.curve ? run_curve(p) : run_batch(p));
    if (s->options.out)
        TRY(probe_write(p));
    if (!p->opened_expect)
        return OK;
    TRY(probe_expect(p));
    if (p->bars.turns)
        log_say("not judged: margin: rows that another routing choice may move by any amount; rounding may "
                "turn one");
    if (!p->worse)
        log_say("PASSED");
    else
        log_say("FAILED: %s beyond the tolerance", text_n(rows, p->worse, "row"));
    return p->worse ? E_DIFFERENT : OK;
}

int cmd_probe(int argc, char **argv)
{
    static struct probe p;
    status code = run_probe(&p, argc, argv);
    if (p.opened_expect)
        st_close(&p.expect);
    stepper_close(&p.stepper);
    batch_close(&p.batch);
    free(p.logits);
    free(p.curve);
    return session_close(&p.s, code);
}
