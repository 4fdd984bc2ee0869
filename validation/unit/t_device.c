/* The device facade: views, arena, region, dry and check modes, profile. */
#include "device/dev.h"
#include "tap.h"
#include <math.h>
#include <omp.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct dev *opened(enum dev_check check)
{
    struct dev *dev;
    struct dev_options options = {.threads = 2, .check = check};
    if (dev_open(&dev, "cpu", 0, &options) != OK)
        exit(99);
    return dev;
}

/* ---- deaths: each in a child, before this process starts threads ---- */
static void wrong_shape(void)
{
    float a[4] = {0}, c[8];
    view av = view_of(a, F32, 1, 2, 2), cv = view_of(c, F32, 1, 2, 4);
    dev_gemm(opened(CHECK_NONE), false, false, av, av, false, cv);
}

static void wrong_type(void)
{
    float a[4] = {0};
    dev_fill(opened(CHECK_NONE), view_of(a, I32, 1, 2, 2), 1);
}

static void not_finite(void)
{
    float x[3] = {1, NAN, 2}, y[3] = {0};
    dev_add(opened(CHECK_VALUES), view_of(y, F32, 1, 1, 3), view_of(x, F32, 1, 1, 3));
}

static void fresh_memory(void)
{
    struct arena arena = {0};
    struct dev *dev = opened(CHECK_VALUES);
    if (arena_open(&arena, dev, 4096) == OK)
        dev_add(dev, arena_save(&arena, F32, 1, 1, 3), arena_save(&arena, F32, 1, 1, 3));
}

/** Writes one float before or behind a block of one end, then runs an innocent op. */
static void overwrite(bool scratch, int64_t at)
{
    struct arena arena = {0};
    struct dev *dev = opened(CHECK_VALUES);
    if (arena_open(&arena, dev, 4096) != OK)
        return;
    view (*take)(struct arena *, dtype, int64_t, int64_t, int64_t) = scratch ? arena_scratch : arena_save;
    take(&arena, F32, 1, 1, 5);
    view v = take(&arena, F32, 1, 1, 16);
    take(&arena, F32, 1, 1, 5);
    ((float *)v.data)[at] = 0;
    dev_fill(dev, v, 1);
}

static void save_overrun(void)
{
    overwrite(false, 16);
}

static void save_underrun(void)
{
    overwrite(false, -1);
}

static void scratch_overrun(void)
{
    overwrite(true, 16);
}

static void in_bounds(void)
{
    overwrite(true, 15);
    overwrite(false, 0);
    _exit(E_BUG); /* nothing was said before: the parent sees no message */
}

/* On any device: the sum lies in its memory, too. */
static double sum_of(struct dev *dev, view x)
{
    void *memory;
    double total = 0;
    if (dev_alloc(dev, "a sum", &memory, sizeof total, FRESH_ANY) != OK)
        exit(99);
    view at = view_of(memory, F64, 1, 1, 1);
    dev_upload(dev, at, &total);
    dev_sum(dev, at, x);
    dev_download(dev, &total, at);
    dev_free(dev, memory, sizeof total);
    return total;
}

static view block_of(struct dev *dev, int64_t floats)
{
    void *p;
    if (dev_alloc(dev, "the block", &p, floats * (int64_t)sizeof(float), FRESH_ANY) != OK)
        exit(99);
    return view_of(p, F32, 1, 1, floats);
}

static void fresh_block(void)
{
    struct dev *dev = opened(CHECK_VALUES);
    view v = block_of(dev, 16);
    dev_add(dev, v, v);
}

static void host_reads(void)
{
    view v = block_of(opened(CHECK_HIDDEN), 100);
    _exit(((volatile float *)v.data)[50] == 0);
}

static void host_writes_after_an_op(void)
{
    struct dev *dev = opened(CHECK_HIDDEN);
    view v = block_of(dev, 100);
    dev_fill(dev, v, 1);
    ((volatile float *)v.data)[0] = 2;
}

