/* Checkpoints that a disk or a person damaged in many ways are refused, and the older ones taken. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "ckpt_body.h"
#include "tap_ranks.h"

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

int main(void)
{
    bodies_open();
    tap_open(comm);
    test_damage();
    ok(bodies_close(), "nothing is left in the run folder");
    return tap_done();
}
