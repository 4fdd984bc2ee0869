/* Products by cuBLASLt. It is column-major: a row-major matrix is the transpose of what it sees, so
 * c = op(a) op(b) is asked for as c^T = op(b)^T op(a)^T, with the operands exchanged and no copy. Sums are
 * fp32 whatever the types, without atomics and without partial sums in bf16. What the library does not take
 * (a BF16 and an F32 operand, F32 into BF16) goes through fp32 copies; only small products do. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "device/cuda/host.h"

/* ---- which algorithm: chosen once for a class of shapes ---- */

enum { PLANS = 1024, CLASS = 128 };

/* What the library's choice depends on. */
struct plan_key {
    int64_t m, n, k; /* rounded up to CLASS */
    int32_t ta, tb, in, out, acc, aligned[3];
};
struct plan_size {
    int64_t m, n, k, ld[3];
};
struct plan {
    struct plan_key key;
    struct plan_size size; /* that it was last checked for */
    cublasLtMatmulAlgo_t algo;
    size_t workspace; /* bytes, for that size */
    bool known;
};

/* A product as the library sees it: d [m, n] = a [m, k] b [k, n], column-major. */
struct product {
    struct plan_key key;
    struct plan_size size;
    cublasLtMatmulDesc_t what;
    cublasLtMatrixLayout_t a, b, d;
};

static void lt_must(cublasStatus_t s, const char *what, const struct product *p)
{
    if (s != CUBLAS_STATUS_SUCCESS)
        bug("cuBLASLt: %s of m %lld n %lld k %lld, leading dimensions %lld %lld %lld: %s", what,
            (long long)p->size.m, (long long)p->size.n, (long long)p->size.k, (long long)p->size.ld[0],
            (long long)p->size.ld[1], (long long)p->size.ld[2], cublasLtGetStatusString(s));
}

static int64_t class_of(int64_t n)
{
    return (n + CLASS - 1) / CLASS * CLASS;
}

/** Bytes, at most 16, that its address and its rows are multiples of. */
static int32_t alignment(view v, int64_t ld)
{
    uint64_t both = (uint64_t)(uintptr_t)v.data | (uint64_t)(ld * dtype_size(v.type)) | 16;
    return (int32_t)(both & -both);
}

static cudaDataType_t lt_type(dtype type)
{
    return type == F32 ? CUDA_R_32F : CUDA_R_16BF;
}

/* A single row has no leading dimension of its own. */
static int64_t ld_of(view v)
{
    return v.ld < v.n[2] ? v.n[2] : v.ld;
}

static struct product product_of(bool ta, bool tb, view a, view b, bool acc, view c)
{
    int64_t k = ta ? a.n[1] : a.n[2];
    struct plan_size size = {.m = c.n[2], .n = c.n[1], .k = k, .ld = {ld_of(b), ld_of(a), ld_of(c)}};
    struct product p = {.size = size};
    p.key = (struct plan_key){
        .m = class_of(size.m),
        .n = class_of(size.n),
        .k = class_of(size.k),
        .ta = tb,
        .tb = ta,
        .in = a.type,
        .out = c.type,
        .acc = acc,
        .aligned = {alignment(b, size.ld[0]), alignment(a, size.ld[1]), alignment(c, size.ld[2])}};
    return p;
}

