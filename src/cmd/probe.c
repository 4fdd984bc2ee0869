/* coppice probe DECK [--out F] [--expect F] [--curve]: logits, loss and every gradient of one global
 * batch, or with --curve the losses of a training run and its final parameters, written as
 * safetensors or beside a reference. Tolerances: cmd/bars. Names: golden references'. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/errors.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/bars.h"
#include "cmd/commands.h"
#include "weights/compare.h"
#include "cmd/session.h"
#include "train/schedule.h"
#include "train/step.h"

/* Rows of a training curve, each [steps]. */
static const char *const curve_name[] = {"train.loss", "train.grad_norm", "train.lr"};
static const double LR_BAR = 1e-4;
enum { CURVES = sizeof curve_name / sizeof *curve_name };
/* Losses of one batch, each [1]. */
static const char *const scalar_name[] = {"loss", "cross_entropy", "aux_loss", "z_loss", "max_z_loss"};
enum { SCALARS = sizeof scalar_name / sizeof *scalar_name };

struct probe {
    struct session s;
    struct batch batch;
    struct stepper stepper;
    struct st_file expect;
    bool opened_expect;
    float *logits; /* [my micro-batches, N, V] */
    float *curve;  /* [CURVES, steps] */
    double rates;  /* sum of the learning rates of a curve */
    struct judged judged;
    struct bars bars;
    int worse; /* rows beyond their bar */
};

/* ---- the table of differences ---- */

static void row(struct probe *p, const char *what, double value, double reference, double difference,
                double tolerance)
{
    bool good = difference <= tolerance; /* a NaN is not */
    p->worse += !good;
    if (!good || !p->s.options.quiet)
        log_say("%-58s %14.7g %14.7g %11.2e %9.0e %s", what, value, reference, difference, tolerance,
                good ? "ok" : "FAIL");
}

/* A row that a routing choice may have moved by any amount. */
static void row_not_judged(const struct probe *p, const char *what, double value, double reference,
                           double difference)
{
    if (!p->s.options.quiet)
        log_say("%-58s %14.7g %14.7g %11.2e %9s -", what, value, reference, difference, "margin");
}

static void header(const char *first)
{
    log_say("%-58s %14s %14s %11s %9s", first, "value", "reference", "difference", "tolerance");
}

static double relative(double a, double b)
{
    return fabs(a - b) / (fabs(b) > 0 ? fabs(b) : 1);
}

/* Every array against `bar` of its norm, and `each` of every element in the root mean square. */
static void compare_arrays(struct probe *p, const struct comparison *c, const char *prefix, double bar,
                           double each)
{
    for (int i = 0; i < c->n; i++) {
        const struct difference *d = &c->row[i];
        char *what = mem_format("%s%s", prefix, c->names[i].name);
        double value = sqrt(d->value), reference = sqrt(d->reference), more = 0;
        if (each > 0 && reference > 0)
            more = each * sqrt((double)hf_name_size(&c->names[i])) / reference;
        if (p->bars.turns)
            row_not_judged(p, what, value, reference, difference_ratio(d));
        else
            row(p, what, value, reference, difference_ratio(d), bar + more);
        free(what);
    }
}

/* The norm of all arrays together, which a routing choice moves little. */
static void compare_norm(struct probe *p, const struct comparison *c, const char *what, double bar)
{
    double value = 0, reference = 0;
    for (int i = 0; i < c->n; i++) {
        value += c->row[i].value;
        reference += c->row[i].reference;
    }
    row(p, what, sqrt(value), sqrt(reference), relative(sqrt(value), sqrt(reference)), bar);
}

/* The step with fewest targets and the choice that was nearest decide the bars. */
static void judge_by(struct probe *p)
{
    const struct step_report *r = &p->stepper.report;
    struct judged *j = &p->judged;
    j->targets = p->batch.counted < j->targets ? p->batch.counted : j->targets;
    j->margin = fmin(j->margin, r->margin);
    j->max_logit = fmax(j->max_logit, sqrt(r->max_z));
    p->bars = bars_of(j);
}

/* A number of the reference. Local: all ranks read it. */
static status expect_scalar(struct probe *p, const char *name, double value, double tolerance)
{
    float expected;
    TRY(st_read_f32(&p->expect, st_find(&p->expect, name), 0, 1, &expected));
    row(p, name, value, (double)expected, relative(value, (double)expected), tolerance);
    return OK;
}

/* ---- what must be in a reference ---- */