static void tell_place(const void *owner, int64_t at, char text[128])
{
    snprintf(text, 128, "row %lld of %s", (long long)at / 40, (const char *)owner);
}

static void host_reads_named(void)
{
    struct dev *dev = opened(CHECK_HIDDEN);
    view v = block_of(dev, 100);
    dev_describe(dev, v.data, tell_place, "embed");
    _exit(((volatile float *)v.data)[50] == 0);
}

static void op_behind_a_block(void)
{
    struct dev *dev = opened(CHECK_VALUES);
    view v = block_of(dev, 112);
    dev_fill(dev, view_of(v.data, F32, 1, 1, 128), 1);
}

/** Takes a region of 40 floats in room for 400, writes one float at `at`, then runs an innocent op. */
static void write_region(int64_t at)
{
    struct dev *dev = opened(CHECK_VALUES);
    struct region r = {.dev = dev};
    dev_fill(dev, region_take(&r, F32, 1, 100, 4), 1);
    view v = region_take(&r, F32, 1, 10, 4);
    ((float *)v.data)[at] = 0;
    dev_fill(dev, v, 1);
}

static void region_overrun(void)
{
    write_region(48); /* behind 40 floats in whole cache lines */
}

static void region_underrun(void)
{
    write_region(-1);
}

static void region_stale(void)
{
    struct dev *dev = opened(CHECK_VALUES);
    struct region r = {.dev = dev};
    float zero[40] = {0};
    dev_fill(dev, region_take(&r, F32, 1, 1, 40), 1);
    dev_add(dev, view_of(zero, F32, 1, 1, 40), region_take(&r, F32, 1, 1, 40)); /* what was there is lost */
}

static void region_beyond(void)
{
    struct region r = {.dev = opened(CHECK_NONE)};
    region_take(&r, F32, 1, 10, 4);
    region_view(&r, F32, 1, 13, 4);
}

static void poisoned(void)
{
    struct dev *dev = opened(CHECK_VALUES);
    view x = block_of(dev, 8), y = block_of(dev, 8);
    dev_fill(dev, x, 1);
    dev_poison(dev, x.data, 32);
    dev_copy(dev, y, x);
}

static void overflow(void)
{
    struct arena arena = {0};
    if (arena_open(&arena, opened(CHECK_NONE), 4096) == OK) {
        arena_save(&arena, F32, 1, 1, 600);
        arena_scratch(&arena, F32, 1, 1, 500);
    }
}

static void off_the_end(void)
{
    float a[4];
    view_rows(view_of(a, F32, 1, 2, 2), 1, 2);
}

/** Run it in a child: it must end with E_BUG, saying `text` (NULL: saying nothing at all). */
/* An upload that nobody waits for: what it should bring is not there yet. */
static void no_wait(void)
{
    struct dev *dev = opened(CHECK_HIDDEN);
    view x = block_of(dev, 16), y = block_of(dev, 16);
    dev_upload_async(dev, x, dev_host_alloc(dev, 64));
    dev_copy(dev, y, x);
}

static void dies(void (*run)(void), const char *name, const char *text)
{
    int ends[2], ended;
    char said[4096] = "";
    size_t got = 0;
    if (pipe(ends) != 0)
        exit(99);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 2);
        run();
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t n; got < sizeof said - 1 && (n = read(ends[0], said + got, sizeof said - 1 - got)) > 0;)
        got += (size_t)n;
    close(ends[0]);
    waitpid(child, &ended, 0);
    bool dead = WIFEXITED(ended) && WEXITSTATUS(ended) == E_BUG;
    ok(dead && (text ? strstr(said, text) != NULL : said[0] == '\0'), "%s: %s", name,
       text ? text : "nothing to say");
}

