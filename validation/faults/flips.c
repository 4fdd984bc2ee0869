/* Single-bit flips over all files of a checkpoint. After each, the index and every extent are read as a
 * restart reads them, in a process of its own.
 *   flips CHECKPOINT COUNT [SEED]
 * Half of the flips walk evenly over the bits of index.h5, the others are drawn from those of the other
 * files. Detected: reading fails, as damage. Harmless: all that a restart takes is as before. Prints a line
 * for each file and "N flips: N detected, N harmless, N silent, N crashed"; exit code 1 if any are silent or
 * crash. */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "ckpt/extent.h"

enum outcome { DETECTED, HARMLESS, SILENT, CRASHED, OUTCOMES };
static const char *const outcome_name[OUTCOMES] = {"detected", "harmless", "silent", "crashed"};
enum { BATCH = 32 }; /* flips of one process; after a crash each of them has its own */

struct flipping {
    const char *dir;
    uint64_t good; /* what a restart takes from the whole checkpoint */
    char *path;
    int fd;
    int64_t bits, of[OUTCOMES];
};

static void add_text(XXH3_state_t *h, const char *text)
{
    XXH3_64bits_update(h, text ? text : "", text ? strlen(text) : 0);
}

static status add_tensors(XXH3_state_t *h, const struct ckpt_index *x, const char *dir)
{
    status s = OK;
    struct reader r;
    reader_open(&r, x, dir);
    for (int i = 0; i < SAVED_KINDS * x->n_tensors && s == OK; i++) {
        const struct tensor *t = &x->tensor[i / SAVED_KINDS];
        enum kind kind = saved_kind(i % SAVED_KINDS);
        slab whole = slab_whole(t->dim);
        piece want = {whole, 0, slab_size(&whole)};
        if (kind != MASTER && !t->trained)
            continue;
        float *out = mem_new(want.n, sizeof *out);
        s = reader_fill(&r, i / SAVED_KINDS, kind, &want, out);
        XXH3_64bits_update(h, out, (size_t)want.n * sizeof *out);
        free(out);
    }
    reader_close(&r);
    return s;
}

/* All that a restart takes from a checkpoint, as one number. */
static status taken(const char *dir, uint64_t *sum)
{
    struct ckpt_index x;
    TRY(ckpt_index_read(&x, dir));
    XXH3_state_t *h = XXH3_createState();
    XXH3_64bits_reset(h);
    XXH3_64bits_update(h, &x.state, offsetof(struct ckpt_state, deck));
    add_text(h, x.state.deck);
    add_text(h, x.state.data);
    XXH3_64bits_update(h, &x.config, sizeof x.config);
    XXH3_64bits_update(h, x.hash, sizeof x.hash);
    status s = add_tensors(h, &x, dir);
    *sum = XXH3_64bits_digest(h);
    XXH3_freeState(h);
    ckpt_index_free(&x);
    return s;
}

static void flip_bit(const struct flipping *f, int64_t bit)
{
    unsigned char byte;
    if (pread(f->fd, &byte, 1, bit / 8) != 1)
        exit(2);
    byte ^= (unsigned char)(1 << bit % 8);
    if (pwrite(f->fd, &byte, 1, bit / 8) != 1)
        exit(2);
}

static enum outcome judge(const struct flipping *f)
{
    uint64_t sum;
    status s = taken(f->dir, &sum);
    return s == OK ? (sum == f->good ? HARMLESS : SILENT) : s == E_NOCKPT ? DETECTED : CRASHED;
}

/* n flips in a process of their own; the file is as before afterwards. False if it crashed, and nothing
 * counts. */
static bool in_child(struct flipping *f, const int64_t *bit, int n)
{
    int ends[2], code;
    int64_t of[OUTCOMES] = {0};
    fflush(NULL);
    if (pipe(ends) != 0)
        exit(2);
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        for (int i = 0; i < n; i++) {
            flip_bit(f, bit[i]);
            enum outcome o = judge(f);
            flip_bit(f, bit[i]);
            of[o]++;
            if (o == SILENT)
                printf("# %s: bit %lld: silent\n", f->path, (long long)bit[i]);
        }
        fflush(stdout);
        _exit(write(ends[1], of, sizeof of) != sizeof of);
    }
    close(ends[1]);
    bool whole = read(ends[0], of, sizeof of) == sizeof of;
    close(ends[0]);
    waitpid(child, &code, 0);
    for (int o = 0; o < OUTCOMES && whole; o++)
        f->of[o] += of[o];
    return whole;
}