/* The domain of the losses of a router is the micro-batch, which only matters where they are in the total. */
static bool counts(const struct probe *p, int scalar)
{
    const struct moe *m = &p->s.shapes.target.moe;
    const double coefficient[SCALARS] = {1, 1, m->aux_coeff, m->z_coeff, m->max_z_coeff};
    return coefficient[scalar] > 0;
}

/* Is the array there, in this shape? */
static void need(const struct probe *p, struct errors *e, const char *name, int rank, const int64_t *shape)
{
    const struct st_file *f = &p->expect;
    int at = st_find(f, name);
    bool same = at >= 0 && f->tensor[at].rank == rank;
    for (int i = 0; i < rank; i++)
        same = same && f->tensor[at].shape[i] == shape[i];
    if (at < 0)
        errors_say(e, E_DATA, "%s: no %s in it, so it cannot be compared", f->path, name);
    else if (!same)
        errors_say(e, E_DATA, "%s: %s has another shape than this run gives", f->path, name);
}

/* A fixed list for each mode: what is missing would not be compared. */
static status check_expected(const struct probe *p)
{
    struct errors e = {0};
    int64_t one = 1, steps = deck_steps(&p->s.deck);
    const int64_t logits[] = {p->batch.micros * p->batch.micro, p->batch.sequence, p->s.shapes.target.vocab};
    for (int i = 0; i < CURVES && p->s.options.curve; i++)
        need(p, &e, curve_name[i], 1, &steps);
    if (p->s.options.curve)
        return errors_end(&e);
    need(p, &e, "logits", 3, logits);
    for (int i = 0; i < SCALARS; i++)
        if (counts(p, i))
            need(p, &e, scalar_name[i], 1, &one);
    return errors_end(&e);
}

/* ---- logits ---- */

static int64_t logits_of_a_micro(const struct probe *p)
{
    return mem_mul(p->batch.micro * p->batch.sequence, p->s.shapes.target.vocab);
}

/* Chunks of one micro-batch into the host array of all of mine. */
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
    p->logits = mem_new(mem_mul(p->batch.mine.n, logits_of_a_micro(p)), sizeof *p->logits);
    for (int64_t r = 0; r < p->batch.rounds; r++) {
        struct micro_batch m = batch_round(&p->batch, r);
        struct collect to = {p->logits + r * logits_of_a_micro(p), p->s.shapes.target.vocab};
        struct logits_sink sink = {.take = collect_logits, .with = &to};
        net_probe(p->s.net, &m, &sink);
    }
}

static status logits_difference(struct probe *p, double out[2])
{
    int at = st_find(&p->expect, "logits");
    int64_t n = p->batch.mine.n * logits_of_a_micro(p), from = p->batch.mine.lo * logits_of_a_micro(p);
    float *expected = mem_new(n, sizeof *expected);
    status code = st_read_f32(&p->expect, at, from, n, expected);
    for (int64_t i = 0; i < n && code == OK; i++) {
        double d = fabs((double)p->logits[i] - (double)expected[i]);
        out[0] = d <= out[0] ? out[0] : d; /* keeps a NaN */
        out[1] = fmax(out[1], fabs((double)expected[i]));
    }
    free(expected);
    return code;
}

static status expect_logits(struct probe *p)
{
    double worst[2] = {0, 0};
    TRY(comm_agree(p->s.comm, logits_difference(p, worst)));
    comm_max_f64(p->s.comm, worst, 2);
    const char *what = "logits (max|difference| / max|logit|)";
    if (p->bars.turns)
        row_not_judged(p, what, worst[0], worst[1], worst[0] / worst[1]);
    else
        row(p, what, worst[0], worst[1], worst[0] / worst[1], p->bars.logits);
    return OK;
}

/* ---- one batch ---- */

static double total_loss(const struct probe *p)
{
    const struct moe *m = &p->s.shapes.target.moe;
    const struct step_report *r = &p->stepper.report;
    return r->loss + m->aux_coeff * r->aux + m->z_coeff * r->z + m->max_z_coeff * r->max_z;
}

static void scalars_of(const struct probe *p, double value[SCALARS])
{
    const struct step_report *r = &p->stepper.report;
    const double all[SCALARS] = {total_loss(p), r->loss, r->aux, r->z, r->max_z};
    memcpy(value, all, sizeof all);
}

static status expect_scalars(struct probe *p)
{
    double value[SCALARS];
    scalars_of(p, value);
    for (int i = 0; i < SCALARS; i++)
        if (counts(p, i))
            TRY(expect_scalar(p, scalar_name[i], value[i], p->bars.loss));
    return OK;
}

