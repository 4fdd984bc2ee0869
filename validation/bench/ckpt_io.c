/* Checkpoints against what the system gives for the same bytes, in turns: a save that waits beside dd
 * conv=fsync, a load beside dd, both with the page cache dropped before, and what a step waits for an
 * asynchronous save (its begin and its commit) beside memcpy. One rank; medians over the rounds.
 *   validation/bench/ckpt [--size GB] [--dir DIR] [--rounds N]     builds this and runs it */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "ckpt/ckpt.h"
#include "model/store.h"

enum { ROUNDS_MOST = 99, BUFFER = 256 << 20 };
enum figure { DD_WRITE, SAVE, DD_READ, LOAD, MEMCPY, STALL, BEGIN, BACKGROUND, FIGURES };
static const char *const name[FIGURES] = {"dd conv=fsync",
                                          "save",
                                          "dd, cold",
                                          "load, cold",
                                          "memcpy",
                                          "async: steps wait",
                                          "  of that at its begin",
                                          "async: until committed"};

static struct comm *comm;
static struct dev *dev;
static struct store store;
static struct group *group[GROUPS];
static const char *run;
static char *shard, *copy;
static double seconds[FIGURES][ROUNDS_MOST];

static void need(status s)
{
    if (s == OK)
        return;
    fprintf(stderr, "ckpt_io: %s\n", status_text());
    exit(s);
}

/* As SmolLM2-E4T2: 139 MB of checkpoint a layer. */
static struct config shape(double gb)
{
    struct config c = {.hidden = 576,
                       .ffn = 1536,
                       .heads = 9,
                       .kv_heads = 3,
                       .head_dim = 64,
                       .vocab = 4096,
                       .norm_eps = 1e-5,
                       .rope = {.theta = 1e4},
                       .tied = true,
                       .max_positions = 2048,
                       .moe = {.experts = 4, .top_k = 2, .granularity = 1, .aux_coeff = 0.01}};
    do
        c.moe.layer[c.layers++] = true;
    while (c.layers < MAX_LAYERS && 12e-9 * (double)config_parameters(&c) < gb);
    return c;
}

/* Values that no disk can pack. */
static void fill(void)
{
    uint64_t x = 88172645463325252u;
    for (int b = 0; b < store.model->n_buckets; b++)
        for (int k = MASTER; k < KINDS; k++) {
            float *value = store.bucket[b].mem[k];
            for (int64_t i = 0; value && i < store.bucket[b].part; i++) {
                x ^= x << 13, x ^= x >> 7, x ^= x << 17;
                value[i] = (float)(x >> 40) * 0x1p-24f;
            }
        }
}

static void drop(const char *path)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return;
    fsync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

static double run_dd(const char *from, const char *to, const char *more)
{
    char *command = mem_format("dd if='%s' of='%s' bs=16M %s 2> /dev/null", from, to, more);
    double start = clock_seconds();
    if (system(command) != 0)
        bug("%s", command);
    double took = clock_lap(&start);
    free(command);
    return took;
}

static void forget_saved(void)
{
    char *command = mem_format("rm -rf '%s/ckpt' && sync", run);
    if (system(command) != 0)
        bug("%s", command);
    free(command);
}

static void round_of_save(int r, const struct ckpt_state *state, const struct saver_how *how)
{
    int64_t bytes;
    forget_saved();
    double start = clock_seconds();
    need(ckpt_save(comm, &store, state, how, &bytes));
    seconds[SAVE][r] = clock_lap(&start);
    unlink(copy);
    sync();
    seconds[DD_WRITE][r] = run_dd(shard, copy, "conv=fsync");
}

static void round_of_load(int r)
{
    struct ckpt_index x = {0};
    char *dir;
    drop(copy);
    seconds[DD_READ][r] = run_dd(copy, "/dev/null", "");
    drop(shard);
    double start = clock_seconds();
    need(ckpt_find(comm, run, &dir));
    need(ckpt_index_load(comm, &x, dir));
    need(ckpt_load(comm, &store, group, &x, dir));
    seconds[LOAD][r] = clock_lap(&start);
    ckpt_index_free(&x);
    free(dir);
}

