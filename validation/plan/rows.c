/* Compares the plan's closed form with figures that others computed (vectors.txt) and with published steps
 * (rows.txt). The last line has the number of rows, the mean and the worst error. With --table it prints
 * every row. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "plan/plan.h"
#include "../unit/tap.h"

enum { MODELS = 16, ROWS = 128 };

static struct model_row {
    char name[16];
    struct plan_shape shape;
} models[MODELS];
static struct row {
    char use[8], source[8], model[16];
    double published;
    const struct plan_shape *shape;
    struct plan_job job;
} rows[ROWS];
static int n_models, n_rows, exit_code;
static struct machine machine;

/* ---- the tables ---- */

/* A line that is no comment; false at the end. */
static bool next_line(FILE *f, char line[512])
{
    while (fgets(line, 512, f))
        if (line[0] != '#' && line[0] != '\n')
            return true;
    return false;
}

static FILE *open_table(const char *name)
{
    const char *top = getenv("srcdir");
    char *path = mem_format("%s/validation/plan/%s", top ? top : ".", name);
    FILE *f = fopen(path, "r");
    if (!f)
        bug("%s cannot be read", path);
    free(path);
    return f;
}

static void read_models(void)
{
    char line[512];
    FILE *f = open_table("models.txt");
    while (next_line(f, line)) {
        struct model_row *m = &models[n_models++];
        struct plan_shape *s = &m->shape;
        if (sscanf(line, "%15s %lf %lf %lf %lf %lf %lf %lf %lf %lf %lf", m->name, &s->layers, &s->hidden,
                   &s->heads, &s->kv_heads, &s->head_dim, &s->width, &s->experts, &s->top_k, &s->vocab,
                   &s->shared) != 11)
            bug("models.txt: %s", line);
    }
    fclose(f);
}

static const struct plan_shape *shape_named(const char *name)
{
    for (int i = 0; i < n_models; i++)
        if (!strcmp(models[i].name, name))
            return &models[i].shape;
    bug("no model %s", name);
}

static void read_rows(void)
{
    char line[512];
    FILE *f = open_table("rows.txt");
    while (next_line(f, line)) {
        struct row *r = &rows[n_rows++];
        struct plan_job *j = &r->job;
        int deduplicate, even, recompute;
        *j = plan_job_default();
        if (sscanf(line, "%7s %7s %15s %lf %lf %lf %lf %lf %lf %lf %lf %lf %lf %lf %lf %lf %lf %d %d %d",
                   r->use, r->source, r->model, &r->published, &j->ranks, &j->tensor, &j->context, &j->expert,
                   &j->expert_tensor, &j->pipeline, &j->stages, &j->sequence, &j->sequences, &j->micro,
                   &j->load, &j->hide_tensor, &j->hide_expert, &deduplicate, &even, &recompute) != 20)
            bug("rows.txt: %s", line);
        j->deduplicate = deduplicate;
        j->even_head = even;
        j->recompute = (enum job_recompute)recompute;
        r->shape = shape_named(r->model);
    }
    fclose(f);
}

/* ---- vectors ---- */

/* "expert_all-to-all" in the file is "expert all-to-all". */
static bool same_name(const char *word, const char *name)
{
    for (; *word && *name; word++, name++)
        if (*word != *name && !(*word == '_' && *name == ' '))
            return false;
    return *word == *name;
}

static double off(double is, double wanted)
{
    return fabs(is - wanted) / wanted;
}

/* The figures' last digit may be rounded. */
static bool near(double is, double wanted)
{
    return off(is, wanted) <= 1e-3 || fabs(is - wanted) < .0501 * (wanted < 1 ? 1e-3 : 1);
}

static double mfu(const struct machine *c, const struct plan *p, double ranks)
{
    return plan_share(p, c, ranks, p->megatron);
}

static void check_one(const char *line, const struct plan *p, double ranks)
{
    char kind[16], name[48];
    double a, b;
    int n = sscanf(line, "%15s %47s %lf %lf", kind, name, &a, &b);
    bool good = false;
    for (int i = 0; i < LAYER_TERMS && n == 4; i++)
        if (same_name(name, plan_layer_name((enum plan_layer_term)i)))
            good = near(1e6 * p->layer[i].forward, a) && near(1e6 * p->layer[i].backward, b);
    for (int i = 0; i < STEP_TERMS && !strcmp(kind, "step"); i++)
        if (same_name(name, plan_step_name((enum plan_step_term)i)))
            good = near(p->term[i], a);
    for (int i = 0; i < MEMORY_KINDS && !strcmp(kind, "memory"); i++)
        if (same_name(name, plan_memory_name((enum plan_memory_kind)i)))
            good = near(1e-9 * p->memory[i], a);
    if (!strcmp(kind, "total"))
        good = near(!strcmp(name, "step")  ? p->step
                    : !strcmp(name, "mfu") ? mfu(&machine, p, ranks)
                                           : 1e-9 * plan_memory(p),
                    a);
    ok(good, "%s %s: %.6g", kind, name, a);
}

