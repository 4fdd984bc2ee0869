/* The CUDA device: which card, its memory, its streams, and its table of kernels. */
#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "device/cuda/host.h"

void cuda_must(cudaError_t error, const char *what)
{
    if (error != cudaSuccess)
        bug("the GPU failed: %s: %s", what, cudaGetErrorString(error));
}

/* ---- opening ---- */

enum { OLDEST = 80 }; /* compute capability times ten that kernels are built for */

static int version_of(cudaError_t (*ask)(int *))
{
    int version = 0;
    return ask(&version) == cudaSuccess ? version : 0;
}

static void describe(struct dev *dev, const struct cudaDeviceProp *p)
{
    const struct cuda *cuda = dev->own;
    char memory[32];
    int runs = version_of(cudaRuntimeGetVersion), drives = version_of(cudaDriverGetVersion);
    int lt = (int)cublasLtGetVersion();
    snprintf(dev->about, sizeof dev->about,
             "%.40s (sm_%d%d, %s, %d of %d), CUDA %d.%d, driver for %d.%d, cuBLASLt %d.%d.%d, %s", p->name,
             p->major, p->minor, text_bytes(memory, (double)p->totalGlobalMem), cuda->device + 1, cuda->count,
             runs / 1000, runs % 1000 / 10, drives / 1000, drives % 1000 / 10, lt / 10000, lt / 100 % 100,
             lt % 100, cuda_sdpa_open());
}

/* Ranks of a node take its cards in turn; more ranks than cards share them. */
static status choose_device(struct dev *dev, int node_local_rank)
{
    struct cuda *cuda = dev->own;
    struct cudaDeviceProp p;
    cudaError_t error = cudaGetDeviceCount(&cuda->count);
    if (error != cudaSuccess || cuda->count == 0)
        return fail(E_RESOURCE, "no GPU: %s; use a node with one, or device.type: cpu",
                    error == cudaSuccess ? "CUDA finds none" : cudaGetErrorString(error));
    cuda->device = node_local_rank % cuda->count;
    error = cudaSetDevice(cuda->device);
    if (error == cudaSuccess)
        error = cudaGetDeviceProperties(&p, cuda->device);
    if (error != cudaSuccess)
        return fail(E_RESOURCE, "GPU %d cannot be used: %s", cuda->device, cudaGetErrorString(error));
    if (p.major * 10 + p.minor < OLDEST)
        return fail(E_RESOURCE,
                    "GPU %d (%s) is of compute capability %d.%d; this program is built for %d.%d and newer",
                    cuda->device, p.name, p.major, p.minor, OLDEST / 10, OLDEST % 10);
    char why[256];
    if (!cuda_lt_load(why))
        return fail(E_RESOURCE, "cuBLASLt is missing: %s; name its folder in LD_LIBRARY_PATH", why);
    cuda->sms = p.multiProcessorCount;
    cuda->workspace_bytes = p.major >= 9 ? 32 << 20 : 4 << 20; /* as NVIDIA recommends */
    describe(dev, &p);
    return OK;
}

static void open_lanes(struct dev *dev)
{
    struct cuda *cuda = dev->own;
    for (int i = 0; i < LANES; i++) {
        CUDA(cudaStreamCreateWithFlags(&cuda->lane[i].stream, cudaStreamNonBlocking));
        CUDA(cudaEventCreateWithFlags(&cuda->lane[i].event, cudaEventDisableTiming));
    }
    for (int s = 0; s < STREAMS; s++)
        for (int i = 0; i < TICKETS; i++)
            CUDA(cudaEventCreateWithFlags(&cuda->ticket[s][i], cudaEventDisableTiming));
    for (int i = 0; i < SLOTS; i++) {
        CUDA(cudaMallocHost(&cuda->slot[i].at, SLOT_BYTES));
        CUDA(cudaEventCreateWithFlags(&cuda->slot[i].done, cudaEventDisableTiming));
    }
}

static status cuda_open(struct dev *dev, int node_local_rank)
{
    dev->own = mem_new(1, sizeof(struct cuda));
    status chosen = choose_device(dev, node_local_rank);
    if (chosen != OK) {
        free(dev->own);
        return chosen;
    }
    if (dev->threads > 0)
        omp_set_num_threads(dev->threads);
    dev->threads = omp_get_max_threads(); /* of the host */
    dev->count = cuda_of(dev)->count;
    open_lanes(dev);
    cuda_gemm_open(dev);
    return OK;
}

