/* cuBLASLt on the CPU: values alone. Of the library's promises it keeps those that callers can break: types
 * that go together, an algorithm fits what it was made for, its alignment, the workspace that it wants for
 * this size; the workspace is overwritten; with beta = 0 C is not read. */
#include "inside.h"
#include "include/cublasLt.h"
#include "include/cuda_bf16.h"
extern "C" {
#include "device/cpu/cpu.h"
}

struct cublasLtContext {
};
struct lt_product {
    int32_t ta, tb;
};
struct lt_layout {
    cudaDataType_t type;
    int64_t rows, columns, ld;
};
struct lt_preference {
    uint64_t workspace;
    uint32_t schemes = 7, alignment[4] = {256, 256, 256, 256}; /* of a, b, c, d, as the library's own */
};

namespace
{
template <class T> cublasStatus_t make(T **p)
{
    *p = new T();
    return CUBLAS_STATUS_SUCCESS;
}

template <class T> cublasStatus_t unmake(T *p)
{
    delete p;
    return CUBLAS_STATUS_SUCCESS;
}

template <class T> cublasStatus_t take(T *to, const void *from, size_t bytes)
{
    if (bytes != sizeof *to)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(to, from, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

struct sizes {
    int64_t m, n, k;
    bool agree;
};

sizes sizes_of(const lt_product *p, const lt_layout *a, const lt_layout *b, const lt_layout *c,
               const lt_layout *d)
{
    sizes s = {d->rows, d->columns, p->ta ? a->rows : a->columns, false};
    s.agree = s.m == (p->ta ? a->columns : a->rows) && s.n == (p->tb ? b->rows : b->columns) &&
              s.k == (p->tb ? b->columns : b->rows) && c->rows == s.m && c->columns == s.n && s.m > 0 &&
              s.n > 0 && s.k > 0;
    return s;
}

/* What an algorithm was made for. */
uint64_t key_of(const lt_product *p, const lt_layout *a, const lt_layout *b, const lt_layout *c,
                const lt_layout *d)
{
    return (uint64_t)p->ta | (uint64_t)p->tb << 1 | (uint64_t)a->type << 2 | (uint64_t)b->type << 8 |
           (uint64_t)c->type << 14 | (uint64_t)d->type << 20;
}

/* It grows with the sizes, so that what was asked for another size may be too little. */
size_t workspace_of(sizes s)
{
    return 256 * (size_t)((s.m + s.n) / 64 + 1);
}

size_t width(cudaDataType_t t)
{
    return t == CUDA_R_32F ? 4 : 2;
}

bool aligned(const void *p, const lt_layout *l, uint64_t to)
{
    return (uintptr_t)p % to == 0 && (uint64_t)l->ld * width(l->type) % to == 0;
}

float get(const void *p, cudaDataType_t t, int64_t i)
{
    return t == CUDA_R_32F ? ((const float *)p)[i] : __bfloat162float(((const __nv_bfloat16 *)p)[i]);
}

void put(void *p, cudaDataType_t t, int64_t i, float v)
{
    if (t == CUDA_R_32F)
        ((float *)p)[i] = v;
    else
        ((__nv_bfloat16 *)p)[i] = __float2bfloat16(v);
}

std::vector<float> unpacked(const void *p, const lt_layout &l)
{
    std::vector<float> v((size_t)(l.rows * l.columns));
    for (int64_t j = 0; j < l.columns; j++)
        for (int64_t i = 0; i < l.rows; i++)
            v[(size_t)(j * l.rows + i)] = get(p, l.type, j * l.ld + i);
    return v;
}

/* A column-major product is the row-major one with its operands exchanged. */
void compute(lt_product p, sizes s, const void *a_data, lt_layout a, const void *b_data, lt_layout b,
             float beta, const void *c_data, lt_layout c, void *d_data, lt_layout d)
{
    std::vector<float> x = unpacked(a_data, a), y = unpacked(b_data, b), z((size_t)(s.m * s.n));
    if (beta != 0)
        z = unpacked(c_data, c);
    cpu_sgemm(p.tb, p.ta, s.n, s.m, s.k, y.data(), b.rows, x.data(), a.rows, beta, z.data(), s.m);
    for (int64_t j = 0; j < s.n; j++)
        for (int64_t i = 0; i < s.m; i++)
            put(d_data, d.type, j * d.ld + i, z[(size_t)(j * s.m + i)]);
}
} // namespace

cublasStatus_t cublasLtCreate(cublasLtHandle_t *h)
{
    return make(h);
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t h)
{
    return unmake(h);
}

size_t cublasLtGetVersion()
{
    return CUBLAS_VERSION;
}

const char *cublasLtGetStatusString(cublasStatus_t s)
{
    return s == CUBLAS_STATUS_SUCCESS         ? "CUBLAS_STATUS_SUCCESS"
           : s == CUBLAS_STATUS_INVALID_VALUE ? "CUBLAS_STATUS_INVALID_VALUE"
                                              : "CUBLAS_STATUS_NOT_SUPPORTED";
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *p, cublasComputeType_t c, cudaDataType_t scale)
{
    return c == CUBLAS_COMPUTE_32F && scale == CUDA_R_32F ? make(p) : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t p)
{
    return unmake(p);
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t p, cublasLtMatmulDescAttributes_t which,
                                              const void *v, size_t bytes)
{
    return take(which == CUBLASLT_MATMUL_DESC_TRANSA ? &p->ta : &p->tb, v, bytes);
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *l, cudaDataType_t type, uint64_t rows,
                                          uint64_t columns, int64_t ld)
{
    *l = new lt_layout{type, (int64_t)rows, (int64_t)columns, ld};
    return ld >= (int64_t)rows ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l)
{
    return unmake(l);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *p)
{
    return make(p);
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p)
{
    return unmake(p);
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t p,
                                                    cublasLtMatmulPreferenceAttributes_t which, const void *v,
                                                    size_t bytes)
{
    if (which == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
        return take(&p->workspace, v, bytes);
    if (which == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK)
        return take(&p->schemes, v, bytes);
    return take(&p->alignment[which - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], v, bytes);
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t p,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t wanted, int most,
                                              cublasLtMatmulHeuristicResult_t *r, int *found)
{
    sizes s = sizes_of(p, a, b, c, d);
    *found = 0;
    if (!s.agree)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (wanted->schemes & (CUBLASLT_REDUCTION_SCHEME_INPLACE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE))
        on_cpu::die("cuBLASLt may add by atomics, or round partial sums: both are not for us");
    if (most < 1 || a->type != b->type || c->type != d->type ||
        (a->type == CUDA_R_32F && d->type != CUDA_R_32F) || workspace_of(s) > wanted->workspace)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    *r = {};
    r->algo.data[0] = key_of(p, a, b, c, d);
    for (int i = 0; i < 4; i++)
        r->algo.data[1 + i] = wanted->alignment[i];
    r->workspaceSize = workspace_of(s);
    *found = 1;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t p, cublasLtMatrixLayout_t a,
                                       cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                       cublasLtMatrixLayout_t d, const cublasLtMatmulAlgo_t *algo,
                                       cublasLtMatmulHeuristicResult_t *r)
{
    sizes s = sizes_of(p, a, b, c, d);
    if (!s.agree || algo->data[0] != key_of(p, a, b, c, d))
        return CUBLAS_STATUS_INVALID_VALUE;
    *r = {};
    r->algo = *algo;
    r->workspaceSize = workspace_of(s);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t p, const void *alpha, const void *a_data,
                              cublasLtMatrixLayout_t a, const void *b_data, cublasLtMatrixLayout_t b,
                              const void *beta, const void *c_data, cublasLtMatrixLayout_t c, void *d_data,
                              cublasLtMatrixLayout_t d, const cublasLtMatmulAlgo_t *algo, void *workspace,
                              size_t bytes, cudaStream_t stream)
{
    sizes s = sizes_of(p, a, b, c, d);
    float scale = *(const float *)alpha, add = *(const float *)beta; /* the host's, read now */
    if (!s.agree || algo->data[0] != key_of(p, a, b, c, d) || bytes < workspace_of(s) || !workspace)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (!aligned(a_data, a, algo->data[1]) || !aligned(b_data, b, algo->data[2]) ||
        !aligned(c_data, c, algo->data[3]) || !aligned(d_data, d, algo->data[4]))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (scale != 1)
        on_cpu::die("cublasLtMatmul: alpha is 1 here");
    lt_product product = *p;
    lt_layout la = *a, lb = *b, lc = *c, ld = *d;
    on_cpu::enqueue(
        stream,
        [=] {
            compute(product, s, a_data, la, b_data, lb, add, c_data, lc, d_data, ld);
            memset(workspace, 0xff, bytes);
        },
        "cublasLtMatmul");
    return CUBLAS_STATUS_SUCCESS;
}
