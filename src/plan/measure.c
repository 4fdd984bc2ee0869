#include "plan/measure.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "comm/group.h"
#include "format/h5.h"

enum { FILE_BYTES = 64 << 20, MESSAGE_BYTES = 8 << 20, SMALL_CALLS = 200 };
static const double least_seconds = 0.25; /* of one measurement */

struct measure_ask measure_default(void)
{
    return (struct measure_ask){.hidden = 1024,
                                .width = 2816,
                                .heads = 16,
                                .kv_heads = 4,
                                .head_dim = 64,
                                .sequence = 512,
                                .tokens = 1024,
                                .type = F32,
                                .folder = "."};
}

struct measure_ask measure_of(const struct deck *d, const struct config *c)
{
    return (struct measure_ask){.hidden = c->hidden,
                                .width = config_moe_layers(c) ? config_expert_ffn(c) : c->ffn,
                                .heads = c->heads,
                                .kv_heads = c->kv_heads,
                                .head_dim = c->head_dim,
                                .sequence = d->data.sequence,
                                .tokens = d->batch.micro * d->data.sequence,
                                .type = d->device.precision,
                                .folder = "."};
}

/* ---- memory for it ---- */

struct bench {
    struct comm *comm;
    struct dev *dev;
    const struct measure_ask *ask;
    void *memory;
    int64_t bytes, used;
};

static view take(struct bench *b, dtype type, int64_t rows, int64_t columns)
{
    view v = view_of((char *)b->memory + b->used, type, 1, rows, columns);
    b->used += (view_size(v) * dtype_size(type) + 63) / 64 * 64;
    if (b->used > b->bytes)
        bug("measure: %lld bytes of %lld", (long long)b->used, (long long)b->bytes);
    return v;
}

/* Small numbers that no op makes infinite. */
static view filled(struct bench *b, dtype type, int64_t rows, int64_t columns)
{
    view v = take(b, type, rows, columns);
    dev_fill(b->dev, v, 0.01f);
    return v;
}

/* ---- timing: `calls` runs of work, on all ranks at once ---- */

typedef void work(struct bench *, const view *);

static double mean_over_ranks(struct comm *comm, double x)
{
    comm_sum_f64(comm, &x, 1);
    return x / comm_size(comm);
}