/* The bit that a crashed process left flipped is found by a copy of the file. */
static void restore(const struct flipping *f, const char *bytes)
{
    if (pwrite(f->fd, bytes, (size_t)(f->bits / 8), 0) != f->bits / 8)
        exit(2);
}

static void batch(struct flipping *f, const int64_t *bit, int n, const char *bytes)
{
    if (in_child(f, bit, n))
        return;
    restore(f, bytes);
    for (int i = 0; i < n; i++)
        if (!in_child(f, &bit[i], 1)) {
            printf("# %s: bit %lld: crashed\n", f->path, (long long)bit[i]);
            restore(f, bytes);
            f->of[CRASHED]++;
        }
}

/* Number i of `count` bits that are spread evenly; another seed, bits beside them. */
static int64_t even_bit(int64_t bits, int64_t i, int64_t count, uint64_t seed)
{
    int64_t beside = (int64_t)(rng_mix(seed) % (uint64_t)(bits / count + 1));
    return ((int64_t)((double)bits * (double)i / (double)count) + beside) % bits;
}

/* `count` flips, evenly spread or drawn. */
static void flip_file(struct flipping *f, const char *name, int64_t count, bool even, uint64_t seed)
{
    struct stat about;
    int64_t bit[BATCH];
    f->path = mem_format("%s/%s", f->dir, name);
    f->fd = open(f->path, O_RDWR);
    if (f->fd < 0 || fstat(f->fd, &about) != 0)
        exit(2);
    char *bytes = mem_new(about.st_size, 1);
    if (pread(f->fd, bytes, (size_t)about.st_size, 0) != about.st_size)
        exit(2);
    f->bits = 8 * (int64_t)about.st_size;
    for (int64_t done = 0; done < count; done += BATCH) {
        int n = count - done < BATCH ? (int)(count - done) : BATCH;
        for (int i = 0; i < n; i++)
            bit[i] = even ? even_bit(f->bits, done + i, count, seed)
                          : (int64_t)(rng_mix(seed ^ rng_mix((uint64_t)(done + i))) % (uint64_t)f->bits);
        batch(f, bit, n, bytes);
    }
    free(bytes);
    close(f->fd);
    printf("%s:", name);
    for (int o = 0; o < OUTCOMES; o++)
        printf(" %lld %s", (long long)f->of[o], outcome_name[o]);
    printf("\n");
    free(f->path);
}

int main(int argc, char **argv)
{
    struct ckpt_index x;
    int64_t all[OUTCOMES] = {0}, count = argc > 2 ? atoll(argv[2]) : 0;
    struct flipping f = {.dir = argv[1]};
    log_open(false, false);
    if (count < 2 || ckpt_index_read(&x, f.dir) != OK || taken(f.dir, &f.good) != OK) {
        fprintf(stderr, "flips CHECKPOINT COUNT [SEED]: %s\n", status_text());
        return 2;
    }
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    for (int i = -1; i < x.n_files; i++) {
        memset(f.of, 0, sizeof f.of);
        flip_file(&f, i < 0 ? "index.h5" : x.file[i], i < 0 ? count / 2 : (count - count / 2) / x.n_files,
                  i < 0, seed + (uint64_t)i);
        for (int o = 0; o < OUTCOMES; o++)
            all[o] += f.of[o];
    }
    ckpt_index_free(&x);
    printf("%lld flips: %lld detected, %lld harmless, %lld silent, %lld crashed\n", (long long)count,
           (long long)all[DETECTED], (long long)all[HARMLESS], (long long)all[SILENT],
           (long long)all[CRASHED]);
    return all[SILENT] + all[CRASHED] > 0;
}