static void describe(struct product *p, view a, view b, view c)
{
    int32_t ta = p->key.ta ? CUBLAS_OP_T : CUBLAS_OP_N, tb = p->key.tb ? CUBLAS_OP_T : CUBLAS_OP_N;
    lt_must(cublasLtMatmulDescCreate(&p->what, CUBLAS_COMPUTE_32F, CUDA_R_32F), "description", p);
    lt_must(cublasLtMatmulDescSetAttribute(p->what, CUBLASLT_MATMUL_DESC_TRANSA, &ta, sizeof ta),
            "description", p);
    lt_must(cublasLtMatmulDescSetAttribute(p->what, CUBLASLT_MATMUL_DESC_TRANSB, &tb, sizeof tb),
            "description", p);
    lt_must(
        cublasLtMatrixLayoutCreate(&p->a, lt_type(b.type), (uint64_t)b.n[2], (uint64_t)b.n[1], p->size.ld[0]),
        "layout", p);
    lt_must(
        cublasLtMatrixLayoutCreate(&p->b, lt_type(a.type), (uint64_t)a.n[2], (uint64_t)a.n[1], p->size.ld[1]),
        "layout", p);
    lt_must(
        cublasLtMatrixLayoutCreate(&p->d, lt_type(c.type), (uint64_t)c.n[2], (uint64_t)c.n[1], p->size.ld[2]),
        "layout", p);
}

static void forget(struct product *p)
{
    lt_must(cublasLtMatrixLayoutDestroy(p->a), "end", p);
    lt_must(cublasLtMatrixLayoutDestroy(p->b), "end", p);
    lt_must(cublasLtMatrixLayoutDestroy(p->d), "end", p);
    lt_must(cublasLtMatmulDescDestroy(p->what), "end", p);
}

static cublasLtMatmulPreference_t preference(const struct cuda *cuda, const struct product *p)
{
    cublasLtMatmulPreference_t wanted;
    uint64_t bytes = (uint64_t)cuda->workspace_bytes;
    uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    const struct {
        cublasLtMatmulPreferenceAttributes_t which;
        int operand;
    } aligned[] = {{CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, 0},
                   {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, 1},
                   {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, 2},
                   {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, 2}};
    lt_must(cublasLtMatmulPreferenceCreate(&wanted), "preference", p);
    lt_must(cublasLtMatmulPreferenceSetAttribute(wanted, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes,
                                                 sizeof bytes),
            "preference", p);
    lt_must(cublasLtMatmulPreferenceSetAttribute(wanted, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes,
                                                 sizeof schemes),
            "preference", p);
    for (size_t i = 0; i < sizeof aligned / sizeof *aligned; i++) {
        uint32_t bytes_of = (uint32_t)p->key.aligned[aligned[i].operand];
        lt_must(cublasLtMatmulPreferenceSetAttribute(wanted, aligned[i].which, &bytes_of, sizeof bytes_of),
                "preference", p);
    }
    return wanted;
}

static void choose(const struct cuda *cuda, struct plan *plan, const struct product *p)
{
    cublasLtMatmulHeuristicResult_t best;
    cublasLtMatmulPreference_t wanted = preference(cuda, p);
    int found = 0;
    lt_must(
        cublasLtMatmulAlgoGetHeuristic(cuda->lt, p->what, p->a, p->b, p->d, p->d, wanted, 1, &best, &found),
        "choice", p);
    lt_must(found > 0 ? best.state : CUBLAS_STATUS_NOT_SUPPORTED, "choice", p);
    lt_must(cublasLtMatmulPreferenceDestroy(wanted), "preference", p);
    *plan = (struct plan){p->key, p->size, best.algo, best.workspaceSize, true};
}

/** May the algorithm of a class be used for this size, too? */
static bool still_good(const struct cuda *cuda, struct plan *plan, const struct product *p)
{
    cublasLtMatmulHeuristicResult_t r;
    if (!memcmp(&plan->size, &p->size, sizeof p->size))
        return true;
    if (cublasLtMatmulAlgoCheck(cuda->lt, p->what, p->a, p->b, p->d, p->d, &plan->algo, &r) !=
            CUBLAS_STATUS_SUCCESS ||
        r.state != CUBLAS_STATUS_SUCCESS || r.workspaceSize > (size_t)cuda->workspace_bytes)
        return false;
    plan->size = p->size;
    plan->workspace = r.workspaceSize;
    return true;
}