static double once(struct bench *b, work *run, const view *v, int64_t calls)
{
    comm_barrier(b->comm);
    double start = clock_seconds();
    for (int64_t i = 0; i < calls; i++)
        run(b, v);
    dev_sync(b->dev);
    return (clock_seconds() - start) / (double)calls;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seconds of a call: the lower quartile of some samples, for other work on the machine only adds to them. */
static double seconds_of(struct bench *b, work *run, const view *v)
{
    enum { SAMPLES = 8 };
    double sample[SAMPLES], first = (once(b, run, v, 1), once(b, run, v, 1));
    comm_max_f64(b->comm, &first, 1);
    int64_t calls = (int64_t)ceil(least_seconds / SAMPLES / fmax(first, 1e-7));
    for (int i = 0; i < SAMPLES; i++)
        sample[i] = once(b, run, v, calls);
    qsort(sample, SAMPLES, sizeof *sample, by_value);
    return mean_over_ranks(b->comm, sample[SAMPLES / 4]);
}

/* ---- products ---- */

/* v: x [r, H], w [2F, H], y [r, 2F], dw [2F, H] fp32 */
static void linear(struct bench *b, const view *v)
{
    dev_gemm(b->dev, false, true, v[0], v[1], false, v[2]);
    dev_gemm(b->dev, false, false, v[2], v[1], false, v[0]);
    dev_gemm(b->dev, true, false, v[2], v[0], false, v[3]);
    dev_fill(b->dev, v[0], 0.01f);
}

static void measure_products(struct bench *b, struct machine *m)
{
    const struct measure_ask *a = b->ask;
    int64_t most = a->tokens < 1024 ? a->tokens : 1024, before = b->used;
    for (int i = 0; i < MACHINE_RATES; i++) {
        int64_t rows = most >> (2 * (MACHINE_RATES - 1 - i)), n = 2 * a->width;
        rows = rows > 0 ? rows : 1;
        view v[] = {filled(b, a->type, rows, a->hidden), filled(b, a->type, n, a->hidden),
                    filled(b, a->type, rows, n), filled(b, F32, n, a->hidden)};
        double volume = (double)rows * (double)n * (double)a->hidden;
        m->sizes[i] = cbrt(volume);
        m->rates[i] = 6 * volume / seconds_of(b, linear, v);
        b->used = before;
    }
    double ceiling = dev_ceiling_sample(b->dev, a->type);
    m->gemm = m->peak = fmax(1e9 * mean_over_ranks(b->comm, ceiling), m->rates[MACHINE_RATES - 1]);
}

/* A library makes a 16-bit kernel for each number of rows at an expert, and keeps so many of them. */
static void make_kernels(struct bench *b)
{
    enum { KEPT = 128 };
    const struct measure_ask *a = b->ask;
    int64_t before = b->used;
    for (int64_t r = 1; r <= KEPT && a->type == BF16; r++) {
        view x = filled(b, a->type, r, a->hidden), w = filled(b, a->type, 2 * a->width, a->hidden);
        dev_gemm(b->dev, false, true, x, w, false, take(b, a->type, r, 2 * a->width));
        b->used = before;
    }
}

/* ---- attention ---- */

static struct attn_shape shape_of(const struct measure_ask *a)
{
    return (struct attn_shape){
        .seq = a->sequence, .heads = a->heads, .kv_heads = a->kv_heads, .head_dim = a->head_dim};
}

/* v: q, k, v, o, lse, d_o, dq, dk, dv */
static void attention_fwd(struct bench *b, const view *v)
{
    dev_attn_fwd(b->dev, shape_of(b->ask), v[3], v[4], v[0], v[1], v[2]);
}

static void attention_bwd(struct bench *b, const view *v)
{
    dev_attn_bwd(b->dev, shape_of(b->ask), v[6], v[7], v[8], v[5], v[3], v[4], v[0], v[1], v[2]);
}

static void measure_attention(struct bench *b, struct machine *m)
{
    const struct measure_ask *a = b->ask;
    int64_t t = a->tokens / a->sequence * a->sequence, q = a->heads * a->head_dim,
            kv = a->kv_heads * a->head_dim, before = b->used;
    view v[] = {filled(b, a->type, t, q), filled(b, a->type, t, kv),   filled(b, a->type, t, kv),
                filled(b, a->type, t, q), filled(b, F32, t, a->heads), filled(b, a->type, t, q),
                filled(b, a->type, t, q), filled(b, a->type, t, kv),   filled(b, a->type, t, kv)};
    double product = (double)t * (double)q * (double)(a->sequence + 1);
    m->attn_fwd = 2 * product / seconds_of(b, attention_fwd, v);
    m->attn_bwd = 5 * product / seconds_of(b, attention_bwd, v);
    b->used = before;
}

/* ---- elementwise ops ---- */

/* v: gate|up [r, 2F], act, d_act [r, F], x, y [r, H], rstd [r], w [H], dw [H], p, m, v, g [4 r, H], control
 * [2] */
static void elementwise(struct bench *b, const view *v)
{
    const view none = view_none();
    struct adamw hyper = {.lr = 1e-9f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .bias1 = 1, .bias2 = 1};
    dev_swiglu_fwd(b->dev, v[1], v[0], none);
    dev_swiglu_bwd(b->dev, v[0], v[1], none, v[2], v[0], none);
    dev_rmsnorm_fwd(b->dev, v[4], v[5], v[3], v[6], 1e-5f);
    dev_rmsnorm_bwd(b->dev, false, v[12], false, v[7], v[13], v[3], v[5], v[6]);
    dev_copy(b->dev, v[4], v[3]);
    dev_adamw(b->dev, hyper, v[8], v[9], v[10], v[11], none, v[14]);
    dev_fill(b->dev, v[0], 0.01f);
}

static double counted_bytes(struct dev *dev)
{
    struct dev_profile_row *row;
    double bytes = 0;
    for (int i = 0, n = dev_profile_rows(dev, BY_OP, &row); i < n; i++)
        bytes += row[i].bytes;
    free(row);
    return bytes;
}

static void tiny(struct bench *b, const view *v)
{
    for (int i = 0; i < SMALL_CALLS; i++)
        dev_fill(b->dev, v[0], 0);
}

static void measure_elementwise(struct bench *b, struct machine *m)
{
    const struct measure_ask *a = b->ask;
    int64_t r = a->tokens, h = a->hidden, f = a->width, before = b->used;
    view v[] = {filled(b, a->type, r, 2 * f), filled(b, a->type, r, f),     filled(b, a->type, r, f),
                filled(b, a->type, r, h),     filled(b, a->type, r, h),     filled(b, F32, 1, r),
                filled(b, F32, 1, h),         filled(b, F32, 1, h),         filled(b, F32, 1, 4 * r * h),
                filled(b, F32, 1, 4 * r * h), filled(b, F32, 1, 4 * r * h), filled(b, F32, 1, 4 * r * h),
                filled(b, a->type, r, h),     filled(b, F32, r, h),         filled(b, F32, 1, 2)};
    dev_profile(b->dev, true);
    elementwise(b, v);
    dev_profile(b->dev, false);
    double bytes = counted_bytes(b->dev);
    m->memory = bytes / seconds_of(b, elementwise, v);
    view one[] = {filled(b, F32, 1, 16)};
    m->gap = seconds_of(b, tiny, one) / SMALL_CALLS;
    b->used = before;
}

/* ---- messages ---- */

static struct group *messenger; /* of the world, while messages are timed */

/* v: the whole [n, part] */
static void gather(struct bench *b, const view *v)
{
    (void)b;
    group_all_gather(messenger, COMPUTE, v[0], view_rows(v[0], group_rank(messenger), 1));
}

static void exchange(struct bench *b, const view *v)
{
    int n = comm_size(b->comm);
    int64_t *rows = mem_new(n, sizeof *rows);
    for (int i = 0; i < n; i++)
        rows[i] = 1;
    group_all_to_all(messenger, COMPUTE, v[1], rows, v[0], rows);
    free(rows);
}

static void measure_messages(struct bench *b, struct machine *m)
{
    int64_t n = comm_size(b->comm), part = MESSAGE_BYTES / n / 64 * 16, before = b->used;
    view large[] = {filled(b, F32, n, part), filled(b, F32, n, part)};
    view small[] = {filled(b, F32, n, 16), filled(b, F32, n, 16)};
    double bytes = (double)(part * 4 * (n - 1)), tiny_seconds = seconds_of(b, gather, small);
    m->near_latency = m->far_latency = tiny_seconds / log2((double)n);
    m->coll = bytes / fmax(seconds_of(b, gather, large) - tiny_seconds, 1e-9);
    m->a2a = bytes / fmax(seconds_of(b, exchange, large) - tiny_seconds, 1e-9);
    m->network = fmin(m->coll, m->a2a);
    b->used = before;
}

static status time_messages(struct bench *b, struct machine *m)
{
    struct group *group[GROUPS];
    struct layout l;
    int n = comm_size(b->comm);
    if (n == 1)
        return OK;
    char *why = layout_make(&l, n, n, 1, 1, &(struct layout_needs){0});
    if (why)
        bug("measure: %s", why);
    TRY(groups_open(group, b->comm, b->dev, &l));
    messenger = group[G_WORLD];
    measure_messages(b, m);
    groups_close(group);
    return OK;
}

/* ---- a file ---- */

static status write_file(const char *path, double *seconds)
{
    char *data = mem_new(FILE_BYTES, 1);
    double start = clock_seconds();
    int fd = io_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    bool good = fd >= 0 && io_write_all(fd, data, FILE_BYTES, 0) && io_fsync(fd) == 0;
    int error = errno;
    if (fd >= 0)
        io_close(fd);
    *seconds = clock_seconds() - start;
    io_unlink(path);
    free(data);
    return good ? OK : fail(E_SPACE, "%s: cannot be written: %s", path, strerror(error));
}

/* HDF5 takes its memory when it is first used. */
static status use_hdf5(const struct bench *b)
{
    struct h5 *h;
    int64_t offset;
    char *path = mem_format("%s/coppice-measure.%d.h5.tmp", b->ask->folder, comm_rank(b->comm));
    status code = h5_create(&h, path);
    if (code == OK)
        code = h5_layout_f32(h, "group/data", 1024, &offset);
    if (code == OK)
        code = h5_close(h);
    io_unlink(path);
    free(path);
    return code;
}

/* Rank 0 of each node writes. */
static status time_file(struct bench *b, struct machine *m)
{
    double seconds = 0;
    char *path = mem_format("%s/coppice-measure.%d.tmp", b->ask->folder, comm_rank(b->comm));
    status code = comm_node_rank(b->comm) == 0 ? write_file(path, &seconds) : OK;
    free(path);
    TRY(comm_agree(b->comm, code));
    comm_max_f64(b->comm, &seconds, 1);
    m->file_rate = FILE_BYTES / seconds;
    return OK;
}

/* ---- the whole ---- */

static int64_t bytes_needed(const struct measure_ask *a, int64_t ranks)
{
    int64_t f = a->width, h = a->hidden, r = a->tokens < 1024 ? 1024 : a->tokens, q = a->heads * a->head_dim;
    int64_t products = 2 * f * h * 2 + r * (2 * f + h), wide = r * (4 * f + 24 * h),
            attention = 9 * r * (q + 64);
    int64_t most = products > wide ? products : wide;
    most = most > attention ? most : attention;
    return 4 * most + 4 * MESSAGE_BYTES + ranks * 4096 + (1 << 16);
}

static struct machine unknown_machine(struct comm *comm)
{
    struct machine m = {
        .hide = 0, .band = 0.10, .coll = 1e9, .a2a = 1e9, .network = 1e9, .near_latency = 1e-5};
    m.far_latency = m.near_latency;
    m.node = comm_node_size(comm);
    m.capacity = (double)mem_free_bytes() / comm_node_size(comm) + (double)mem_rss();
    return m;
}

/* The program, its libraries and their kernels. */
static double context_of(struct bench *b)
{
    const double first_uses = 10 << 20; /* of what training alone calls: JSON, logs, data, checkpoints */
    double most = (double)(mem_rss() - b->bytes);
    comm_max_f64(b->comm, &most, 1);
    return most + first_uses;
}

static status measure_all(struct bench *b, struct machine *m)
{
    measure_products(b, m);
    make_kernels(b);
    measure_attention(b, m);
    measure_elementwise(b, m);
    TRY(time_messages(b, m));
    TRY(time_file(b, m));
    TRY(comm_agree(b->comm, use_hdf5(b)));
    m->context = context_of(b);
    return OK;
}

status measure_machine(struct machine *m, struct comm *comm, struct dev *dev, const struct measure_ask *ask)
{
    struct bench b = {.comm = comm, .dev = dev, .ask = ask, .bytes = bytes_needed(ask, comm_size(comm))};
    *m = unknown_machine(comm);
    snprintf(m->name, sizeof m->name, "%.70s", dev_about(dev));
    TRY(comm_agree(comm, dev_alloc(dev, "measurements", &b.memory, b.bytes, FRESH_ANY)));
    status code = measure_all(&b, m);
    dev_free(dev, b.memory, b.bytes);
    return code;
}
