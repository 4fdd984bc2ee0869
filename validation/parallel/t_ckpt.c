/* Checkpoints are saved on one layout and loaded on another, and every element is compared with a pure
 * function of (tensor, kind, global index). Checkpoints that a disk or a person damaged in many ways are
 * refused. */
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "ckpt/extent.h"
#include "tap_ranks.h"
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct comm *comm;
static struct dev *dev;
static char run[64]; /* the run folder, new for this test */
static bool async;   /* save from copies */
static int rank, world;

static const struct config shape = {
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

/* One rank's model on one layout. */
struct body {
    struct model model;
    struct layout layout;
    struct store store;
    struct group *group[GROUPS];
};

static void body_open(struct body *b, const struct config *c, const int by[3], bool training)
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

static void body_close(struct body *b)
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
    return (float)(x >> 40) * 0x1p-24f - 0.5f;
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

static bool is(const struct tensor *t, enum kind kind, const piece *p, int salt, const float *x)
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

static void fill(const struct body *b, int salt)
{
    visit(b, MASTER, MASTER, salt, true);
    visit(b, MOMENT1, MOMENT1, salt, true);
    visit(b, MOMENT2, MOMENT2, salt, true);
}

static bool holds(const struct body *b, int salt, bool training)
{
    bool weights = visit(b, MASTER, MASTER, salt, false) && visit(b, WEIGHT, MASTER, salt, false);
    return weights && (!training ||
                       (visit(b, MOMENT1, MOMENT1, salt, false) && visit(b, MOMENT2, MOMENT2, salt, false)));
}

/* ---- saving and loading ---- */

static status save(const struct body *b, int64_t step, int64_t writers)
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
static status load(struct body *b, struct ckpt_index *x)
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

static status load_status(struct body *b)
{
    struct ckpt_index x = {0};
    status s = load(b, &x);
    ckpt_index_free(&x);
    return s;
}

static bool says(const char *part)
{
    bool found = strstr(status_text(), part) != NULL;
    if (!found && rank == 0)
        printf("# the message is: %s\n", status_text());
    return found;
}

static char *folder_of(int64_t step, const char *suffix)
{
    return mem_format("%s/ckpt/step_%08" PRId64 "%s", run, step, suffix);
}

static char *path_of(int64_t step, const char *file)
{
    return mem_format("%s/ckpt/step_%08" PRId64 "/%s", run, step, file);
}

static bool exists(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0;
}

/* Rank 0 alone touches files; the others wait. */
static void change_byte(const char *path, int64_t at)
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

static void clean(void)
{
    comm_barrier(comm);
    char *command = mem_format("rm -rf '%s/ckpt'", run);
    if (rank == 0 && system(command) != 0)
        perror(command);
    free(command);
    comm_barrier(comm);
}

/* ---- the tests ---- */

static bool index_good(const struct ckpt_index *x, const struct config *c, int files)
{
    return x->n_files == files && x->state.step == 7 && x->state.samples == 56 && x->state.tokens == 3584 &&
           x->state.horizon == 100 && x->state.leg == 2 && strcmp(x->state.deck, "run:\n  steps: 3\n") == 0 &&
           memcmp(&x->config, c, sizeof *c) == 0;
}

static bool resolves(void)
{
    char *dir = folder_of(7, ""), *found = NULL, *again = NULL;
    bool good = ckpt_resolve(run, &found) == OK && strcmp(found, dir) == 0 &&
                ckpt_resolve(dir, &again) == OK && strcmp(again, dir) == 0;
    free(dir);
    free(found);
    free(again);
    return good && ckpt_resolve("/dev", &found) == E_NOCKPT;
}

static void test_pair(const struct config *c, const int from[3], const int to[3], int64_t writers)
{
    struct body a, b;
    struct ckpt_index x = {0};
    char text[96];
    snprintf(text, sizeof text, "TP %d EP %d ETP %d -> TP %d EP %d ETP %d, %d a file", from[0], from[1],
             from[2], to[0], to[1], to[2], (int)writers);
    body_open(&a, c, from, true);
    body_open(&b, c, to, true);
    fill(&a, 1);
    ok(save(&a, 7, writers) == OK, "save: %s", text);
    ok(load(&b, &x) == OK, "load: %s", text);
    ok(resolves(), "found by the name of the run or its own");
    ok(index_good(&x, c, writers ? (world + (int)writers - 1) / (int)writers : 1),
       "state, deck, config, files come back");
    ok(holds(&b, 1, true), "every element comes back");
    ckpt_index_free(&x);
    body_close(&a);
    body_close(&b);
    clean();
}

/* All pairs of the layouts that fit. */
static void test_pairs(void)
{
    static const int by[][3] = {{1, 1, 1}, {2, 2, 1}, {1, 4, 1}, {4, 1, 2}, {1, 2, 2}, {2, 1, 1}, {1, 1, 4}};
    const struct layout_needs needs = config_needs(&shape);
    int n = sizeof by / sizeof *by;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            struct layout l;
            char *a = layout_make(&l, world, by[i][0], by[i][1], by[i][2], &needs);
            char *b = layout_make(&l, world, by[j][0], by[j][1], by[j][2], &needs);
            async = (i + j) % 2;
            if (!a && !b)
                test_pair(&shape, by[i], by[j], (i + j) % 3);
            free(a);
            free(b);
        }
}