static void check_vectors(void)
{
    char line[512], model[16];
    struct plan plan = {0};
    struct plan_job j = plan_job_default();
    double m, n, k, groups, us;
    int acc;
    FILE *f = open_table("vectors.txt");
    while (next_line(f, line)) {
        if (sscanf(line, "gemm %lf %lf %lf %lf %d %lf", &m, &n, &k, &groups, &acc, &us) == 6)
            ok(near(1e6 * cost_gemm(&machine, m, n, k, groups, acc), us), "gemm %gx%gx%g: %g us", m, n, k,
               us);
        else if (sscanf(line, "job %15s %lf %lf %lf %lf %lf %lf %lf %lf %lf", model, &j.ranks, &j.tensor,
                        &j.context, &j.expert, &j.expert_tensor, &j.pipeline, &j.stages, &j.sequence,
                        &j.sequences) == 10)
            plan = plan_megatron(&machine, shape_named(model), &j);
        else
            check_one(line, &plan, j.ranks);
    }
    fclose(f);
}

/* ---- published steps ---- */

struct errors_of {
    int n, within;
    double mean, worst;
};

static double error_of(const struct machine *c, const struct row *r)
{
    struct plan p = plan_megatron(c, r->shape, &r->job);
    return 100 * mfu(c, &p, r->job.ranks) / r->published - 1;
}

/* `use` NULL: fit and rest. */
static struct errors_of judge(const struct machine *c, const char *use)
{
    struct errors_of e = {0};
    for (int i = 0; i < n_rows; i++) {
        if (use ? strcmp(rows[i].use, use) != 0 : !strcmp(rows[i].use, "out"))
            continue;
        double error = fabs(error_of(c, &rows[i]));
        e.n++;
        e.within += error <= .10;
        e.mean += error;
        e.worst = fmax(e.worst, error);
    }
    e.mean /= e.n;
    return e;
}

/* gemm and gap of the smallest mean error over some rows. */
static struct machine fit(const char *use)
{
    struct machine best = machine, try = machine;
    double least = INFINITY;
    for (int g = 600; g < 800; g += 10)
        for (int k = 0; k <= 16; k += 2) {
            try.gemm = g * 1e12;
            try.gap = k * 1e-6;
            double mean = judge(&try, use).mean;
            if (mean < least) {
                least = mean;
                best = try;
            }
        }
    return best;
}

static void show_table(void)
{
    printf("# source model ranks published predicted error_%%\n");
    for (int i = 0; i < n_rows; i++) {
        double error = error_of(&machine, &rows[i]);
        printf("# %-4s %-3s %-6s %5g %6.1f %6.2f %+6.1f\n", rows[i].use, rows[i].source, rows[i].model,
               rows[i].job.ranks, rows[i].published, rows[i].published * (1 + error), 100 * error);
    }
}

static void check_rows(void)
{
    struct errors_of all = judge(&machine, NULL), held_out, others = judge(&machine, "out");
    ok(all.n == 63 && all.within == all.n, "all %d published steps within 10 %%: worst %.1f %%", all.n,
       100 * all.worst);
    ok(all.mean <= .05, "their mean error is at most 5 %%: %.2f %%", 100 * all.mean);
    struct machine half = fit("fit");
    held_out = judge(&half, "rest");
    ok(held_out.mean <= .07,
       "fitted to %d of them (gemm %.0f, gap %.0f us), the other %d: mean error %.2f %%",
       judge(&machine, "fit").n, 1e-12 * half.gemm, 1e6 * half.gap, held_out.n, 100 * held_out.mean);
    ok(others.worst <= .15, "%d steps of other programs: within 15 %%, worst %.1f %%", others.n,
       100 * others.worst);
    struct machine wrong = machine;
    wrong.a2a *= 2, wrong.network *= 2;
    ok(judge(&wrong, NULL).mean > all.mean, "with twice the network the rows fit worse: the test can fail");
    exit_code = tap_done();
    printf("# %d rows, mean error %.2f %%, worst %.1f %%\n", all.n, 100 * all.mean, 100 * all.worst);
}

int main(int argc, char **argv)
{
    const char *top = getenv("srcdir");
    char *file = mem_format("%s/input/machines/dgx-h100.yaml", top ? top : ".");
    if (machine_read(&machine, file) != OK)
        bug("%s", status_text());
    read_models();
    read_rows();
    check_vectors();
    if (argc > 1 && !strcmp(argv[1], "--table"))
        show_table();
    check_rows();
    free(file);
    return exit_code;
}
