/* Attention by cuDNN: plans by shape, made when a shape is first seen and kept. What cuDNN does not take, and
 * everything where it is not there, is left to attention.cu. */
#include "device/cuda/cuda.h"
#if defined __has_include && !defined CUDA_ON_CPU
#    if __has_include(<cudnn.h>)
#        define WITH_CUDNN 1
#    endif
#endif
#ifndef WITH_CUDNN

const char *cuda_sdpa_open(void)
{
    return "built without cuDNN, so attention is slow";
}

void cuda_sdpa_close(void)
{
}

bool cuda_sdpa_fwd(struct dev *dev, struct attn_shape a, view o, view lse, view q, view k, view v)
{
    (void)dev, (void)a, (void)o, (void)lse, (void)q, (void)k, (void)v;
    return false;
}

bool cuda_sdpa_bwd(struct dev *dev, struct attn_shape a, view dq, view dk, view dv, view d_o, view o,
                   view lse, view q, view k, view v)
{
    (void)dev, (void)a, (void)dq, (void)dk, (void)dv, (void)d_o, (void)o, (void)lse, (void)q, (void)k,
        (void)v;
    return false;
}

#else
#    include <math.h>
#    include <stdio.h>
#    include <stdlib.h>
#    include <string.h>
#    include "base/log.h"
#    include "base/mem.h"
#    include "device/cuda/sdpa.h"

struct plan {
    struct sdpa of;
    cudnnBackendDescriptor_t plan; /* NULL: cuDNN does not take it */
    int64_t workspace;
    struct plan *next;
};

static struct {
    const struct cudnn *cudnn; /* NULL: none */
    cudnnHandle_t handle;
    struct plan *plans;
} sdpa;

const char *cuda_sdpa_open(void)
{
    static char text[320];
    char why[256];
    sdpa.cudnn = cudnn_open(why);
    if (sdpa.cudnn && sdpa.cudnn->Create(&sdpa.handle)) {
        snprintf(why, sizeof why, "cuDNN does not start on this device");
        sdpa.cudnn = NULL;
    }
    if (!sdpa.cudnn)
        snprintf(text, sizeof text, "%s, so attention is slow", why);
    else {
        size_t v = sdpa.cudnn->GetVersion();
        snprintf(text, sizeof text, "attention by cuDNN %zu.%zu.%zu", v / 10000, v / 100 % 100, v % 100);
    }
    return text;
}

void cuda_sdpa_close(void)
{
    while (sdpa.plans) {
        struct plan *p = sdpa.plans;
        sdpa.plans = p->next;
        if (p->plan)
            sdpa.cudnn->BackendDestroyDescriptor(p->plan);
        free(p);
    }
    if (sdpa.cudnn)
        sdpa.cudnn->Destroy(sdpa.handle);
    sdpa.cudnn = NULL;
}

/* ---- plans ---- */

static void make_plan(struct plan *p)
{
    struct sdpa_graph *g = mem_new(1, sizeof *g);
    sdpa_build(g, sdpa.cudnn, &p->of);
    p->plan = sdpa_plan(g, sdpa.handle, NULL, &p->workspace);
    if (!p->plan)
        log_warn(
            "cuDNN does not take%s attention%s of %lld x %lld tokens, %lld/%lld heads of %lld, so ours is "
            "used, which is slow: %s",
            p->of.bounded ? " masked" : "", p->of.backward ? " backward" : "", (long long)p->of.sequences,
            (long long)p->of.seq, (long long)p->of.heads, (long long)p->of.kv_heads,
            (long long)p->of.head_dim, g->why);
    sdpa_forget(g);
    free(g);
}

static const struct plan *plan_for(const struct sdpa *want)
{
    struct plan *p = sdpa.plans;
    while (p && memcmp(&p->of, want, sizeof *want) != 0)
        p = p->next;
    if (p)
        return p;
    p = mem_new(1, sizeof *p);
    p->of = *want;
    p->next = sdpa.plans;
    sdpa.plans = p;
    make_plan(p);
    return p;
}

/* ---- calls ---- */

/* BF16 rows at 16 bytes; lse at 4. */
static bool takes(view v)
{
    return v.type == F32 || (v.type == BF16 && (uintptr_t)v.data % 16 == 0 && v.ld % 8 == 0);
}

/* One call: what stands behind each number, NULL where nothing does. */
struct call {
    struct sdpa of;
    void *at[SDPA_TENSORS];
};

/* False if it is none for cuDNN. */
static bool put(struct call *c, enum sdpa_tensor t, view v)
{
    c->at[t] = v.data;
    c->of.ld[t] = v.ld;
    return takes(v) && (t == SDPA_LSE) == (v.type == F32);
}

