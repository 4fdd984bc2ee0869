/* The CPU device itself: threads, memory, ceiling, and its table of kernels. */
#include "device/cpu/cpu.h"
#include "base/denormals.h"
#include "base/host.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "device/cpu/wide.h"
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The instruction set of our kernels. The processor may have a newer one. */
static const char *instruction_set(void)
{
#ifdef KERNEL_CLONES
    if (__builtin_cpu_supports("x86-64-v4"))
        return "AVX-512";
    if (__builtin_cpu_supports("x86-64-v3"))
        return "AVX2";
#endif
#if defined __AVX512F__
    return "AVX-512";
#elif defined __AVX2__
    return "AVX2";
#elif defined __AVX__
    return "AVX";
#elif defined __SSE2__
    return "SSE2";
#elif defined __ARM_FEATURE_SVE
    return "SVE";
#elif defined __ARM_NEON
    return "NEON";
#else
    return "scalar";
#endif
}

/* The CPU device's own state: scratch of kernels, and buffers for operands in fp32. */
struct cpu {
    struct buffer {
        void *at;
        int64_t bytes;
    } buffer[CPU_WIDE + 1];
};

/* Check this thread's stack, which is that of the process, and those of OpenMP's threads. */
static status check_stacks(void)
{
    int64_t least = INT64_MAX;
#pragma omp parallel reduction(min : least)
    least = omp_get_thread_num() > 0 ? host_stack_bytes() : INT64_MAX;
    return host_check_stack(least, "OpenMP's threads", "unset OMP_STACKSIZE, or set it to 8M");
}

/* oneDNN makes its kernels in the first call. Here it counts as memory that is used before the first step. */
static void make_kernels(void)
{
    enum { N = 64 };
    float *x = mem_new(3 * N * N, sizeof *x);
    for (int how = 0; how < 4; how++)
        cpu_sgemm(how & 1, how & 2, N, N, N, x, N, x + N * N, N, 0, x + 2 * N * N, N);
    free(x);
}

static status cpu_open(struct dev *dev, int node_local_rank)
{
    (void)node_local_rank; /* not needed, because the launcher binds ranks to cores */
    if (dev->threads > 0)
        omp_set_num_threads(dev->threads);
    dev->threads = omp_get_max_threads();
    /* First in this thread: threads of a later, larger team inherit the mode from it, and LLVM's OpenMP sets
     * it in the whole team at every region. */
    denormals_flush();
#pragma omp parallel
    denormals_flush();
    char cores[48], threads[48];
    snprintf(dev->about, sizeof dev->about, "%s, %s kernels, %s, GEMM by %s",
             text_n(cores, omp_get_num_procs(), "core"), instruction_set(),
             text_n(threads, dev->threads, "thread"), dev_cpu_library());
    TRY(check_stacks());
    make_kernels();
    dev->own = mem_new(1, sizeof(struct cpu));
    return OK;
}

static void cpu_close(struct dev *dev)
{
    struct cpu *cpu = dev->own;
    for (int i = 0; i <= CPU_WIDE; i++)
        mem_unmap(cpu->buffer[i].at, cpu->buffer[i].bytes);
    free(cpu);
}

/* The system always gives zeros. */
static status cpu_alloc(struct dev *dev, void **out, int64_t bytes, enum dev_fresh fresh)
{
    char want[32], have[32];
    (void)dev, (void)fresh;
    *out = mem_map(bytes);
    if (!*out)
        return fail(E_RESOURCE,
                    "no memory for %s (%s are free here); use more nodes or a smaller micro-batch",
                    text_bytes(want, (double)bytes), text_bytes(have, (double)mem_free_bytes()));
    mem_touch(*out, bytes);
    return OK;
}

static void cpu_free(struct dev *dev, void *p, int64_t bytes)
{
    (void)dev;
    mem_unmap(p, bytes);
}

static void cpu_transfer(struct dev *dev, void *dst, const void *src, int64_t bytes)
{
    (void)dev;
    memcpy(dst, src, (size_t)bytes);
}

/* Any memory counts as pinned on the CPU. */
static void *cpu_host_alloc(struct dev *dev, int64_t bytes)
{
    (void)dev;
    return mem_new(bytes, 1);
}

static void cpu_host_free(struct dev *dev, void *p)
{
    (void)dev;
    free(p);
}

/* Ops are done when they return. */
static void cpu_sync(struct dev *dev)
{
    (void)dev;
}

static void *grown(struct buffer *b, int64_t bytes)
{
    if (bytes > b->bytes) {
        mem_unmap(b->at, b->bytes);
        *b = (struct buffer){mem_map(bytes), bytes};
        if (!b->at)
            bug("no memory for %lld bytes of kernel scratch", (long long)bytes);
        mem_touch(b->at, bytes);
    }
    return b->at;
}

void *cpu_scratch(struct dev *dev, int64_t bytes)
{
    return grown(&((struct cpu *)dev->own)->buffer[CPU_WIDE], bytes);
}