static const int plain[3] = {1, 1, 1};

/* As the loop does it: the store changes while it is written, a lie of the disk is found, nothing else is. */
static void test_phases(void)
{
    struct body a;
    struct saver *s;
    struct saved saved;
    char deck[] = "run: {steps: 3}";
    struct ckpt_state state = {
        .step = 7, .samples = 56, .tokens = 3584, .horizon = 9, .leg = 2, .deck = deck};
    const struct saver_how how = {.run_dir = run, .threads = 1, .async = true};
    body_open(&a, &shape, plain, true);
    fill(&a, 1);
    saver_open(&s, comm, &a.store, &how);
    ok(saver_begin(s, &state) == OK && saver_phase(s) == SAVER_WRITING, "begun");
    fill(&a, 2);
    ok(saver_commit(s, &saved) == OK && saved.step == 7 && saved.bytes == 12 * config_parameters(&shape),
       "committed");
    saver_verify(s);
    ok(saver_verified(s) == OK && saver_phase(s) == SAVER_IDLE, "read back %s", status_text());
    ok(load_status(&a) == OK && holds(&a, 1, true), "it is of the moment of its begin");
    state.step = 8;
    ok(saver_begin(s, &state) == OK && saver_commit(s, &saved) == OK, "the next one");
    char *path = path_of(8, "shard_0000.h5");
    change_byte(path, 9000);
    saver_verify(s);
    ok(saver_verified(s) == E_NOCKPT && says("not what was written") && says("shard_0000.h5"),
       "a lie of the disk");
    free(path);
    path = path_of(8, "");
    status known = fail(E_NOCKPT, "a reason");
    ckpt_note_damaged(comm, path);
    comm_barrier(comm);
    ok(known != OK && load_status(&a) == OK && holds(&a, 1, true), "noted: the one before is taken");
    free(path);
    path = path_of(8, "shard_0000.h5");
    change_byte(path, 9000);
    ok(load_status(&a) == OK && holds(&a, 1, true), "changed back, its files are others than noted");
    free(path);
    saver_close(s);
    body_close(&a);
    clean();
}

/* Values that are no numbers are not saved, and are told with their tensor. */
static void test_finite(void)
{
    struct body a;
    struct shard *shard = NULL;
    float inf = 1e38f * 10;
    body_open(&a, &shape, plain, true);
    fill(&a, 1);
    shard = mem_new(a.model.n_tensors, sizeof *shard);
    int n = model_shards(&a.model, &a.layout, rank, MOMENT2, shard, a.model.n_tensors);
    if (rank == world - 1 && n > 0)
        dev_upload(dev, view_cols(store_shard(&a.store, &shard[n - 1]), shard[n - 1].part.n - 1, 1), &inf);
    ok(save(&a, 7, 0) == E_NAN && says("moment2 of ") && says("not finite"), "an infinity is not saved");
    char *left = folder_of(7, ".tmp"), *final = folder_of(7, "");
    ok(!exists(left) && !exists(final), "and nothing is left of it");
    free(left);
    free(final);
    free(shard);
    body_close(&a);
    clean();
}

/* A tensor that needs several extents, tied embeddings, all layers dense. */
static void test_long(void)
{
    struct config c = shape;
    c.vocab = 180001;
    c.tied = true;
    c.moe = (struct moe){0};
    if (world <= 2)
        test_pair(&c, plain, plain, 0);
}

