/* The closed form of this program's step must equal the step itself on the null device: calls, FLOPs and
 * bytes of every op by shape, and calls and bytes of every group. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../unit/tap.h"
#include "base/mem.h"
#include "plan/closed.h"
#include "start/shape.h"

static const char base[] =
    "start: random\n"
    "data: {sequence: 20, train: [none]}\n"
    "run: {steps: 1}\n"
    "batch: {sequences: 48, micro: 2}\n"
    "model: {hidden: 32, ffn: 48, layers: 3, heads: 8, kv_heads: 4, vocab: 130, max_positions: 64";

/* What stands behind the model's sizes, and the layouts that fit it: ranks, tensor, expert, expert_tensor. */
static const struct {
    const char *name, *text;
    int layout[6][4];
} cases[] = {
    {"dense", "}\n", {{1, 1, 1, 1}, {2, 2, 1, 1}, {8, 8, 1, 1}, {4, 1, 1, 1}, {24, 2, 1, 1}}},
    {"dense, biases, tied, bf16",
     ", qkv_bias: true, tied: true}\ndevice: {precision: bf16}\n",
     {{1, 1, 1, 1}, {4, 4, 1, 1}, {8, 8, 1, 1}, {16, 2, 1, 1}}},
    {"experts",
     ", moe: {experts: 8, top_k: 2}}\n",
     {{1, 1, 1, 1}, {4, 2, 4, 1}, {8, 1, 4, 2}, {8, 8, 8, 1}, {48, 2, 8, 2}}},
    {"experts, bf16, capacity, jitter, a bias",
     ", moe: {experts: 8, top_k: 3, capacity: 1.5, jitter: 0.01, bias_update_rate: 0.001}}\ndevice: "
     "{precision: bf16}\n",
     {{1, 1, 1, 1}, {4, 4, 2, 2}, {6, 2, 2, 3}, {8, 8, 2, 2}, {24, 1, 8, 3}}},
    {"shared experts with a gate, loss over sequences",
     ", moe: {experts: 4, top_k: 2, shared: 2, shared_gate: true, aux_loss_domain: sequence}}\n",
     {{1, 1, 1, 1}, {2, 2, 2, 1}, {8, 4, 4, 2}, {12, 2, 2, 3}}},
    {"every other layer, granularity, load of the step before",
     ", moe: {experts: 16, top_k: 4, granularity: 4, layers: every 2, shared: 1, aux_loss_domain: global}}\n",
     {{1, 1, 1, 1}, {3, 1, 1, 1}, {8, 2, 8, 1}, {96, 4, 16, 1}}},
};

static const struct dev_profile_row *find(const struct dev_profile_row *row, int n,
                                          const struct dev_profile_row *as)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(row[i].op, as->op) && row[i].m == as->m && row[i].n == as->n && row[i].k == as->k)
            return &row[i];
    return NULL;
}

static bool tell(bool good, const char *who, const struct dev_profile_row *r)
{
    if (!good)
        printf("# %s: %s %lld x %lld x %lld: %lld calls, %.0f flops, %.0f bytes\n", who, r->op,
               (long long)r->m, (long long)r->n, (long long)r->k, (long long)r->calls, r->flops, r->bytes);
    return good;
}

/* Every row of one in the other. */
static bool covers(const char *who, const struct dev_profile_row *a, int n, const struct dev_profile_row *b,
                   int m)
{
    bool good = true;
    for (int i = 0; i < n; i++) {
        const struct dev_profile_row *x = find(b, m, &a[i]);
        bool same =
            x ? x->calls == a[i].calls && x->flops == a[i].flops && x->bytes == a[i].bytes : a[i].calls == 0;
        good = tell(same, who, &a[i]) && good;
    }
    return good;
}

