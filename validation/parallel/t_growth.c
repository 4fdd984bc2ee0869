/* Growth and upcycling on every layout of these ranks (TP and ETP up to 4, EP up to 8): the weights' hash is
 * that of one rank alone, and each rank reads the bytes that the plan says. */
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "model/store.h"
#include "tap_ranks.h"
#include "weights/fill.h"
#include "weights/shape.h"

static struct {
    struct comm *comm;
    struct dev *dev;
    char *dir;
    struct config dense; /* 2 layers x 44, 8 heads over 2 KV heads, FFN 54, biases, tied */
} the;

static const struct growing {
    const char *text, *method, *scope;
    int64_t hidden, ffn, layers, heads, kv_heads;
    int64_t experts, top_k, granularity; /* 0: dense */
} cases[] = {
    {"FPI, dense", "fpi", "all", 88, 100, 2, 16, 4, 0, 0, 0},
    {"FPI by no whole factor", "fpi", "all", 60, 70, 2, 12, 2, 8, 2, 1},
    {"AKI, stacked", "aki", "all", 88, 100, 5, 24, 4, 8, 2, 1},
    {"AKI of neurons, dense", "aki", "neurons", 88, 100, 2, 24, 4, 0, 0, 0},
    {"AKI-Pro", "aki-pro", "all", 88, 100, 4, 16, 4, 8, 2, 1},
    {"granular upcycle", "none", "all", 44, 54, 2, 8, 2, 16, 4, 2},
    {"AKI-Pro and granular upcycle", "aki-pro", "all", 60, 96, 5, 16, 4, 16, 4, 2},
};
enum { CASES = sizeof cases / sizeof *cases };

static struct config target_of(const struct growing *g)
{
    struct config c = the.dense;
    c.hidden = g->hidden;
    c.ffn = g->ffn;
    c.layers = g->layers;
    c.heads = g->heads;
    c.kv_heads = g->kv_heads;
    c.moe = (struct moe){.experts = g->experts, .top_k = g->top_k, .granularity = g->granularity};
    for (int l = 0; l < c.layers && g->experts > 0; l++)
        c.moe.layer[l] = l != 1; /* one stays dense */
    return c;
}

static status plan_for(struct fill_plan *plan, const struct growing *g, const struct model *target)
{
    struct layout one = {1, 1, 1, 1, 1, 1, 1};
    struct grow grow;
    struct upcycle up = {.router_std = 0.02};
    struct model dense;
    struct source *file;
    TRY(grow_parse(&grow, g->method, NULL, g->scope));
    TRY(upcycle_scales(&target->config, "auto", &up));
    TRY(source_open_hf(&file, the.dir));
    model_open(&dense, &the.dense, &one);
    status s = plan_upcycle(plan, target, &dense, &file, &grow, &up, 41);
    model_close(&dense);
    return s;
}

struct filled {
    status result;
    int64_t bytes, planned;
    uint64_t hash;
};

/* COLLECTIVE; on a layout of one rank all ranks do the same. */
static struct filled fill(const struct growing *g, const struct layout *l)
{
    struct config c = target_of(g);
    struct filled f = {0};
    struct model m;
    struct fill_plan plan;
    struct store store;
    int rank = l->world == 1 ? 0 : comm_rank(the.comm);
    model_open(&m, &c, l);
    f.result = comm_agree(the.comm, plan_for(&plan, g, &m));
    if (f.result == OK &&
        (f.result = comm_agree(the.comm, store_open(&store, &m, l, rank, the.dev, false))) == OK) {
        f.result = weights_fill(&store, the.comm, &plan, &f.bytes);
        f.planned = plan_bytes(&plan, &m, l, rank);
        f.hash = store_hash(&store, MASTER);
        if (l->world > 1)
            f.hash = comm_sum_u64(the.comm, f.hash);
        store_close(&store);
    }
    if (f.result == OK)
        plan_free(&plan);
    model_close(&m);
    return f;
}

static void test_layouts(const struct growing *g)
{
    struct layout one = {1, 1, 1, 1, 1, 1, 1};
    struct config c = target_of(g);
    struct layout_needs needs = config_needs(&c);
    struct filled alone = fill(g, &one);
    ok(alone.result == OK && alone.bytes == alone.planned && alone.bytes > 0,
       "%s on one rank: %lld bytes as planned %s", g->text, (long long)alone.bytes,
       alone.result ? status_text() : "");
    for (int tp = 1; tp <= 4; tp *= 2)
        for (int ep = 1; ep <= 8; ep *= 2)
            for (int etp = 1; etp <= 4; etp *= 2) {
                struct layout l;
                char *why = layout_make(&l, comm_size(the.comm), tp, ep, etp, &needs);
                bool fits = !why && l.world > 1;
                free(why);
                if (!fits)
                    continue;
                struct filled f = fill(g, &l);
                ok(f.result == OK && f.hash == alone.hash && f.bytes == f.planned,
                   "%s, TP %d EP %d ETP %d: hash of one rank, bytes as planned %s", g->text, tp, ep, etp,
                   f.result ? status_text() : "");
            }
}

int main(void)
{
    if (comm_open(&the.comm) != OK)
        return 1;
    tap_open(the.comm);
    const char *srcdir = getenv("srcdir");
    the.dir = mem_format("%s/validation/reference/dense-bias-llama3", srcdir ? srcdir : ".");
    struct dev_options options = {.threads = 1};
    struct hf_config h;
    if (hf_config_read(&h, the.dir) != OK || config_from_hf(&the.dense, &h) != OK ||
        dev_open(&the.dev, "cpu", 0, &options) != OK)
        bug("%s", status_text());
    hf_config_free(&h);
    for (int i = 0; i < CASES; i++)
        test_layouts(&cases[i]);
    dev_close(the.dev);
    free(the.dir);
    return tap_done();
}