static void cuda_close(struct dev *dev)
{
    struct cuda *cuda = dev->own;
    cuda_sdpa_close();
    cuda_gemm_close(dev);
    for (int i = 0; i < SLOTS; i++) {
        CUDA(cudaEventDestroy(cuda->slot[i].done));
        CUDA(cudaFreeHost(cuda->slot[i].at));
    }
    for (int s = 0; s < STREAMS; s++)
        for (int i = 0; i < TICKETS; i++)
            CUDA(cudaEventDestroy(cuda->ticket[s][i]));
    for (int i = 0; i < LANES; i++) {
        CUDA(cudaEventDestroy(cuda->lane[i].event));
        CUDA(cudaStreamDestroy(cuda->lane[i].stream));
        CUDA(cudaFree(cuda->lane[i].scratch));
        CUDA(cudaFree(cuda->lane[i].workspace));
    }
    free(cuda);
}

/* ---- lanes ---- */

struct lane *cuda_lane(struct dev *dev)
{
    struct cuda *cuda = dev->own;
    return &cuda->lane[cuda->expert_lane > 0 ? STREAMS - 1 + cuda->expert_lane : (int)dev->at];
}

cudaStream_t cuda_stream(struct dev *dev)
{
    return cuda_lane(dev)->stream;
}

static void *cuda_handle(struct dev *dev)
{
    return cuda_stream(dev);
}

void *cuda_keep(struct dev *dev, const char *what, int64_t bytes)
{
    void *at;
    if (dev->ops->alloc(dev, &at, bytes, FRESH_ANY) != OK)
        bug("%s: %s", what, status_text());
    return at;
}

void *cuda_scratch(struct dev *dev, int64_t bytes)
{
    struct lane *lane = cuda_lane(dev);
    if (bytes > lane->scratch_bytes) {
        CUDA(cudaFree(lane->scratch)); /* waits for all that uses it */
        lane->scratch_bytes = bytes;
        lane->scratch = cuda_keep(dev, "the kernels' scratch", bytes);
    }
    return lane->scratch;
}

/* ---- memory ---- */

/* Of the kernels' fresh memory in a check mode: NaN in every type. */
enum { POISON = 0xff };

static status cuda_alloc(struct dev *dev, void **out, int64_t bytes, enum dev_fresh fresh)
{
    char want[32], have[32];
    size_t free = 0, total = 0;
    cudaError_t error = cudaMalloc(out, (size_t)bytes);
    if (error == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        (void)cudaMemGetInfo(&free, &total);
        return fail(E_RESOURCE,
                    "no memory for %s on the GPU (%s are free there); use more GPUs or a smaller micro-batch",
                    text_bytes(want, (double)bytes), text_bytes(have, (double)free));
    }
    CUDA(error);
    if (fresh == FRESH_ZERO || dev->check != CHECK_NONE) {
        struct lane *lane = cuda_lane(dev);
        CUDA(cudaMemsetAsync(*out, fresh == FRESH_ZERO ? 0 : POISON, (size_t)bytes, lane->stream));
        CUDA(cudaStreamSynchronize(lane->stream)); /* other streams may be the first to use it */
    }
    return OK;
}

static int64_t cuda_room(struct dev *dev)
{
    size_t free = 0, total = 0;
    (void)dev;
    CUDA(cudaMemGetInfo(&free, &total));
    return (int64_t)free;
}

static void cuda_free(struct dev *dev, void *p, int64_t bytes)
{
    (void)dev, (void)bytes;
    CUDA(cudaFree(p));
}

static void *cuda_host_alloc(struct dev *dev, int64_t bytes)
{
    void *p;
    (void)dev;
    CUDA(cudaMallocHost(&p, (size_t)bytes));
    return memset(p, 0, (size_t)bytes);
}

static void cuda_host_free(struct dev *dev, void *p)
{
    (void)dev;
    CUDA(cudaFreeHost(p));
}

/* ---- copies: of pinned memory directly, of any other through the slots ---- */

static void cuda_upload_async(struct dev *dev, void *dst, const void *src, int64_t bytes)
{
    CUDA(cudaMemcpyAsync(dst, src, (size_t)bytes, cudaMemcpyHostToDevice, cuda_stream(dev)));
}

static void cuda_download_async(struct dev *dev, void *dst, const void *src, int64_t bytes)
{
    CUDA(cudaMemcpyAsync(dst, src, (size_t)bytes, cudaMemcpyDeviceToHost, cuda_stream(dev)));
}

/** The next slot, when nothing uses it any more. */
static struct slot *take_slot(struct dev *dev)
{
    struct cuda *cuda = dev->own;
    struct slot *slot = &cuda->slot[cuda->next_slot++ % SLOTS];
    cuda_await(dev, slot->done);
    return slot;
}