static status expect_batch(struct probe *p)
{
    struct comparison c;
    header("probe");
    TRY(expect_logits(p));
    TRY(comm_agree(p->s.comm, expect_scalars(p)));
    TRY(compare_open(&c, p->s.comm, &p->s.store, GRAD, p->s.options.expect, "grad."));
    compare_arrays(p, &c, "grad.", p->bars.gradient, 0);
    compare_norm(p, &c, "grad_norm", p->bars.norm);
    compare_close(&c);
    return OK;
}

/* ---- writing a reference ---- */

struct declared {
    struct st_declare *list;
    int n;
};

static void declare(struct declared *d, const char *name, enum st_type type, int rank, const int64_t *shape)
{
    d->list = mem_grow(d->list, d->n + 1, sizeof *d->list);
    struct st_declare *t = &d->list[d->n++];
    *t = (struct st_declare){.name = mem_text(name), .type = type, .rank = rank};
    memcpy(t->shape, shape, (size_t)rank * sizeof *shape);
}

static void declare_batch(struct declared *d, const struct probe *p)
{
    int64_t one = 1, v = p->s.shapes.target.vocab;
    int64_t b = p->batch.micros * p->batch.micro, s = p->batch.sequence;
    declare(d, "logits", ST_F32, 3, (int64_t[]){b, s, v});
    declare(d, "tokens", ST_I64, 2, (int64_t[]){b, s});
    declare(d, "targets", ST_I64, 2, (int64_t[]){b, s});
    for (int i = 0; i < SCALARS; i++)
        declare(d, scalar_name[i], ST_F32, 1, &one);
}

static void declare_curve(struct declared *d, const struct probe *p)
{
    int64_t steps = deck_steps(&p->s.deck);
    for (int i = 0; i < CURVES; i++)
        declare(d, curve_name[i], ST_F32, 1, &steps);
}

static void declare_arrays(struct declared *d, const char *prefix, const struct hf_name *names, int n)
{
    for (int i = 0; i < n; i++) {
        char *name = mem_format("%s%s", prefix, names[i].name);
        declare(d, name, ST_F32, names[i].rank, names[i].shape);
        free(name);
    }
}

static status write_tokens(struct probe *p, struct st_writer *w)
{
    int64_t b = p->batch.micros * p->batch.micro, s = p->batch.sequence;
    int32_t *ids = mem_new(s, sizeof *ids), *targets = mem_new(s, sizeof *targets);
    int64_t *wide = mem_new(s, sizeof *wide);
    status code = OK;
    for (int64_t i = 0; i < b && code == OK; i++) {
        code = data_sample(p->s.data, i, ids, targets);
        for (int64_t j = 0; j < s; j++)
            wide[j] = ids[j];
        if (code == OK)
            code = st_write_i64(w, 1, i * s, s, wide);
        for (int64_t j = 0; j < s; j++)
            wide[j] = targets[j] < 0 ? -100 : targets[j];
        if (code == OK)
            code = st_write_i64(w, 2, i * s, s, wide);
    }
    free(ids);
    free(targets);
    free(wide);
    return code;
}

/* Rank 0's part: the scalars and the tokens. */
static status write_batch(struct probe *p, struct st_writer *w)
{
    double scalar[SCALARS];
    scalars_of(p, scalar);
    for (int i = 0; i < SCALARS; i++) {
        float x = (float)scalar[i];
        TRY(st_write_f32(w, 3 + i, 0, 1, &x));
    }
    return write_tokens(p, w);
}

static status write_curve(struct probe *p, struct st_writer *w)
{
    int64_t steps = deck_steps(&p->s.deck);
    for (int i = 0; i < CURVES; i++)
        TRY(st_write_f32(w, i, 0, steps, p->curve + i * steps));
    return OK;
}

/* Of all micro-batches, gathered on rank 0. COLLECTIVE. */
static status write_logits(struct probe *p, struct st_writer *w)
{
    bool mine = layout_coords(&p->s.layout, p->s.rank).t == 0; /* its TP group holds the same */
    int64_t n = mine ? mem_mul(p->batch.mine.n, logits_of_a_micro(p)) : 0, total = 0;
    int64_t *size = mem_new(comm_size(p->s.comm), sizeof *size);
    char *all = NULL;
    comm_gather_v(p->s.comm, &all, size, p->logits, n * (int64_t)sizeof(float));
    for (int i = 0; w && i < comm_size(p->s.comm); i++)
        total += size[i] / (int64_t)sizeof(float);
    status code = w ? st_write_f32(w, 0, 0, total, (const float *)(const void *)all) : OK;
    free(all);
    free(size);
    return comm_agree(p->s.comm, code);
}