static void test_weights_only(void)
{
    struct body a, b;
    body_open(&a, &shape, plain, true);
    body_open(&b, &shape, plain, false);
    fill(&a, 3);
    ok(load_status(&b) == E_NOCKPT && says("there is none"), "no checkpoint yet");
    ok(save(&a, 7, 0) == OK && load_status(&b) == OK && holds(&b, 3, false), "weights without moments");
    fill(&a, 4);
    ok(save(&a, 7, 0) == OK && load_status(&b) == OK && holds(&b, 4, false),
       "the same step again replaces it");
    char *old = folder_of(7, ".old"), *tmp = folder_of(7, ".tmp");
    ok(!exists(old) && !exists(tmp), "and leaves nothing else");
    free(old);
    free(tmp);
    body_close(&a);
    body_close(&b);
    clean();
}

/* A byte in the middle of the k-th extent, k over several: refused, named, and good again when undone. */
static void test_flips(struct body *a)
{
    struct ckpt_index x = {0};
    ok(save(a, 7, 2) == OK && load(a, &x) == OK, "save and load");
    for (int k = 0; k < x.n_extents; k += x.n_extents / 5) {
        const struct extent *e = &x.extent[k];
        const char *tensor = x.tensor[e->shard.tensor].name, *file = x.file[e->file];
        char *path = path_of(7, file);
        int64_t at = e->offset + e->shard.part.n * 2;
        change_byte(path, at);
        ok(load_status(a) == E_NOCKPT && says(tensor) && says(file) && says("digest"), "a byte of %s in %s",
           tensor, file);
        change_byte(path, at);
        free(path);
    }
    ok(load_status(a) == OK && holds(a, 1, true), "undone, it loads");
    ckpt_index_free(&x);
}

static bool same_index(const struct ckpt_index *x, const struct ckpt_index *y)
{
    return index_good(y, &x->config, x->n_files) && x->n_extents == y->n_extents &&
           x->n_tensors == y->n_tensors &&
           memcmp(x->extent, y->extent, (size_t)x->n_extents * sizeof *x->extent) == 0 &&
           memcmp(x->tensor, y->tensor, (size_t)x->n_tensors * sizeof *x->tensor) == 0 &&
           memcmp(x->hash, y->hash, sizeof x->hash) == 0;
}

/* Any byte of the index: refused, or nothing of what it says has changed. */
static void test_index_flips(void)
{
    char *path = path_of(7, "index.h5"), *dir = folder_of(7, "");
    struct stat about;
    struct ckpt_index good, x;
    ok(ckpt_index_read(&good, dir) == OK && stat(path, &about) == 0, "the index");
    int silent = 0, refused = 0, steps = 400;
    for (int i = 0; i < steps && rank == 0; i++) {
        int64_t at = rng_permute(99, about.st_size, i % about.st_size);
        int fd = open(path, O_RDWR);
        unsigned char c = 0, d;
        bool done = pread(fd, &c, 1, at) == 1 && (d = c ^ (1u << (i % 8)), pwrite(fd, &d, 1, at) == 1);
        status s = ckpt_index_read(&x, dir);
        refused += s == E_NOCKPT;
        silent += !done || (s == OK && !same_index(&good, &x)) || (s != OK && s != E_NOCKPT);
        ckpt_index_free(&x);
        if (pwrite(fd, &c, 1, at) != 1)
            silent++;
        close(fd);
    }
    ok(silent == 0, "a changed bit of the index is never believed");
    ok(rank != 0 || refused > steps / 2, "most are refused");
    ckpt_index_free(&good);
    free(path);
    free(dir);
    comm_barrier(comm);
}

/* Rank 0 renames a file. */
static void move(const char *from, const char *to)
{
    if (rank == 0 && rename(from, to) != 0)
        perror(from);
    comm_barrier(comm);
}

/* An index with one thing changed and a right digest: by a mistake or on purpose, not by a disk. */
static char outside[] = "../shard_0000.h5";
static void forge_hash(struct ckpt_index *x)
{
    x->hash[MOMENT1]++;
}
static void forge_hole(struct ckpt_index *x)
{
    x->n_extents--;
}
/* As many extents and elements as before: one is listed twice, and another one of its size is missing. */
static void forge_twice(struct ckpt_index *x)
{
    for (int i = 1; i < x->n_extents; i++) {
        const struct shard *a = &x->extent[i - 1].shard, *b = &x->extent[i].shard;
        if (a->tensor != b->tensor || a->kind != b->kind || a->part.n != b->part.n)
            continue;
        x->extent[i] = x->extent[i - 1];
        return;
    }
    x->extent[1] = x->extent[0]; /* of one rank: the next tensor is without any */
}
static void forge_box(struct ckpt_index *x)
{
    x->extent[0].shard.part.box.lo[1]++;
}
static void forge_piece(struct ckpt_index *x)
{
    x->extent[0].shard.part.n += INT64_C(1) << 60;
}
static void forge_offset(struct ckpt_index *x)
{
    x->extent[0].offset = INT64_MAX - 8;
}
static void forge_file(struct ckpt_index *x)
{
    x->extent[0].file = x->n_files;
}
static void forge_tensor(struct ckpt_index *x)
{
    x->extent[0].shard.tensor = -1;
}
static void forge_size(struct ckpt_index *x)
{
    x->tensor[0].dim[1] = INT64_MAX / 8;
}
static void forge_name(struct ckpt_index *x)
{
    x->tensor[0].name[0] = '\0';
}
static void forge_path(struct ckpt_index *x)
{
    free(x->file[0]), x->file[0] = mem_text(outside);
}
static void forge_config(struct ckpt_index *x)
{
    x->config.kv_heads = 3;
}

