#include "ckpt_body.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/half.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"

struct comm *comm;
struct dev *dev;
char run[64];
bool async, halves;
int rank, world;

const struct config shape = {
    /* nothing divides evenly */
    .hidden = 24,
    .ffn = 22,
    .layers = 2,
    .heads = 4,
    .kv_heads = 2,
    .head_dim = 6,
    .vocab = 37,
    .norm_eps = 1e-5,
    .rope = {.theta = 10000.0},
    .qkv_bias = true,
    .max_positions = 64,
    .moe = {.experts = 4, .top_k = 2, .granularity = 2, .aux_coeff = 0.01, .layer = {[1] = true}},
};

const int plain[3] = {1, 1, 1};

void body_open(struct body *b, const struct config *c, const int by[3], bool training)
{
    const struct layout_needs needs = config_needs(c);
    char *why = layout_make(&b->layout, world, by[0], by[1], by[2], &needs);
    if (why)
        bug("%s", why);
    model_open(&b->model, c, &b->layout);
    if (store_open(&b->store, &b->model, &b->layout, rank, dev, training) != OK ||
        groups_open(b->group, comm, dev, &b->layout) != OK)
        bug("%s", status_text());
}

void body_close(struct body *b)
{
    groups_close(b->group);
    store_close(&b->store);
    model_close(&b->model);
}

/* ---- what every element is ---- */

static float value(const struct tensor *t, enum kind kind, int64_t index, int salt)
{
    uint64_t x = rng_mix(rng_name(t->name) + (uint64_t)kind * 1000003 + (uint64_t)salt * 7919 +
                         rng_mix((uint64_t)index));
    float any = (float)(x >> 40) * 0x1p-24f - 0.5f;
    return halves ? float_of_bf16(bf16_of_float(any)) : any;
}

/* The elements of a piece, in its order. */
static float *values(const struct tensor *t, enum kind kind, const piece *p, int salt)
{
    slab box[5];
    int n = piece_slabs(p, box);
    float *all = mem_new(p->n, sizeof *all), *x = all;
    for (int i = 0; i < n; i++)
        for (int64_t a = box[i].lo[0]; a < box[i].lo[0] + box[i].n[0]; a++)
            for (int64_t r = box[i].lo[1]; r < box[i].lo[1] + box[i].n[1]; r++)
                for (int64_t c = box[i].lo[2]; c < box[i].lo[2] + box[i].n[2]; c++)
                    *x++ = value(t, kind, (a * t->dim[1] + r) * t->dim[2] + c, salt);
    return all;
}

bool is(const struct tensor *t, enum kind kind, const piece *p, int salt, const float *x)
{
    float *expected = values(t, kind, p, salt);
    bool same = memcmp(x, expected, (size_t)p->n * sizeof *x) == 0;
    free(expected);
    return same;
}

/* Visit the shards of a kind: fill them, or compare them. `as` is the kind that values are made for. */
static bool visit(const struct body *b, enum kind kind, enum kind as, int salt, bool fill)
{
    struct shard *shard = mem_new(b->model.n_tensors, sizeof *shard);
    int n = model_shards(&b->model, &b->layout, rank, kind, shard, b->model.n_tensors);
    bool good = true;
    for (int i = 0; i < n; i++) {
        const struct tensor *t = &b->model.tensor[shard[i].tensor];
        view v = store_shard(&b->store, &shard[i]);
        float *x = values(t, as, &shard[i].part, salt);
        if (fill)
            dev_upload(dev, v, x);
        else
            dev_download(dev, x, v), good = good && is(t, as, &shard[i].part, salt, x);
        free(x);
    }
    free(shard);
    return good;
}

void fill(const struct body *b, int salt)
{
    visit(b, MASTER, MASTER, salt, true);
    visit(b, MOMENT1, MOMENT1, salt, true);
    visit(b, MOMENT2, MOMENT2, salt, true);
}