static int64_t chunk(int64_t at, int64_t bytes)
{
    return bytes - at < SLOT_BYTES ? bytes - at : SLOT_BYTES;
}

/* Returns when the source was read. */
static void cuda_upload(struct dev *dev, void *dst, const void *src, int64_t bytes)
{
    for (int64_t at = 0; at < bytes; at += SLOT_BYTES) {
        struct slot *slot = take_slot(dev);
        memcpy(slot->at, (const char *)src + at, (size_t)chunk(at, bytes));
        cuda_upload_async(dev, (char *)dst + at, slot->at, chunk(at, bytes));
        CUDA(cudaEventRecord(slot->done, cuda_stream(dev)));
    }
}

/* One chunk comes while the one before is copied on. */
static void cuda_download(struct dev *dev, void *dst, const void *src, int64_t bytes)
{
    struct slot *before = NULL;
    for (int64_t at = 0; at < bytes + SLOT_BYTES; at += SLOT_BYTES) {
        struct slot *slot = NULL;
        if (at < bytes) {
            slot = take_slot(dev);
            cuda_download_async(dev, slot->at, (const char *)src + at, chunk(at, bytes));
            CUDA(cudaEventRecord(slot->done, cuda_stream(dev)));
        }
        if (before) {
            cuda_await(dev, before->done);
            memcpy((char *)dst + at - SLOT_BYTES, before->at, (size_t)chunk(at - SLOT_BYTES, bytes));
        }
        before = slot;
    }
}

/* ---- streams ---- */

bool cuda_await(struct dev *dev, cudaEvent_t event)
{
    enum { LOOK_EVERY = 1024 };
    cudaError_t error;
    int64_t asked = 0;
    while ((error = cudaEventQuery(event)) == cudaErrorNotReady)
        if (asked++ % LOOK_EVERY == 0) {
            dev_look(dev);
            sched_yield();
        }
    cuda_must(error, "waiting for the GPU");
    return asked > 0;
}

static cudaEvent_t event_of(struct dev *dev, ticket t)
{
    return cuda_of(dev)->ticket[t.stream][t.number % TICKETS];
}

static void cuda_mark(struct dev *dev, enum stream s, int64_t number)
{
    CUDA(cudaEventRecord(event_of(dev, (ticket){s, number}), cuda_of(dev)->lane[s].stream));
}

static void cuda_wait(struct dev *dev, enum stream s, ticket t)
{
    CUDA(cudaStreamWaitEvent(cuda_of(dev)->lane[s].stream, event_of(dev, t), 0));
}

static bool cuda_wait_host(struct dev *dev, ticket t)
{
    return cuda_await(dev, event_of(dev, t));
}

static void cuda_sync(struct dev *dev)
{
    for (int s = 0; s < STREAMS; s++) { /* expert lanes were joined */
        struct lane *lane = &cuda_of(dev)->lane[s];
        CUDA(cudaEventRecord(lane->event, lane->stream));
        cuda_await(dev, lane->event);
    }
}

/* ---- ceiling ---- */

/* Random numbers, because zeros need less power: a pattern of a million, again and again. */
static void fill_random(struct dev *dev, view v)
{
    enum { PATTERN = 1 << 20 };
    float *pattern = mem_new(PATTERN, sizeof *pattern);
    view wide = view_of(cuda_keep(dev, "a pattern", PATTERN * sizeof *pattern), F32, 1, 1, PATTERN);
    for (int64_t i = 0; i < PATTERN; i++)
        pattern[i] = (float)((uint32_t)i * 2654435761u >> 8) * 0x1p-24f - 0.5f;
    cuda_upload(dev, wide.data, pattern, PATTERN * (int64_t)sizeof *pattern);
    for (int64_t at = 0, n, size = view_size(v); at < size; at += n) {
        n = size - at < PATTERN ? size - at : PATTERN;
        cuda_copy(dev, view_cols(view_reshape(v, 1, 1, size), at, n), view_cols(wide, 0, n));
    }
    cuda_sync(dev);
    CUDA(cudaFree(wide.data));
    free(pattern);
}

