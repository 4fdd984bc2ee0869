/* Filling must not take more memory beside the store than the rank's largest slab, whatever the numbers of
 * experts and of threads. It is measured as resident memory with a model of 100 to 200 MB that is made here.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "tap_ranks.h"
#include "weights/export.h"
#include "weights/fill.h"
#include "weights/planned.h"

static const struct layout one = {1, 1, 1, 1, 1, 1, 1};
static const struct config dense = {.hidden = 512,
                                    .ffn = 2048,
                                    .layers = 2,
                                    .heads = 8,
                                    .kv_heads = 4,
                                    .head_dim = 64,
                                    .vocab = 16384, /* the embedding: 34 MB of fp32 */
                                    .norm_eps = 1e-5,
                                    .rope = {.theta = 10000},
                                    .tied = true,
                                    .max_positions = 64};

static struct {
    struct comm *comm;
    struct dev *dev;
    char dir[32];
} the;

/* In order of size: a peak of resident memory is never taken back. */
static const struct filling {
    const char *text, *grow;
    int64_t hidden, experts, top_k, granularity;
    double noise, reinit;
} fillings[] = {
    {"E4T2", "none", 512, 4, 2, 1, 0, 0},
    {"AKI, virtual groups, noise, neurons anew", "aki", 640, 8, 4, 2, 0.01, 0.3},
};
enum { FILLINGS = sizeof fillings / sizeof *fillings };

/* Rank 0: a random model as a Hugging Face directory. */
static status write_dense(void)
{
    struct model m;
    struct fill_plan plan;
    if (!mkdtemp(the.dir))
        return fail(E_SPACE, "%s cannot be made", the.dir);
    model_open(&m, &dense, &one);
    status s = plan_random(&plan, &m, 1);
    if (s == OK) {
        struct source *source = source_open_plan(plan, &m);
        s = export_hf(source, &dense, the.dir, &(struct export_options){NULL, "bfloat16", (int64_t)1 << 30});
        source_close(source);
    }
    model_close(&m);
    return s;
}

static struct config target_of(const struct filling *f)
{
    struct config c = dense;
    c.hidden = f->hidden;
    c.moe = (struct moe){.experts = f->experts,
                         .top_k = f->top_k,
                         .granularity = f->granularity,
                         .order = SOFTMAX_TOPK,
                         .layer = {true, true}};
    return c;
}

static status plan_for(struct fill_plan *plan, const struct filling *f, const struct model *target)
{
    struct upcycle up = {.router_std = 0.02, .noise = f->noise, .reinit = f->reinit, .reinit_std = 0.02};
    struct grow grow;
    struct source *source;
    struct model from;
    TRY(grow_choose(&grow, (enum grow_method)choice_find(grow_methods, f->grow), DEPTH_UNSET, SCOPE_ALL));
    struct decimal scale;
    decimal_read(&scale, weight_scales, "auto");
    upcycle_scales(&target->config, &scale, &up);
    TRY(source_open_hf(&source, the.dir));
    model_open(&from, &dense, &one);
    status s = plan_upcycle(plan, target, &from, &source, &grow, &up, 7);
    model_close(&from);
    return s;
}

static int64_t largest_slab(const struct store *s)
{
    int64_t most = 0;
    for (int i = 0; i < s->model->n_tensors; i++) {
        slab box = model_slab(s->model, &s->layout, s->rank, i);
        int64_t bytes = slab_size(&box) * (int64_t)sizeof(float);
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* COLLECTIVE. */
static void test_filling(const struct filling *f, const struct layout *l)
{
    struct config c = target_of(f);
    struct model m;
    struct fill_plan plan;
    struct store store;
    int64_t bytes;
    model_open(&m, &c, l);
    if (comm_agree(the.comm, plan_for(&plan, f, &m)) != OK ||
        comm_agree(the.comm, store_open(&store, &m, l, comm_rank(the.comm), the.dev, false)) != OK)
        bug("%s", status_text());
    int64_t before = mem_rss();
    status s = weights_fill(&store, the.comm, &plan, &bytes);
    int64_t extra = mem_peak_rss() - before, largest = largest_slab(&store);
    ok(s == OK && extra <= largest, "%s: %.1f MB beside a store of %.0f MB; largest slab %.1f MB %s", f->text,
       (double)extra * 1e-6, (double)store.bytes * 1e-6, (double)largest * 1e-6, s ? status_text() : "");
    store_close(&store);
    plan_free(&plan);
    model_close(&m);
}

static void remove_dense(void)
{
    static const char *const files[] = {"config.json", "model.safetensors"};
    for (int i = 0; i < 2; i++) {
        char *path = mem_format("%s/%s", the.dir, files[i]);
        unlink(path);
        free(path);
    }
    rmdir(the.dir);
}

int main(void)
{
    if (comm_open(&the.comm) != OK)
        return 1;
    tap_open(the.comm);
    struct dev_options options = {.threads = 2};
    struct config c = target_of(&fillings[0]);
    struct layout_needs needs = config_needs(&c);
    struct layout l;
    bool alone = comm_size(the.comm) == 1;
    strcpy(the.dir, "memory.XXXXXX");
    if (layout_make(&l, comm_size(the.comm), alone ? 1 : 2, alone ? 1 : 2, alone ? 1 : 2, &needs) ||
        dev_open(&the.dev, "cpu", 0, &options) != OK ||
        comm_agree(the.comm, comm_rank(the.comm) == 0 ? write_dense() : OK) != OK)
        bug("%s", status_text());
    comm_bcast(the.comm, the.dir, sizeof the.dir, 0);
    for (int i = 0; i < FILLINGS; i++)
        test_filling(&fillings[i], &l);
    if (comm_rank(the.comm) == 0)
        remove_dense();
    dev_close(the.dev);
    return tap_done();
}