static void test_deaths(void)
{
    dies(wrong_shape, "wrong shape", "gemm: b is F32 [1, 2, 2] ld 2, wanted F32 [1, 2, 4]");
    dies(wrong_type, "compute op on integers", "fill: needs is_float(dst)");
    dies(not_finite, "check mode, NaN", "add: output 0, F32 [1, 1, 3] ld 3, has a NaN or an infinity");
    dies(fresh_memory, "check mode, use of fresh memory", "has a NaN");
    dies(fresh_block, "check mode, use of a fresh block", "add: output 0, F32 [1, 1, 16] ld 16, has a NaN");
    dies(host_reads, "hidden mode, the host reads",
         "touches device memory outside ops, copies and links: byte 200 of the block, after op none");
    dies(host_writes_after_an_op, "hidden mode, the host writes", "byte 0 of the block, after op fill");
    dies(host_reads_named, "hidden mode, what lies there",
         "byte 200 of the block, row 5 of embed, after op none");
    dies(op_behind_a_block, "check mode, an op behind a block",
         "fill: touches byte 448 of the block, which has 448");
    dies(save_overrun, "check mode, write behind a saved block",
         "fill: a guard of the arena was overwritten");
    dies(save_underrun, "check mode, write before a saved block", "guard of the arena");
    dies(scratch_overrun, "check mode, write behind a scratch block", "guard of the arena");
    dies(in_bounds, "check mode, write in bounds", NULL);
    dies(region_overrun, "check mode, write behind a region", "fill: a guard of a region was overwritten");
    dies(region_underrun, "check mode, write before a region", "guard of a region");
    dies(region_stale, "check mode, what a region held before",
         "add: output 0, F32 [1, 1, 40] ld 40, has a NaN");
    dies(region_beyond, "more of a region than was taken", "region_view: 256 bytes where 192 were taken");
    dies(no_wait, "hidden mode, an upload that nobody waits for",
         "copy: output 0, F32 [1, 1, 16] ld 16, has a NaN");
    dies(poisoned, "check mode, memory that was given up", "has a NaN");
    dies(overflow, "arena overflow", "do not fit into 4096");
    dies(off_the_end, "rows beyond the end", "view_rows: 1 + 2 does not lie in the matrix F32 [1, 2, 2]");
}

/* ---- views ---- */
static void test_views(void)
{
    float a[2 * 3 * 4];
    view s = view_of(a, F32, 2, 3, 4), m = view_at(s, 1);
    ok(m.data == a + 12 && m.n[0] == 1 && m.n[1] == 3 && m.n[2] == 4, "matrix of a stack");
    view part = view_cols(view_rows(m, 1, 2), 2, 2);
    ok(part.data == a + 12 + 4 + 2 && part.ld == 4 && view_size(part) == 4, "rows and columns");
    view flat = view_reshape(s, 1, 1, 24);
    ok(flat.data == a && flat.ld == 24, "reshape");
    ok(view_is_none(view_none()) && !view_is_none(view_of(NULL, F32, 1, 0, 4)),
       "none is not an empty matrix");
    ok(view_cols(view_of(NULL, F32, 1, 3, 4), 2, 2).data == NULL, "a view without memory stays so");
    ok(dtype_size(F32) == 4 && dtype_size(BF16) == 2 && dtype_size(I32) == 4, "sizes of types");
}

/* ---- arena and region ---- */
static int64_t walk(struct arena *a, bool *aligned)
{
    *aligned = true;
    for (int layer = 0; layer < 3; layer++) {
        int64_t mark = arena_mark(a);
        view v[] = {arena_save(a, F32, 1, 7, 13), arena_scratch(a, BF16, 1, 1, 33),
                    arena_scratch(a, I32, 2, 3, 5), arena_save(a, F32, 1, 0, 4)};
        for (int i = 0; i < 4; i++)
            *aligned &= (uintptr_t)v[i].data % 64 == 0;
        arena_release(a, mark);
    }
    return a->peak;
}