static bool same_groups(const struct rehearsed_group *a, const struct rehearsed_group *b)
{
    bool good = true;
    for (int g = 0; g < GROUPS; g++)
        if (a[g].size != b[g].size || a[g].calls != b[g].calls || a[g].bytes != b[g].bytes) {
            printf("# group %d: step %d ranks, %.0f calls, %.0f bytes; closed form %d, %.0f, %.0f\n", g,
                   a[g].size, a[g].calls, a[g].bytes, b[g].size, b[g].calls, b[g].bytes);
            good = false;
        }
    return good;
}

struct about {
    struct deck deck;
    struct shapes shapes;
    struct dev *dev;
};

static bool compare(const struct about *a, const struct layout *l, int rank)
{
    struct rehearsal r;
    struct closed c;
    if (rehearse(&r, &a->deck, &a->shapes.target, l, rank) != OK)
        bug("%s", status_text());
    plan_closed(&c, a->dev, &a->deck, &a->shapes.target, l, rank);
    bool good = covers("step", r.row, r.rows, c.row, c.rows);
    good = covers("closed form", c.row, c.rows, r.row, r.rows) && good;
    good = same_groups(r.group, c.group) && good;
    rehearsal_free(&r);
    closed_free(&c);
    return good;
}

static void open_case(struct about *a, const char *text)
{
    char *deck = mem_format("%s%s", base, text);
    deck_init(&a->deck);
    if (deck_parse(&a->deck, "case", deck, (int64_t)strlen(deck), NULL) != OK ||
        shapes_read(&a->shapes, &a->deck) != OK ||
        dev_open(&a->dev, "cpu", 0, &(struct dev_options){.null = true}) != OK)
        bug("%s", status_text());
    free(deck);
}

static void close_case(struct about *a)
{
    dev_close(a->dev);
    shapes_free(&a->shapes);
    deck_free(&a->deck);
}

static void check_case(int i)
{
    struct about a = {0};
    open_case(&a, cases[i].text);
    struct layout_needs needs = config_needs(&a.shapes.target);
    for (int k = 0; k < 6 && cases[i].layout[k][0] > 0; k++) {
        const int *n = cases[i].layout[k];
        struct layout l;
        char *why = layout_make(&l, n[0], n[1], n[2], n[3], &needs);
        bool good = ok(!why, "%s: %d ranks, tensor %d, expert %d, expert_tensor %d%s%s", cases[i].name, n[0],
                       n[1], n[2], n[3], why ? ": " : "", why ? why : "");
        free(why);
        int64_t micros = a.deck.batch.sequences / a.deck.batch.micro;
        for (int rank = 0;
             good && rank < n[0] && layout_coords(&l, rank).d < (micros % l.dp ? micros % l.dp : l.dp);
             rank++)
            good = compare(&a, &l, rank);
        ok(good, "  all its ranks: ops, FLOPs, bytes and messages are equal");
    }
    close_case(&a);
}

/* A layout of thousands of ranks, and a fault that must be seen. */
static void check_large(void)
{
    struct about a = {0};
    open_case(&a, cases[2].text);
    a.deck.batch.sequences = 20000;
    struct layout_needs needs = config_needs(&a.shapes.target);
    struct layout l;
    free(layout_make(&l, 10000, 2, 8, 2, &needs));
    ok(compare(&a, &l, 0) && compare(&a, &l, 9999), "10,000 ranks: the first and the last");
    struct rehearsal r;
    struct closed c;
    if (rehearse(&r, &a.deck, &a.shapes.target, &l, 0) != OK)
        bug("%s", status_text());
    a.shapes.target.hidden += 8;
    plan_closed(&c, a.dev, &a.deck, &a.shapes.target, &l, 0);
    ok(!find(r.row, r.rows, &c.row[0]) || !same_groups(r.group, c.group), "another width is seen");
    rehearsal_free(&r);
    closed_free(&c);
    close_case(&a);
}

int main(void)
{
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++)
        check_case(i);
    check_large();
    return tap_done();
}