/* The bytes of a snapshot, into memory that was touched before. */
static double copy_all(char *buffer)
{
    double start = clock_seconds();
    int64_t at = 0;
    for (int b = 0; b < store.model->n_buckets; b++)
        for (int k = MASTER; k < KINDS; k++) {
            const char *from = store.bucket[b].mem[k];
            int64_t bytes = from ? store.bucket[b].part * (int64_t)sizeof(float) : 0;
            for (int64_t done = 0, n; done < bytes; done += n, at += n) {
                int64_t room = BUFFER - at % BUFFER;
                n = bytes - done < room ? bytes - done : room;
                memcpy(buffer + at % BUFFER, from + done, (size_t)n);
            }
        }
    return clock_lap(&start);
}

static void rounds_of_async(int rounds, const struct ckpt_state *state, struct saver_how how)
{
    struct saver *s;
    struct saved saved;
    char *buffer = mem_new(BUFFER, 1);
    memset(buffer, 1, BUFFER);
    how.async = true;
    saver_open(&s, comm, &store, &how);
    for (int r = 0; r < rounds; r++) {
        seconds[MEMCPY][r] = copy_all(buffer);
        double start = clock_seconds();
        need(saver_begin(s, state));
        seconds[STALL][r] = seconds[BEGIN][r] = clock_lap(&start);
        while (saver_busy(s))
            usleep(1000);
        start = clock_seconds();
        need(saver_commit(s, &saved));
        seconds[STALL][r] += clock_lap(&start);
        seconds[BACKGROUND][r] = saved.seconds;
    }
    saver_close(s);
    free(buffer);
}

static int ascending(const void *a, const void *b)
{
    return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static double median(enum figure f, int rounds)
{
    qsort(seconds[f], (size_t)rounds, sizeof(double), ascending);
    return (seconds[f][rounds / 2] + seconds[f][(rounds - 1) / 2]) / 2;
}

static void report(double gb, int rounds)
{
    double m[FIGURES];
    for (int f = 0; f < FIGURES; f++) {
        m[f] = median(f, rounds);
        printf("%-24s %8.3f s  %6.2f GB/s   %.3f to %.3f\n", name[f], m[f], gb / m[f], seconds[f][0],
               seconds[f][rounds - 1]);
    }
    printf("%.2f GB, %d rounds: save %.2f of dd, load %.2f of dd, a step waits %.2f x memcpy\n", gb, rounds,
           m[DD_WRITE] / m[SAVE], m[DD_READ] / m[LOAD], m[STALL] / m[MEMCPY]);
}

int main(int argc, char **argv)
{
    double gb = argc > 1 ? atof(argv[1]) : 0.5;
    int rounds = argc > 3 ? atoi(argv[3]) : 5;
    const struct dev_options options = {0};
    struct config c = shape(gb);
    struct model m;
    char deck[] = "run: {steps: 1}";
    run = argc > 2 ? argv[2] : ".";
    rounds = rounds < 1 ? 1 : rounds > ROUNDS_MOST ? ROUNDS_MOST : rounds;
    need(comm_open(&comm));
    need(dev_open(&dev, "cpu", 0, &options));
    log_open(true, true);
    model_open(&m, &c, &layout_alone);
    need(store_open(&store, &m, &layout_alone, 0, dev, true));
    need(groups_open(group, comm, dev, &layout_alone));
    fill();
    const struct ckpt_state state = {.step = 1, .samples = 1, .tokens = 1, .deck = deck};
    const struct saver_how how = {.run_dir = run, .threads = dev_threads(dev)};
    shard = mem_format("%s/ckpt/step_00000001/shard_0000.h5", run);
    copy = mem_format("%s/dd.bin", run);
    for (int r = 0; r < rounds; r++) {
        round_of_save(r, &state, &how);
        round_of_load(r);
    }
    rounds_of_async(rounds, &state, how);
    forget_saved();
    unlink(copy);
    report(12e-9 * (double)config_parameters(&c), rounds);
    groups_close(group);
    store_close(&store);
    model_close(&m);
    dev_close(dev);
    comm_close(comm);
    free(shard);
    free(copy);
    return 0;
}
