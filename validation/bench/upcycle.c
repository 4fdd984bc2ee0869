/* Time to upcycle on one rank, compared with the least that it can be: reading the same bytes from the page
 * cache, and setting every byte of the store once, to 0 and to 1 (machines write zeros faster than other
 * bytes). Prints medians over rounds that take turns, their ratios, and the memory that filling takes beside
 * the store. make validation/bench/upcycle && OMP_NUM_THREADS=2 validation/bench/upcycle DENSE_DIR [EXPERTS]
 * [ROUNDS] The store's pages are touched before, and the file is in the page cache. Both sides use the same
 * threads. */
#include <fcntl.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "model/store.h"
#include "weights/fill.h"
#include "weights/config_hf.h"

enum { ROUNDS_MOST = 99, CHUNK = 1 << 20 };

static void need(status s)
{
    if (s == OK)
        return;
    fprintf(stderr, "upcycle: %s\n", status_text());
    exit(s);
}

/* Read the file's bytes in blocks, dealt to the threads. */
static void read_all(int fd, int64_t bytes)
{
#pragma omp parallel
    {
        char *block = mem_new(CHUNK, 1);
#pragma omp for schedule(dynamic)
        for (int64_t at = 0; at < bytes; at += CHUNK)
            if (pread(fd, block, CHUNK, at) <= 0)
                bug("the file cannot be read");
        free(block);
    }
}

static void write_all(char *to, int value, int64_t bytes)
{
#pragma omp parallel
    {
        int64_t threads = omp_get_num_threads(), me = omp_get_thread_num();
        int64_t lo = bytes / threads * me, hi = me + 1 < threads ? lo + bytes / threads : bytes;
        memset(to + lo, value, (size_t)(hi - lo));
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, ascending);
    return (x[n / 2] + x[(n - 1) / 2]) / 2;
}

struct bench {
    struct comm *comm;
    struct dev *dev;
    struct model dense, target;
    struct fill_plan plan;
    struct store store;
    int fd;
};

static void bench_open(struct bench *b, const char *dir, int64_t experts)
{
    struct dev_options options = {.threads = omp_get_max_threads()};
    struct upcycle up = {.router_std = 0.02};
    struct grow none = {0};
    struct hf_config hf;
    struct config c;
    struct source *source;
    need(comm_open(&b->comm));
    need(dev_open(&b->dev, "cpu", 0, &options));
    need(hf_config_read(&hf, dir, NULL, 0));
    need(config_from_hf(&c, &hf));
    hf_config_free(&hf);
    model_open(&b->dense, &c, &layout_alone);
    c.moe = (struct moe){.experts = experts, .top_k = 2, .granularity = 1};
    for (int64_t l = 0; l < c.layers; l++)
        c.moe.layer[l] = true;
    model_open(&b->target, &c, &layout_alone);
    upcycle_scales(&c, &(struct decimal){.word = SCALE_AUTO}, &up);
    need(source_open_hf(&source, dir));
    need(plan_upcycle(&b->plan, &b->target, &b->dense, &source, &none, &up, 1));
    need(store_open(&b->store, &b->target, &layout_alone, 0, b->dev, false));
    char *path = mem_format("%s/model.safetensors", dir);
    b->fd = open(path, O_RDONLY | O_CLOEXEC);
    free(path);
    if (b->fd < 0)
        need(fail(E_DATA, "%s: there is no model.safetensors; a single file is needed", dir));
}

static void bench_close(struct bench *b)
{
    close(b->fd);
    store_close(&b->store);
    plan_free(&b->plan);
    model_close(&b->target);
    model_close(&b->dense);
    dev_close(b->dev);
    comm_close(b->comm);
}

static void bench_run(struct bench *b, int rounds)
{
    double fill[ROUNDS_MOST], least[2][ROUNDS_MOST], ratio[2][ROUNDS_MOST];
    int64_t bytes, before = mem_peak_rss();
    need(weights_fill(&b->store, b->comm, &b->plan, &bytes)); /* the file is in the page cache from here on */
    int64_t extra = mem_peak_rss() - before;
    for (int i = 0; i < rounds; i++) {
        double clock = clock_seconds();
        for (int value = 0; value < 2; value++) {
            read_all(b->fd, bytes);
            write_all(b->store.base, value, b->store.bytes);
            least[value][i] = clock_lap(&clock);
        }
        need(weights_fill(&b->store, b->comm, &b->plan, &bytes));
        fill[i] = clock_lap(&clock);
        for (int value = 0; value < 2; value++)
            ratio[value][i] = fill[i] / least[value][i];
    }
    printf(
        "upcycle %.4f s (%d threads, median of %d rounds; %.0f MB read, %.0f MB written, %.1f MB of memory "
        "beside the store)\n",
        median(fill, rounds), omp_get_max_threads(), rounds, (double)bytes * 1e-6,
        (double)b->store.bytes * 1e-6, (double)extra * 1e-6);
    for (int value = 0; value < 2; value++)
        printf("  read and memset to %d: %.4f s, ratio %.2f\n", value, median(least[value], rounds),
               median(ratio[value], rounds));
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    int rounds = argc > 3 ? atoi(argv[3]) : 9;
    if (argc < 2 || rounds < 1 || rounds > ROUNDS_MOST)
        need(fail(E_DECK, "usage: upcycle DENSE_DIR [EXPERTS] [ROUNDS]"));
    bench_open(&b, argv[1], argc > 2 ? atoi(argv[2]) : 4);
    bench_run(&b, rounds);
    bench_close(&b);
    return 0;
}