static double time_products(struct dev *dev, view a, view b, view c, int runs)
{
    cudaEvent_t begin, end;
    float ms;
    CUDA(cudaEventCreateWithFlags(&begin, cudaEventDefault));
    CUDA(cudaEventCreateWithFlags(&end, cudaEventDefault));
    cuda_gemm(dev, false, true, a, b, false, c); /* chooses and warms */
    CUDA(cudaEventRecord(begin, cuda_stream(dev)));
    for (int i = 0; i < runs; i++)
        cuda_gemm(dev, false, true, a, b, false, c);
    CUDA(cudaEventRecord(end, cuda_stream(dev)));
    cuda_await(dev, end);
    CUDA(cudaEventElapsedTime(&ms, begin, end));
    CUDA(cudaEventDestroy(begin));
    CUDA(cudaEventDestroy(end));
    return 1e-3 * (double)ms / runs;
}

/* A product that fills the card: 8192^3, which takes an H100 about 1.5 ms in BF16. */
static double cuda_ceiling(struct dev *dev, dtype type)
{
    enum { RUNS = 8, LARGE = 8192, SMALL = 256, MANY_SMS = 64 };
    int64_t n = cuda_of(dev)->sms >= MANY_SMS ? LARGE : SMALL, bytes = n * n * dtype_size(type);
    char *at = cuda_keep(dev, "matrices to measure the ceiling", 3 * bytes);
    view a = view_of(at, type, 1, n, n), b = view_of(at + bytes, type, 1, n, n),
         c = view_of(at + 2 * bytes, type, 1, n, n);
    fill_random(dev, a);
    fill_random(dev, b);
    double seconds = time_products(dev, a, b, c, RUNS);
    CUDA(cudaFree(at));
    return 2e-9 * (double)n * (double)n * (double)n / seconds;
}

/* Blocks begin at 256 bytes, as cudaMalloc's do. Logits of a chunk: each chunk reads and writes the head's
 * gradient, 4 bytes a weight, so few chunks of many rows; 1 GiB is 4,096 rows of 128,256 in BF16. */
const struct dev_ops dev_cuda_ops = {
    .name = "cuda",
    .host_memory = false,
    .align = 256,
    .pitch = {.every = 1, .more = 0},
    .head = {.bytes = 1 << 30, .least = 4096, .most = 16384},
    .expert_rows = INT64_MAX,
    .open = cuda_open,
    .close = cuda_close,
    .alloc = cuda_alloc,
    .free = cuda_free,
    .room = cuda_room,
    .upload = cuda_upload,
    .download = cuda_download,
    .upload_async = cuda_upload_async,
    .download_async = cuda_download_async,
    .host_alloc = cuda_host_alloc,
    .host_free = cuda_host_free,
    .sync = cuda_sync,
    .mark = cuda_mark,
    .wait = cuda_wait,
    .wait_host = cuda_wait_host,
    .handle = cuda_handle,
    .ceiling = cuda_ceiling,
    .copy = cuda_copy,
    .fill = cuda_fill,
    .add = cuda_add,
    .scale = cuda_scale,
    .gemm = cuda_gemm,
    .add_bias = cuda_add_bias,
    .colsum = cuda_colsum,
    .sum = cuda_sum,
    .sumsq = cuda_sumsq,
    .finite = cuda_finite,
    .sum_parts = cuda_sum_parts,
    .embed_fwd = cuda_embed_fwd,
    .embed_bwd = cuda_embed_bwd,
    .rmsnorm_fwd = cuda_rmsnorm_fwd,
    .rmsnorm_bwd = cuda_rmsnorm_bwd,
    .rope = cuda_rope,
    .attn_fwd = cuda_attn_fwd,
    .attn_bwd = cuda_attn_bwd,
    .attn_cached = cuda_attn_cached,
    .swiglu_fwd = cuda_swiglu_fwd,
    .swiglu_bwd = cuda_swiglu_bwd,
    .router_logits = cuda_router_logits,
    .router_choose = cuda_router_choose,
    .router_losses = cuda_router_losses,
    .router_margin = cuda_router_margin,
    .router_bwd = cuda_router_bwd,
    .jitter = cuda_jitter,
    .sigmoid_fwd = cuda_sigmoid_fwd,
    .sigmoid_bwd = cuda_sigmoid_bwd,
    .capacity = cuda_capacity,
    .expert_order = cuda_expert_order,
    .balance_bias = cuda_balance_bias,
    .balance_load = cuda_balance_load,
    .route_plan = cuda_route_plan,
    .gather_rows = cuda_gather_rows,
    .put_rows = cuda_put_rows,
    .combine = cuda_combine,
    .ce_stats = cuda_ce_stats,
    .ce_merge = cuda_ce_merge,
    .ce_grad = cuda_ce_grad,
    .clip = cuda_clip,
    .adamw = cuda_adamw,
    .expert_ffn_fwd = cuda_expert_ffn_fwd,
    .expert_ffn_bwd = cuda_expert_ffn_bwd,
};