/* On rank 0: what is not spread over ranks. */
static status create_out(struct probe *p, const struct hf_name *names, int n, struct st_writer **w)
{
    struct declared d = {0};
    bool curve = p->s.options.curve;
    (curve ? declare_curve : declare_batch)(&d, p);
    declare_arrays(&d, curve ? "train.final." : "grad.", names, n);
    status code = st_create(w, p->s.options.out, d.list, d.n);
    for (int i = 0; i < d.n; i++)
        free((char *)(uintptr_t)d.list[i].name);
    free(d.list);
    if (code != OK)
        return code;
    return curve ? write_curve(p, *w) : write_batch(p, *w);
}

static status write_out(struct probe *p)
{
    struct hf_name *names;
    int n = names_list(&p->s.model, HF_OLD, &names);
    bool curve = p->s.options.curve;
    struct st_writer *w = NULL;
    status code = comm_agree(p->s.comm, p->s.rank == 0 ? create_out(p, names, n, &w) : OK);
    if (code == OK && !curve)
        code = write_logits(p, w);
    if (code == OK)
        code = compare_write(p->s.comm, &p->s.store, curve ? MASTER : GRAD, names, n, w,
                             curve ? CURVES : 3 + SCALARS);
    free(names);
    if (code != OK && w)
        st_abandon(w);
    return code != OK ? code : comm_agree(p->s.comm, w ? st_finish(w) : OK);
}

/* ---- a training curve ---- */

static status train_step(struct probe *p, int64_t step)
{
    const struct optimizer_section *o = &p->s.deck.optimizer;
    const struct step_report *r = &p->stepper.report;
    int64_t steps = deck_steps(&p->s.deck), horizon = o->horizon > 0 ? o->horizon : steps;
    TRY(comm_agree(p->s.comm, batch_fetch(&p->batch, p->s.data, step * p->batch.micros * p->batch.micro)));
    step_gradients(&p->stepper, &p->batch);
    step_update(&p->stepper, step + 1, schedule_rate(o, horizon, step + 1));
    if (!step_read(&p->stepper, &p->batch))
        return comm_agree(
            p->s.comm, fail(E_NAN, "step %lld: the loss or the gradient is not finite", (long long)step + 1));
    const double value[CURVES] = {r->loss, r->grad_norm, r->rate};
    for (int i = 0; i < CURVES; i++)
        p->curve[i * steps + step] = (float)value[i];
    if (!p->opened_expect)
        log_say("step %lld loss %.8f grad_norm %.8f", (long long)step + 1, r->loss, r->grad_norm);
    return OK;
}

static status compare_curve(struct probe *p)
{
    const double bar[CURVES] = {p->bars.curve, p->bars.curve_norm, LR_BAR};
    int64_t steps = deck_steps(&p->s.deck);
    for (int64_t step = 0; step < steps; step++)
        for (int i = 0; i < CURVES; i++) {
            int at = st_find(&p->expect, curve_name[i]);
            float expected;
            TRY(st_read_f32(&p->expect, at, step, 1, &expected));
            double a = (double)p->curve[i * steps + step], b = (double)expected;
            char *text = mem_format("%s[%lld]", curve_name[i], (long long)step);
            row(p, text, a, b, relative(a, b), bar[i]);
            free(text);
        }
    return OK;
}

static status expect_curve(struct probe *p)
{
    struct comparison c;
    header("training curve");
    TRY(comm_agree(p->s.comm, compare_curve(p)));
    TRY(compare_open(&c, p->s.comm, &p->s.store, MASTER, p->s.options.expect, "train.final."));
    compare_arrays(p, &c, "train.final.", p->bars.final, p->bars.turned * p->rates);
    compare_close(&c);
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

static status run_batch(struct probe *p)
{
    TRY(comm_agree(p->s.comm, batch_fetch(&p->batch, p->s.data, 0)));
    if (p->s.options.out || p->opened_expect)
        forward_logits(p);
    step_gradients(&p->stepper, &p->batch);
    step_read(&p->stepper, &p->batch);
    double norm = p->stepper.report.grad_norm;
    const struct step_report *r = &p->stepper.report;
    log_say("loss %.9f  cross_entropy %.9f  aux_loss %.9f  z_loss %.9f  grad_norm %.9f", total_loss(p),
            r->loss, r->aux, r->z, norm);
    log_say("dropped %.6f  margin %.3g", r->dropped_fraction, r->margin);
    judge_by(p);
    return OK;
}

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
    return code == OK ? comm_agree(s->comm, check_expected(p)) : code;
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
        TRY(write_out(p));
    if (!p->opened_expect)
        return OK;
    TRY(s->options.curve ? expect_curve(p) : expect_batch(p));
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
