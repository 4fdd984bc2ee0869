#include "plan/machine.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "base/errors.h"
#include "base/install.h"
#include "base/io.h"
#include "base/mem.h"
#include "deck/plain.h"

#define AT(member) offsetof(struct machine, member)
static const struct field {
    const char *key;
    size_t at;
    int n;           /* numbers */
    double fallback; /* NAN: must be given */
    double least;
    const char *unit, *help;
} field[] = {
    /* clang-format off */
    {"peak", AT(peak), 1, NAN, 1, "FLOP/s", "published peak of a rank's device; MFU is a share of it"},
    {"gemm", AT(gemm), 1, NAN, 1, "FLOP/s", "a large matrix product, sustained"},
    {"sms", AT(sms), 1, 0, 0, "", "multiprocessors that tiles are dealt to; 0: no tiles, gemm_rates say what smaller products reach"},
    {"k0", AT(k0), 1, 256, 0, "", "elements of k that beginning a tile costs"},
    {"gemm_sizes", AT(sizes), MACHINE_RATES, 0, 0, "", "cube roots of m n k at which gemm_rates were measured, ascending"},
    {"gemm_rates", AT(rates), MACHINE_RATES, 0, 0, "FLOP/s", "of products of these sizes"},
    {"attn_fwd", AT(attn_fwd), 1, NAN, 1, "FLOP/s", "A of attention forward: rate = A/(1 + half/sequence)"},
    {"attn_fwd_half", AT(attn_fwd_half), 1, 0, 0, "", "sequence at which forward has half of A"},
    {"attn_bwd", AT(attn_bwd), 1, NAN, 1, "FLOP/s", "A of attention backward"},
    {"attn_bwd_half", AT(attn_bwd_half), 1, 0, 0, "", "sequence at which backward has half of A"},
    {"memory", AT(memory), 1, NAN, 1, "B/s", "read and written by elementwise ops"},
    {"coll", AT(coll), 1, NAN, 1, "B/s", "all-gather or reduce-scatter of a rank inside a node"},
    {"a2a", AT(a2a), 1, NAN, 1, "B/s", "all-to-all of a rank inside a node"},
    {"network", AT(network), 1, NAN, 1, "B/s", "of a rank out of its node"},
    {"near_latency", AT(near_latency), 1, NAN, 0, "s", "of a message inside a node"},
    {"far_latency", AT(far_latency), 1, NAN, 0, "s", "of a message between nodes"},
    {"gap", AT(gap), 1, NAN, 0, "s", "lost a kernel: launch and tail"},
    {"hide", AT(hide), 1, 1, 0, "", "share of a micro-batch's compute that data-parallel traffic hides behind"},
    {"hide_sms", AT(hide_sms), 1, 0, 0, "", "multiprocessors that a hidden collective takes"},
    {"node", AT(node), 1, NAN, 1, "", "ranks of a node"},
    {"capacity", AT(capacity), 1, NAN, 1, "B", "memory of a rank"},
    {"context", AT(context), 1, 0, 0, "B", "of it taken by the program, libraries and drivers"},
    {"file", AT(file_rate), 1, 1e9, 1, "B/s", "written to files by a node"},
    {"mtbf", AT(mtbf), 1, 0, 0, "h", "of a node between failures; 0: unknown"},
    {"watts", AT(watts), 1, 0, 0, "W", "drawn by a rank's share of a node; 0: unknown"},
    {"band", AT(band), 1, 0.15, 0, "", "error to expect of a step's time"},
    /* clang-format on */
};
enum { FIELDS = sizeof field / sizeof *field };

static double *slot(struct machine *m, const struct field *f)
{
    return (double *)(void *)((char *)m + f->at);
}

static const char *name_of(int i)
{
    return i < FIELDS ? field[i].key : NULL;
}