static status load_forged(struct body *a, const char *dir)
{
    struct ckpt_index x = {0};
    status s = comm_agree(comm, ckpt_index_read(&x, dir));
    if (s == OK)
        s = ckpt_load(comm, &a->store, a->group, &x, dir);
    ckpt_index_free(&x);
    return s;
}

static void test_forged(struct body *a)
{
    static const struct {
        void (*forge)(struct ckpt_index *);
        const char *says;
    } forged[] = {
        {forge_hash, "hash of all moment1"},     {forge_hole, "moment2 of head do not hold"},
        {forge_twice, "do not hold each"},       {forge_box, "makes no sense"},
        {forge_piece, "makes no sense"},         {forge_offset, "makes no sense"},
        {forge_file, "makes no sense"},          {forge_tensor, "makes no sense"},
        {forge_size, "size makes no sense"},     {forge_name, "name makes no sense"},
        {forge_path, "not the name of a shard"}, {forge_config, "kv_heads"},
    };
    char *dir = folder_of(7, ""), *path = path_of(7, "index.h5"), *away = mem_format("%s/away", run);
    move(path, away);
    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        struct ckpt_index x;
        move(away, path);
        ok(ckpt_index_read(&x, dir) == OK, "read the index");
        comm_barrier(comm);
        move(path, away);
        forged[i].forge(&x);
        ok(rank != 0 || ckpt_index_write(&x, path) == OK, "write it changed");
        ok(load_forged(a, dir) == E_NOCKPT && says(forged[i].says), "refused: %s", forged[i].says);
        ckpt_index_free(&x);
        comm_barrier(comm);
        if (rank == 0)
            unlink(path);
    }
    move(away, path);
    free(dir);
    free(path);
    free(away);
}

static void test_missing(struct body *a)
{
    static const char *const name[] = {"shard_0000.h5", "index.h5"};
    struct body b;
    ok(load_status(a) == OK && holds(a, 1, true), "one checkpoint");
    fill(a, 2);
    ok(save(a, 9, 2) == OK && load_status(a) == OK && holds(a, 2, true), "a newer one is taken");
    int warnings = log_warnings();
    for (int i = 0; i < 2; i++) {
        char *file = path_of(9, name[i]), *away = mem_format("%s/away", run);
        move(file, away);
        ok(load_status(a) == OK && holds(a, 1, true), "without its %s, the older one", name[i]);
        move(away, file);
        if (rank == 0 && truncate(file, 3000) != 0)
            perror(file);
        comm_barrier(comm);
        ok(load_status(a) == OK && holds(a, 1, true), "with a short %s, the older one", name[i]);
        free(file);
        free(away);
    }
    ok(rank != 0 || log_warnings() == warnings + 4, "each with a warning");
    char *older = path_of(7, "index.h5"), *away = mem_format("%s/away", run);
    move(older, away);
    ok(load_status(a) == E_NOCKPT && says("none of 2"), "none usable: refused, not started anew");
    move(away, older);
    free(older);
    free(away);
    struct config c = shape;
    c.hidden = 36;
    body_open(&b, &c, plain, true);
    ok(load_status(&b) == E_DECK && says("another model") && says("embed"), "of another size");
    body_close(&b);
    c = shape;
    c.tied = true;
    body_open(&b, &c, plain, true);
    ok(load_status(&b) == E_DECK && says("another model") && says("head"), "with another tensor");
    body_close(&b);
}