static void test_arena(bool check)
{
    struct dev *dev = opened(check);
    struct arena measuring = {.dev = dev}, real = {0};
    bool aligned;
    int64_t need = walk(&measuring, &aligned);
    ok(measuring.base == NULL && need > 0, "check %d: measuring takes no memory", check);
    if (arena_open(&real, dev, need) != OK)
        exit(99);
    bool same = walk(&real, &aligned) == need;
    arena_reset(&real);
    same &= real.saved == 0 && real.scratch == 0 && walk(&real, &aligned) == need;
    ok(same && aligned, "check %d: a real arena of just that size holds it, aligned, twice", check);
    arena_reset(&real);
    view x = arena_save(&real, F32, 1, 1, 16), y = arena_scratch(&real, F32, 1, 1, 16);
    dev_fill(dev, x, 1);
    dev_fill(dev, y, 2);
    ok(sum_of(dev, x) == 16 && sum_of(dev, y) == 32, "check %d: the ends do not overlap", check);
    arena_close(&real);
    arena_close(&real);
    ok(real.base == NULL, "check %d: closing twice is harmless", check);
    dev_close(dev);
}

static void test_region(void)
{
    struct dev *dev = opened(CHECK_NONE);
    struct region r = {.dev = dev};
    dev_set_dry(dev, true);
    ok(region_take(&r, F32, 1, 100, 4).data == NULL && r.bytes == 1600, "region: dry mode records");
    dev_set_dry(dev, false);
    void *first = region_take(&r, F32, 1, 10, 4).data;
    ok(first && r.bytes == 1600 && r.regrown == 0, "region: the first real use takes what was recorded");
    ok(region_take(&r, F32, 1, 100, 4).data == first && r.regrown == 0, "region: fits, does not move");
    view big = region_take(&r, F32, 1, 100000, 4);
    dev_fill(dev, big, 3);
    ok(r.regrown == 1 && sum_of(dev, big) == 1200000, "region: grows");
    region_close(&r);
    dev_close(dev);
}

/* ---- modes ---- */
static bool flushes(void)
{
    volatile float tiny = 1e-30f, product = tiny * 1e-10f;
    return product == 0;
}

static int threads_that_flush(int threads)
{
    int n = 0;
#pragma omp parallel num_threads(threads) reduction(+ : n)
    n += flushes();
    return n;
}

static void test_modes(void)
{
    struct dev *dev = opened(CHECK_NONE), *refused;
    struct dev_options options = {0};
    float x[4] = {1, 2, 3, 4}, y[4] = {0}, z[4];
    view xv = view_of(x, F32, 1, 2, 2), yv = view_of(y, F32, 1, 2, 2);
    ok(dev_open(&refused, "cuda", 0, &options) == E_RESOURCE && !refused, "refused: %s", status_text());
    ok(strcmp(dev_name(dev), "cpu") == 0 && dev_threads(dev) == 2, "%s", dev_about(dev));
    ok(threads_that_flush(2) == 2 && threads_that_flush(5) == 5,
       "denormals are flushed, also by later threads");
    dev_set_dry(dev, true);
    dev_gemm(dev, false, false, xv, xv, false, yv);
    dev_gemm(dev, false, false, view_of(NULL, F32, 1, 2, 2), xv, false, yv);
    ok(y[0] == 0 && y[3] == 0 && dev_flops(dev) == 0 && sum_of(dev, xv) == 0, "dry mode does nothing");
    dev_set_dry(dev, false);
    dev_profile(dev, true);
    dev_gemm(dev, false, false, xv, xv, false, yv);
    dev_gemm(dev, false, true, xv, xv, true, yv);
    dev_add(dev, yv, xv);
    struct dev_profile_row *rows;
    int n = dev_profile_rows(dev, BY_OP, &rows);
    int at = strcmp(rows[0].op, "gemm") == 0 ? 0 : 1;
    ok(n == 2 && rows[0].seconds >= rows[1].seconds && rows[at].calls == 2 && rows[at].flops == 32 &&
           rows[at].bytes == 96 && dev_flops(dev) == 32,
       "profile: calls, FLOPs, bytes, sorted by time");
    free(rows);
    dev_upload(dev, yv, x);
    dev_download(dev, z, yv);
    ok(memcmp(x, z, sizeof x) == 0, "upload and download");
    for (dtype type = F32; type <= BF16; type++) {
        double rate = dev_ceiling_sample(dev, type);
        ok(rate > 1 && rate < 1e6, "ceiling sample of %s: %.0f GFLOP/s", type == F32 ? "fp32" : "bf16", rate);
    }
    dev_close(dev);
}