static uint64_t hash(const struct plan_key *key)
{
    const unsigned char *byte = (const unsigned char *)key;
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < sizeof *key; i++)
        h = (h ^ byte[i]) * 1099511628211u;
    return h;
}

/* A table without chains: a plan takes the place of another class's. */
static const struct plan *plan_for(const struct cuda *cuda, const struct product *p)
{
    struct plan *plan = &cuda->plans[hash(&p->key) % PLANS];
    bool same = plan->known && !memcmp(&plan->key, &p->key, sizeof p->key);
    if (!same || !still_good(cuda, plan, p))
        choose(cuda, plan, p);
    return plan;
}

/* ---- products ---- */

static void multiply(struct dev *dev, bool ta, bool tb, view a, view b, bool acc, view c)
{
    const float one = 1, add = acc ? 1 : 0;
    struct cuda *cuda = dev->own;
    struct lane *lane = cuda_lane(dev);
    struct product p = product_of(ta, tb, a, b, acc, c);
    describe(&p, a, b, c);
    const struct plan *plan = plan_for(cuda, &p);
    lt_must(cublasLtMatmul(cuda->lt, p.what, &one, b.data, p.a, a.data, p.b, &add, c.data, p.d, c.data, p.d,
                           &plan->algo, lane->workspace, plan->workspace, lane->stream),
            "product", &p);
    forget(&p);
}

static int64_t wide_bytes(view v)
{
    enum { ALIGN = 256 };
    return v.type == F32 ? 0 : (mem_mul(v.n[1] * v.n[2], 4) + ALIGN - 1) / ALIGN * ALIGN;
}

/** The view itself, or room in fp32 for it at *room, which moves on. */
static view wide_room(view v, char **room)
{
    if (v.type == F32)
        return v;
    view wide = view_of(*room, F32, 1, v.n[1], v.n[2]);
    *room += wide_bytes(v);
    return wide;
}

/* All in fp32; the result is rounded once. */
static void multiply_wide(struct dev *dev, bool ta, bool tb, view a, view b, bool acc, view c)
{
    char *room = cuda_scratch(dev, wide_bytes(a) + wide_bytes(b) + wide_bytes(c));
    view wa = wide_room(a, &room), wb = wide_room(b, &room), wc = wide_room(c, &room);
    if (a.type != F32)
        cuda_copy(dev, wa, a);
    if (b.type != F32)
        cuda_copy(dev, wb, b);
    if (c.type != F32 && acc)
        cuda_copy(dev, wc, c);
    multiply(dev, ta, tb, wa, wb, acc, wc);
    if (c.type != F32)
        cuda_copy(dev, c, wc);
}

void cuda_gemm(struct dev *dev, bool ta, bool tb, view a, view b, bool acc, view c)
{
    if (c.n[1] == 0 || c.n[2] == 0)
        return;
    if ((ta ? a.n[1] : a.n[2]) == 0) {
        if (!acc)
            cuda_fill(dev, c, 0);
        return;
    }
    bool taken = a.type == b.type && (a.type == BF16 || c.type == F32);
    (taken ? multiply : multiply_wide)(dev, ta, tb, a, b, acc, c);
}

void cuda_gemm_open(struct dev *dev)
{
    struct cuda *cuda = dev->own;
    cublasStatus_t made = cublasLtCreate(&cuda->lt);
    if (made != CUBLAS_STATUS_SUCCESS)
        bug("cuBLASLt does not start: %s", cublasLtGetStatusString(made));
    cuda->plans = mem_new(PLANS, sizeof *cuda->plans);
    for (int i = 0; i < LANES; i++)
        if (i == COMPUTE || i >= STREAMS)
            cuda->lane[i].workspace = cuda_keep(dev, "cuBLASLt's workspace", cuda->workspace_bytes);
}

void cuda_gemm_close(struct dev *dev)
{
    struct cuda *cuda = dev->own;
    (void)cublasLtDestroy(cuda->lt);
    free(cuda->plans);
}