bool holds(const struct body *b, int salt, bool training)
{
    bool weights = visit(b, MASTER, MASTER, salt, false) && visit(b, WEIGHT, MASTER, salt, false);
    return weights && (!training ||
                       (visit(b, MOMENT1, MOMENT1, salt, false) && visit(b, MOMENT2, MOMENT2, salt, false)));
}

/* ---- saving and loading ---- */

status save(const struct body *b, int64_t step, int64_t writers)
{
    char deck[] = "run:\n  steps: 3\n";
    const struct ckpt_state state = {
        .step = step, .samples = step * 8, .tokens = step * 512, .horizon = 100, .leg = 2, .deck = deck};
    int64_t bytes, expected = 3 * config_parameters(&b->model.config) * 4;
    const struct saver_how how = {.run_dir = run, .writers = writers, .threads = 2, .async = async};
    status s = ckpt_save(comm, &b->store, &state, &how, &bytes);
    if (s == OK && bytes != expected) {
        log_say("# %" PRId64 " bytes, not %" PRId64, bytes, expected);
        return E_BUG;
    }
    return s;
}

/* What a restart does. */
status load(struct body *b, struct ckpt_index *x)
{
    char *path;
    TRY(ckpt_find(comm, run, &path));
    if (!path)
        return fail(E_NOCKPT, "there is none");
    status s = comm_agree(comm, ckpt_index_read(x, path));
    if (s == OK)
        s = ckpt_load(comm, &b->store, b->group, x, path);
    free(path);
    return s;
}

status load_status(struct body *b)
{
    struct ckpt_index x = {0};
    status s = load(b, &x);
    ckpt_index_free(&x);
    return s;
}

bool says(const char *part)
{
    bool found = strstr(status_text(), part) != NULL;
    if (!found && rank == 0)
        printf("# the message is: %s\n", status_text());
    return found;
}

char *folder_of(int64_t step, const char *suffix)
{
    return mem_format("%s/ckpt/step_%08" PRId64 "%s", run, step, suffix);
}

char *path_of(int64_t step, const char *file)
{
    return mem_format("%s/ckpt/step_%08" PRId64 "/%s", run, step, file);
}

bool exists(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0;
}

void change_byte(const char *path, int64_t at)
{
    unsigned char c = 0;
    int fd = rank == 0 ? open(path, O_RDWR) : -1;
    if (fd >= 0 && pread(fd, &c, 1, at) == 1) {
        c ^= 0x10;
        if (pwrite(fd, &c, 1, at) != 1)
            perror(path);
    }
    if (fd >= 0)
        close(fd);
    comm_barrier(comm);
}

void clean(void)
{
    comm_barrier(comm);
    char *command = mem_format("rm -rf '%s/ckpt'", run);
    if (rank == 0 && system(command) != 0)
        perror(command);
    free(command);
    comm_barrier(comm);
}

bool index_good(const struct ckpt_index *x, const struct config *c, int files)
{
    return x->n_files == files && x->state.step == 7 && x->state.samples == 56 && x->state.tokens == 3584 &&
           x->state.horizon == 100 && x->state.leg == 2 && strcmp(x->state.deck, "run:\n  steps: 3\n") == 0 &&
           memcmp(&x->config, c, sizeof *c) == 0;
}

/* ---- beginning and end ---- */

void bodies_open(void)
{
    const struct dev_options options = {.threads = 1};
    if (comm_open(&comm) != OK || dev_open(&dev, "cpu", 0, &options) != OK)
        bug("%s", status_text());
    rank = comm_rank(comm);
    world = comm_size(comm);
    log_open(rank == 0, true);
    snprintf(run, sizeof run, "t_ckpt.XXXXXX");
    if (rank == 0 && !mkdtemp(run))
        bug("no folder");
    comm_bcast(comm, run, sizeof run, 0);
}

bool bodies_close(void)
{
    dev_close(dev);
    return rank != 0 || rmdir(run) == 0;
}