/* What an op, a transfer and the host each see of hidden memory, and how often the host waited. */
static void test_hidden(void)
{
    struct dev *dev = opened(CHECK_HIDDEN);
    view x = block_of(dev, 100), y = block_of(dev, 100);
    float host[100], first = 0;
    dev_fill(dev, x, 3);
    dev_copy(dev, y, x);
    int64_t before = dev_waits(dev);
    dev_download(dev, host, y);
    double sum = sum_of(dev, y);
    ok(host[0] == 3 && host[99] == 3 && sum == 300, "hidden mode: ops and transfers work");
    ok(dev_waits(dev) - before == 2, "a download and a sum are two waits of the host");
    ok(!dev_host_memory(dev), "hidden mode: the memory is not the host's");
    dev_show(dev);
    first = ((float *)x.data)[0];
    dev_hide(dev);
    ok(first == 3, "hidden mode: shown to a link");
    dev_free(dev, x.data, 400);
    dev_free(dev, y.data, 400);
    dev_close(dev);
}

/* Waits in a chain: an upload, COMM that waits for it, COMPUTE that waits for COMM; a source that is written
 * again too early; a download that is there when the host has waited. Late in the hidden mode, at once
 * elsewhere. */
struct chain {
    struct dev *dev;
    view to, from;
};

static void run_chain(void *with)
{
    struct chain *c = with;
    dev_copy(c->dev, c->to, c->from);
}

static void test_streams(enum dev_check mode)
{
    bool late = mode == CHECK_HIDDEN;
    struct dev *dev = opened(mode);
    view x = block_of(dev, 4), y = block_of(dev, 4), z = block_of(dev, 4);
    float *source = dev_host_alloc(dev, 16), *target = dev_host_alloc(dev, 16);
    struct chain chain = {dev, y, x};
    source[0] = 7;
    ticket sent = dev_upload_async(dev, x, source);
    source[1] = 8; /* too early */
    dev_wait(dev, COMM, sent);
    dev_queue(dev, COMM, run_chain, &chain);
    ticket moved = dev_mark(dev, COMM);
    dev_queue(dev, COMM, run_chain, &(struct chain){dev, z, y});
    dev_wait(dev, COMPUTE, moved);
    dev_add(dev, y, y);
    ok(sum_of(dev, y) == (late ? 30 : 14), "%s: work that was waited for is done, in order",
       late ? "late" : "at once");
    int64_t before = dev_waits(dev);
    ticket told = dev_download_async(dev, target, y);
    bool there = target[0] == 14;
    dev_wait_host(dev, told);
    ok(there == !late && target[0] == 14, "a download is there when the host has waited");
    dev_wait_host(dev, told);
    ok(dev_waits(dev) - before == late, "a ticket that is done is no wait");
    dev_sync(dev);
    ok(sum_of(dev, z) == (late ? 30 : 7), "dev_sync waits for all streams");
    dev_host_free(dev, source);
    dev_host_free(dev, target);
    dev_free(dev, x.data, 16);
    dev_free(dev, y.data, 16);
    dev_free(dev, z.data, 16);
    dev_close(dev);
}

int main(void)
{
    test_deaths();
    test_views();
    test_arena(false);
    test_arena(true);
    test_region();
    test_modes();
    test_hidden();
    test_streams(CHECK_NONE);
    test_streams(CHECK_HIDDEN);
    return tap_done();
}