static void start(struct call *c, struct attn_shape a, int64_t tokens)
{
    memset(c, 0, sizeof *c); /* gaps too: plans are compared by bytes */
    c->of.sequences = tokens / a.seq;
    c->of.seq = a.seq;
    c->of.heads = a.heads;
    c->of.kv_heads = a.kv_heads;
    c->of.head_dim = a.head_dim;
    c->of.bounded = !view_is_none(a.first);
    c->at[SDPA_FIRST] = a.first.data;
}

static void must(cudnnStatus_t s, const char *what)
{
    char text[512] = "";
    if (s == CUDNN_STATUS_SUCCESS)
        return;
    sdpa.cudnn->GetLastErrorString(text, sizeof text);
    bug("cuDNN: %s: %s: %s", what, sdpa.cudnn->GetErrorString(s), text);
}

static void run(struct dev *dev, const struct call *c, const struct plan *p, void *workspace)
{
    const struct cudnn *cudnn = sdpa.cudnn;
    cudnnBackendDescriptor_t pack;
    int64_t number[SDPA_TENSORS], n = 0;
    void *pointer[SDPA_TENSORS];
    for (int64_t t = 1; t < SDPA_TENSORS; t++)
        if (c->at[t]) {
            number[n] = t;
            pointer[n++] = c->at[t];
        }
    must(cudnn->SetStream(sdpa.handle, cuda_stream(dev)), "stream");
    must(cudnn->BackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack), "variant pack");
    must(cudnn->BackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, number),
         "ids");
    must(cudnn->BackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n,
                                    pointer),
         "pointers");
    must(cudnn->BackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1,
                                    &workspace),
         "workspace");
    must(cudnn->BackendFinalize(pack), "variant pack");
    must(cudnn->BackendExecute(sdpa.handle, p->plan, pack), "execute");
    cudnn->BackendDestroyDescriptor(pack);
}

/* Scalars, scratch, and the call; false if there is no plan. */
static bool attend(struct dev *dev, struct call *c)
{
    const struct plan *p = plan_for(&c->of);
    int64_t rows = c->of.sequences * c->of.seq * c->of.heads;
    int64_t delta = (rows * 4 + 255) / 256 * 256, dq = c->of.deterministic ? 0 : rows * c->of.head_dim * 4;
    float scale = 1 / sqrtf((float)c->of.head_dim), one = 1;
    float masked = c->of.bounded ? SDPA_UNSEEN : -INFINITY;
    if (!p->plan)
        return false;
    char *room = cuda_scratch(dev, p->workspace + 256 + (c->of.backward ? delta + dq : 0));
    c->at[SDPA_SCALE] = &scale;
    c->at[SDPA_MASKED] = &masked;
    if (c->of.backward) {
        c->at[SDPA_ONE] = &one;
        c->at[SDPA_SCALE_BACK] = &scale;
        c->at[SDPA_DELTA] = room;
        c->at[SDPA_DQ32] = dq > 0 ? room + delta : NULL;
        if (dq > 0 && cudaMemsetAsync(room + delta, 0, (size_t)dq, cuda_stream(dev)) != cudaSuccess)
            bug("cuDNN: cannot clear the scratch of dq");
        room += delta + (dq + 255) / 256 * 256;
    }
    run(dev, c, p, room);
    return true;
}

bool cuda_sdpa_fwd(struct dev *dev, struct attn_shape a, view o, view lse, view q, view k, view v)
{
    struct call c;
    if (!sdpa.cudnn)
        return false;
    start(&c, a, q.n[1]);
    bool good = put(&c, SDPA_Q, q) && put(&c, SDPA_K, k) && put(&c, SDPA_V, v) && put(&c, SDPA_O, o) &&
                put(&c, SDPA_LSE, lse);
    return good && attend(dev, &c);
}

/* Where the order of sums must not differ from run to run, the graph that keeps one. */
bool cuda_sdpa_bwd(struct dev *dev, struct attn_shape a, view dq, view dk, view dv, view d_o, view o,
                   view lse, view q, view k, view v)
{
    struct call c;
    if (!sdpa.cudnn)
        return false;
    start(&c, a, q.n[1]);
    c.of.backward = true;
    c.of.deterministic = !dev_any_order(dev);
    bool good = put(&c, SDPA_Q, q) && put(&c, SDPA_K, k) && put(&c, SDPA_V, v) && put(&c, SDPA_O, o) &&
                put(&c, SDPA_LSE, lse) && put(&c, SDPA_D_O, d_o) && put(&c, SDPA_DQ, dq) &&
                put(&c, SDPA_DK, dk) && put(&c, SDPA_DV, dv);
    return good && attend(dev, &c);
}

#endif