/* The last rank's disk is full: all ranks hear of it, nothing is left, the older one stays. */
static void test_full(struct body *a)
{
    struct rlimit old, small;
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){16384, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    fill(a, 1);
    ok(save(a, 11, 0) == OK, "one good save");
    if (rank == world - 1)
        setrlimit(RLIMIT_FSIZE, &small);
    fill(a, 5);
    status s = save(a, 12, 1);
    setrlimit(RLIMIT_FSIZE, &old);
    ok(s == E_SPACE && says("shard_") && says("large"), "a full disk on one rank is known to all");
    char *left = folder_of(12, ".tmp"), *final = folder_of(12, "");
    ok(!exists(left) && !exists(final), "nothing is left of it");
    ok(load_status(a) == OK && holds(a, 1, true), "the older one is untouched");
    free(left);
    free(final);
}

static void test_prune(struct body *a)
{
    char *tmp = folder_of(50, ".tmp"), *eleven = folder_of(11, ""), *older = folder_of(9, "");
    if (rank == 0)
        mkdir(tmp, 0777);
    ok(save(a, 13, 0) == OK && exists(older), "save once more");
    comm_barrier(comm);
    if (rank == 0)
        ckpt_prune_end(ckpt_prune_begin(run, &(struct ckpt_keep){.newest = 2}, 13));
    comm_barrier(comm);
    ok(exists(eleven) && !exists(older) && !exists(tmp), "the two newest are kept");
    char *fourteen = folder_of(14, "");
    ok(save(a, 14, 0) == OK && save(a, 15, 0) == OK && save(a, 16, 0) == OK, "three more");
    comm_barrier(comm);
    if (rank == 0)
        ckpt_prune_end(ckpt_prune_begin(run, &(struct ckpt_keep){.newest = 1, .every = 7}, 15));
    comm_barrier(comm);
    ok(exists(fourteen) && !exists(eleven), "milestones stay");
    free(fourteen);
    ok(load_status(a) == OK && holds(a, 1, true), "and good");
    free(tmp);
    free(eleven);
    free(older);
}

static void test_damage(void)
{
    struct body a;
    body_open(&a, &shape, plain, true);
    fill(&a, 1);
    test_flips(&a);
    test_index_flips();
    test_forged(&a);
    test_missing(&a);
    test_full(&a);
    test_prune(&a);
    body_close(&a);
    clean();
}

/* Boxes of all arrays, whole and cut, as export reads them. */
static void test_source(void)
{
    struct body a;
    struct source *source;
    const int by[3] = {world > 1 ? 2 : 1, world > 1 ? 2 : 1, 1};
    bool whole = true, cut = true;
    int64_t bytes = 0;
    body_open(&a, &shape, by, true);
    fill(&a, 6);
    char *dir = folder_of(7, "");
    ok(save(&a, 7, 1) == OK && ckpt_source(&source, dir) == OK && source->n == a.model.n_tensors,
       "open as a source");
    for (int i = 0; i < a.model.n_tensors; i++) {
        const struct tensor *t = &a.model.tensor[i];
        int array = source_find(source, t->name);
        slab box = slab_whole(t->dim);
        for (int part = 0; part < 2 && array >= 0; part++) {
            piece p = {box, 0, slab_size(&box)};
            float *x = mem_new(p.n, sizeof *x);
            bool good = source_read(source, array, box, x, &bytes) == OK && is(t, MASTER, &p, 6, x);
            *(part ? &cut : &whole) &= good;
            free(x);
            box.lo[2] = box.n[2] / 3;
            box.n[2] -= box.lo[2] + 1;
            box.lo[1] = box.n[1] / 2;
            box.n[1] -= box.lo[1];
        }
        whole = whole && array >= 0;
    }
    ok(whole, "whole arrays");
    ok(cut, "parts of arrays");
    ok(bytes >= config_parameters(&shape) * 4, "bytes are counted");
    source_close(source);
    free(dir);
    body_close(&a);
    clean();
}

int main(void)
{
    const struct dev_options options = {.threads = 1};
    if (comm_open(&comm) != OK || dev_open(&dev, "cpu", 0, &options) != OK)
        bug("%s", status_text());
    tap_open(comm);
    rank = comm_rank(comm);
    world = comm_size(comm);
    log_open(rank == 0, true);
    snprintf(run, sizeof run, "t_ckpt.XXXXXX");
    if (rank == 0 && !mkdtemp(run))
        bug("no folder");
    comm_bcast(comm, run, sizeof run, 0);
    test_pairs();
    test_long();
    test_weights_only();
    test_phases();
    test_finite();
    test_damage();
    test_source();
    ok(rank != 0 || rmdir(run) == 0, "nothing is left in the run folder");
    dev_close(dev);
    return tap_done();
}
