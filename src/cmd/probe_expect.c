/* coppice probe --expect: the table of differences from a reference. The tolerances are those of cmd/bars. */
#include <math.h>
#include <stdlib.h>
#include "base/errors.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/probe.h"
#include "weights/compare.h"

static const double LR_BAR = 1e-4;

/* ---- the table of differences ---- */

static void row(struct probe *p, const char *what, double value, double reference, double difference,
                double tolerance)
{
    bool good = difference <= tolerance; /* false for a NaN */
    p->worse += !good;
    if (!good || !p->s.options.quiet)
        log_say("%-58s %14.7g %14.7g %11.2e %9.0e %s", what, value, reference, difference, tolerance,
                good ? "ok" : "FAIL");
}

/* A row that another routing choice may have changed by any amount. */
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

/* Compare every array. It may differ by `bar` times its norm, and by `each` in every element, as root mean
 * square. */
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

/* Compare the norm of all arrays together, which a routing choice changes little. */
static void compare_norm(struct probe *p, const struct comparison *c, const char *what, double bar)
{
    double value = 0, reference = 0;
    for (int i = 0; i < c->n; i++) {
        value += c->row[i].value;
        reference += c->row[i].reference;
    }
    row(p, what, sqrt(value), sqrt(reference), relative(sqrt(value), sqrt(reference)), bar);
}

/* ---- what must be in a reference ---- */

/* Is a loss compared? Losses of the router depend on the micro-batch, so they are compared only if they
 * count. */
static bool counts(const struct probe *p, int scalar)
{
    const struct moe *m = &p->s.shapes.target.moe;
    const double coefficient[SCALARS] = {1, 1, m->aux_coeff, m->z_coeff, m->max_z_coeff};
    return coefficient[scalar] > 0;
}

/* Add a mistake if the reference lacks an array, or has it in another shape. */
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

status probe_check_expected(const struct probe *p)
{
    struct errors e = {0};
    int64_t one = 1, steps = deck_steps(&p->s.deck);
    const int64_t logits[] = {p->batch.micros * p->batch.micro, p->batch.sequence, p->s.shapes.target.vocab};
    for (int i = 0; i < CURVES && p->s.options.curve; i++)
        need(p, &e, probe_curve_name[i], 1, &steps);
    if (p->s.options.curve)
        return errors_end(&e);
    need(p, &e, "logits", 3, logits);
    for (int i = 0; i < SCALARS; i++)
        if (counts(p, i))
            need(p, &e, probe_scalar_name[i], 1, &one);
    return errors_end(&e);
}

/* ---- comparing a batch ---- */

/* Compare a number with that of the reference. Local. */
static status expect_scalar(struct probe *p, const char *name, double value, double tolerance)
{
    float expected;
    TRY(st_read_f32(&p->expect, st_find(&p->expect, name), 0, 1, &expected));
    row(p, name, value, (double)expected, relative(value, (double)expected), tolerance);
    return OK;
}

static status logits_difference(struct probe *p, double out[2])
{
    int at = st_find(&p->expect, "logits");
    int64_t n = p->batch.mine.n * probe_micro_logits(p), from = p->batch.mine.lo * probe_micro_logits(p);
    float *expected = mem_new(n, sizeof *expected);
    status code = st_read_f32(&p->expect, at, from, n, expected);
    for (int64_t i = 0; i < n && code == OK; i++) {
        double d = fabs((double)p->logits[i] - (double)expected[i]);
        out[0] = d <= out[0] ? out[0] : d; /* a NaN stays */
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

static status expect_scalars(struct probe *p)
{
    double value[SCALARS];
    probe_scalars(p, value);
    for (int i = 0; i < SCALARS; i++)
        if (counts(p, i))
            TRY(expect_scalar(p, probe_scalar_name[i], value[i], p->bars.loss));
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

/* ---- comparing a training curve ---- */

static status compare_curve(struct probe *p)
{
    const double bar[CURVES] = {p->bars.curve, p->bars.curve_norm, LR_BAR};
    int64_t steps = deck_steps(&p->s.deck);
    for (int64_t step = 0; step < steps; step++)
        for (int i = 0; i < CURVES; i++) {
            int at = st_find(&p->expect, probe_curve_name[i]);
            float expected;
            TRY(st_read_f32(&p->expect, at, step, 1, &expected));
            double a = (double)p->curve[i * steps + step], b = (double)expected;
            char *text = mem_format("%s[%lld]", probe_curve_name[i], (long long)step);
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

status probe_expect(struct probe *p)
{
    return p->s.options.curve ? expect_curve(p) : expect_batch(p);
}