void *cpu_wide(struct dev *dev, int slot, int64_t bytes)
{
    return grown(&((struct cpu *)dev->own)->buffer[slot], bytes);
}

static double cpu_ceiling(struct dev *dev, dtype type)
{
    enum { N = 1024, RUNS = 2 };
    view all = view_of(cpu_scratch(dev, 3 * N * N * dtype_size(type)), type, 1, 3 * N, N);
    view a = view_rows(all, 0, N), b = view_rows(all, N, N), c = view_rows(all, 2 * N, N);
    for (int64_t r = 0; r < 2 * N; r++) {
        float *row = wide_room(all, r, 0);
        for (int64_t i = 0; i < N; i++)
            row[i] = (float)((uint32_t)(r * N + i) * 2654435761u >> 8) * 0x1p-24f - 0.5f;
        wide_store(all, r, row);
    }
    cpu_gemm(dev, false, false, a, b, false, c); /* to warm the caches */
    double begin = omp_get_wtime();
    for (int i = 0; i < RUNS; i++)
        cpu_gemm(dev, false, false, a, b, false, c);
    return RUNS * 2e-9 * N * N * N / (omp_get_wtime() - begin);
}

/* The properties of the CPU, with the measurements behind them:
 * - Pitch: rows that lie a multiple of 512 B apart fall into few cache sets, so they get one cache line
 *   more. It raises GEMMs for weight gradients from 164 to 184 GFLOP/s on Zen 5 (rows of 12 KiB), and
 *   from 67, 116, 103 to 119, 124, 121 of 137 GFLOP/s on Zen 3 (rows of 16, 5.5, 2 KiB).
 * - Head: every chunk of logits reads the head's weights and adds to their gradient. Chunks of 80 rows
 *   instead of 256 make the head take a third longer.
 * - Experts: gate|up and activation of a block of rows should be in the last cache when the next op
 *   reads them. Smaller blocks pack the weights too often: forward reached 184, 210 and 215 of 230
 *   GFLOP/s with blocks of 512, 1024 and 4096 rows on a Zen 5 core (F = 1536). */
const struct dev_ops dev_cpu_ops = {
    .name = "cpu",
    .host_memory = true,
    .at_once = true,
    .align = 64,
    .pitch = {.every = 128, .more = 16},
    .head = {.bytes = 64 << 20, .least = 32, .most = 1024},
    .expert_rows = 1024,
    .reserves = {[OP_gemm] = true, [OP_attn_fwd] = true, [OP_attn_bwd] = true},
    .open = cpu_open,
    .close = cpu_close,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .upload = cpu_transfer,
    .download = cpu_transfer,
    .upload_async = cpu_transfer,
    .download_async = cpu_transfer,
    .host_alloc = cpu_host_alloc,
    .host_free = cpu_host_free,
    .sync = cpu_sync,
    .ceiling = cpu_ceiling,
    .copy = cpu_copy,
    .fill = cpu_fill,
    .add = cpu_add,
    .scale = cpu_scale,
    .gemm = cpu_gemm,
    .add_bias = cpu_add_bias,
    .colsum = cpu_colsum,
    .sum = cpu_sum,
    .sumsq = cpu_sumsq,
    .finite = cpu_finite,
    .sum_parts = cpu_sum_parts,
    .embed_fwd = cpu_embed_fwd,
    .embed_bwd = cpu_embed_bwd,
    .rmsnorm_fwd = cpu_rmsnorm_fwd,
    .rmsnorm_bwd = cpu_rmsnorm_bwd,
    .rope = cpu_rope,
    .attn_fwd = cpu_attn_fwd,
    .attn_bwd = cpu_attn_bwd,
    .attn_cached = cpu_attn_cached,
    .swiglu_fwd = cpu_swiglu_fwd,
    .swiglu_bwd = cpu_swiglu_bwd,
    .router_logits = cpu_router_logits,
    .router_choose = cpu_router_choose,
    .router_losses = cpu_router_losses,
    .router_margin = cpu_router_margin,
    .router_bwd = cpu_router_bwd,
    .jitter = cpu_jitter,
    .sigmoid_fwd = cpu_sigmoid_fwd,
    .sigmoid_bwd = cpu_sigmoid_bwd,
    .capacity = cpu_capacity,
    .expert_order = cpu_expert_order,
    .balance_bias = cpu_balance_bias,
    .balance_load = cpu_balance_load,
    .route_plan = cpu_route_plan,
    .gather_rows = cpu_gather_rows,
    .put_rows = cpu_put_rows,
    .combine = cpu_combine,
    .ce_stats = cpu_ce_stats,
    .ce_merge = cpu_ce_merge,
    .ce_grad = cpu_ce_grad,
    .clip = cpu_clip,
    .adamw = cpu_adamw,
    .expert_ffn_fwd = NULL, /* device/ffn.c and device/head.c compose them */
    .expert_ffn_bwd = NULL,
    .head_loss_fwd = NULL,
    .head_loss_bwd = NULL,
};