static void take(struct machine *m, const struct plain_entry *e, bool *seen, struct errors *errors)
{
    int i = 0;
    if (!strcmp(e->key, "name")) {
        snprintf(m->name, sizeof m->name, "%s", e->text ? e->text : "");
        return;
    }
    if (!strncmp(e->key, "validate.", strlen("validate."))) /* what coppice-validate --record wrote */
        return;
    while (i < FIELDS && strcmp(field[i].key, e->key) != 0)
        i++;
    if (i == FIELDS) {
        plain_unknown(e, "a machine file", name_of, errors);
        return;
    }
    seen[i] = true;
    if (e->word)
        errors_add(errors, e->word, "expected a number in the list");
    else if (e->n != field[i].n)
        errors_add(errors, e->where, "%s: expected %d number%s", e->key, field[i].n,
                   field[i].n > 1 ? "s in a list" : "");
    for (int k = 0; k < e->n && e->n == field[i].n && !e->word; k++)
        if (e->x[k] < field[i].least)
            errors_add(errors, e->where, "%s: %g is less than %g", e->key, e->x[k], field[i].least);
        else
            slot(m, &field[i])[k] = e->x[k];
}

static void set_defaults(struct machine *m, const char *file)
{
    *m = (struct machine){0};
    snprintf(m->name, sizeof m->name, "%.79s", file);
    snprintf(m->file, sizeof m->file, "%s", file);
    for (int i = 0; i < FIELDS; i++)
        for (int k = 0; k < field[i].n; k++)
            slot(m, &field[i])[k] = isnan(field[i].fallback) ? 0 : field[i].fallback;
}

static void check_rates(const struct machine *m, struct errors *errors)
{
    bool some = m->sizes[0] > 0;
    for (int k = 0; k < MACHINE_RATES && some; k++)
        if (m->rates[k] <= 0 || (k > 0 && m->sizes[k] <= m->sizes[k - 1])) {
            errors_add(errors, m->file,
                       "gemm_sizes must ascend, and each needs a rate above 0 in gemm_rates");
            return;
        }
}

static status take_all(struct machine *m, const struct plain *p)
{
    struct errors errors = {0};
    bool seen[FIELDS] = {false};
    for (int i = 0; i < p->n; i++)
        take(m, &p->entry[i], seen, &errors);
    for (int i = 0; i < FIELDS; i++)
        if (!seen[i] && isnan(field[i].fallback))
            errors_add(&errors, m->file, "%s is missing: %s%s%s", field[i].key, field[i].help,
                       *field[i].unit ? ", " : "", field[i].unit);
    check_rates(m, &errors);
    return errors_end(&errors);
}

/* Caller frees. */
static char *find_file(const char *file)
{
    if (strchr(file, '/') || io_exists(file))
        return mem_text(file);
    char *name = mem_format("machines/%s%s", file, strstr(file, ".yaml") ? "" : ".yaml");
    char *found = install_data(name);
    free(name);
    return found ? found : mem_text(file);
}

status machine_read(struct machine *m, const char *file)
{
    struct plain p;
    char *path = find_file(file);
    set_defaults(m, path);
    status code = plain_read(&p, path);
    if (code == OK)
        code = take_all(m, &p);
    plain_free(&p);
    free(path);
    return code;
}

void machine_write(const struct machine *m, FILE *out)
{
    fprintf(out, "name: %s\n", m->name);
    for (int i = 0; i < FIELDS; i++) {
        const double *x = (const double *)(const void *)((const char *)m + field[i].at);
        char *text = mem_format(field[i].n > 1 ? "[%.4g" : "%.4g", x[0]);
        for (int k = 1; k < field[i].n; k++)
            mem_append(&text, ", %.4g", x[k]);
        if (field[i].n > 1)
            mem_append(&text, "]");
        fprintf(out, "# %s%s%s\n%s: %s\n", field[i].help, *field[i].unit ? ", " : "", field[i].unit,
                field[i].key, text);
        free(text);
    }
}

double machine_gemm_rate(const struct machine *m, double rows, double columns, double k)
{
    if (m->sizes[0] <= 0)
        return m->gemm;
    double size = cbrt(rows * columns * k);
    int i = 0;
    if (size <= m->sizes[0]) /* what does not shrink with the product */
        return m->rates[0] * fmax(size, 1) / m->sizes[0];
    while (i + 2 < MACHINE_RATES && size > m->sizes[i + 1])
        i++;
    double x = log(size / m->sizes[i]) / log(m->sizes[i + 1] / m->sizes[i]);
    return m->rates[i] + fmin(x, 1) * (m->rates[i + 1] - m->rates[i]);
}
