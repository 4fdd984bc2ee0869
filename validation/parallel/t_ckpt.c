/* Checkpoints are saved on one layout and loaded on another, and every element is compared with a pure
 * function of (tensor, kind, global index). */
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#include "base/half.h"
#include "base/mem.h"
#include "ckpt_body.h"
#include "tap_ranks.h"

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

/* Rank 0 rewrites a checkpoint, as a program may that stores BF16: half of the bytes of each extent. */
static bool store_bf16(const char *dir)
{
    struct ckpt_index x;
    bool good = ckpt_index_read(&x, dir) == OK;
    for (int i = 0; i < x.n_extents && good; i++) {
        struct extent *e = &x.extent[i];
        char *path = mem_format("%s/%s", dir, x.file[e->file]);
        size_t n = (size_t)e->shard.part.n;
        float *all = mem_new(e->shard.part.n, sizeof *all);
        uint16_t *half = mem_new(e->shard.part.n, sizeof *half);
        int fd = open(path, O_RDWR);
        good = fd >= 0 && extent_load(fd, path, &x, e, all) == OK;
        for (size_t k = 0; k < n; k++)
            half[k] = bf16_of_float(all[k]);
        good = good && pwrite(fd, half, n * sizeof *half, e->offset) == (ssize_t)(n * sizeof *half);
        e->type = BF16;
        e->digest = XXH3_64bits(half, n * sizeof *half);
        close(fd);
        free(all);
        free(half);
        free(path);
    }
    char *path = mem_format("%s/index.h5", dir);
    good = good && unlink(path) == 0 && ckpt_index_write(&x, path) == OK;
    free(path);
    ckpt_index_free(&x);
    return good;
}

/* Is a whole array, as export reads it, that of the model? */
static bool arrays_good(const struct body *b, const char *dir, int salt)
{
    struct source *source;
    int64_t bytes = 0;
    bool good = ckpt_source(&source, dir) == OK;
    for (int i = 0; i < b->model.n_tensors && good; i++) {
        const struct tensor *t = &b->model.tensor[i];
        slab box = slab_whole(t->dim);
        piece p = {box, 0, slab_size(&box)};
        float *x = mem_new(p.n, sizeof *x);
        good = source_read(source, source_find(source, t->name), box, x, &bytes) == OK &&
               is(t, MASTER, &p, salt, x);
        free(x);
    }
    source_close(source);
    return good && bytes == 2 * config_parameters(&b->model.config);
}

/* Numbers that are stored as BF16 come back as floats, for a restart and for export. */
static void test_bf16(void)
{
    struct body a;
    struct ckpt_index x = {0};
    char *dir = folder_of(7, ""), *path = path_of(7, "shard_0000.h5");
    halves = true;
    body_open(&a, &shape, plain, true);
    fill(&a, 8);
    ok(save(&a, 7, 0) == OK, "save numbers that BF16 has");
    bool stored = rank != 0 || store_bf16(dir);
    fill(&a, 9);
    ok(stored, "stored as BF16");
    ok(load(&a, &x) == OK && x.extent[0].type == BF16 && holds(&a, 8, true), "they come back: %s",
       status_text());
    ok(arrays_good(&a, dir, 8), "and as arrays");
    change_byte(path, x.extent[0].offset + 1);
    ok(load_status(&a) == E_NOCKPT && says("digest"), "a changed byte is seen");
    ckpt_index_free(&x);
    halves = false;
    free(dir);
    free(path);
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
    bodies_open();
    tap_open(comm);
    test_pairs();
    test_long();
    test_weights_only();
    test_phases();
    test_finite();
    test_bf16();
    test_source();
    ok(bodies_close(), "nothing is left in the run folder");
    return tap_done();
}
