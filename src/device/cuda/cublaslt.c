/* cuBLASLt is half a GB that takes its time to load and has no use without a GPU: it is opened when a device
 * is. Its functions stand here by name and pass their arguments on, so the rest of the device calls them as
 * ever. The emulation has its own. */
#include "device/cuda/host.h"
#ifdef CUDA_ON_CPU

bool cuda_lt_load(char why[256])
{
    *why = 0;
    return true;
}

#else
#    include "base/library.h"

/* clang-format off */
#    define LT_FUNCTIONS(F) \
    F(cublasStatus_t, Create, (cublasLtHandle_t *a), (a)) \
    F(cublasStatus_t, Destroy, (cublasLtHandle_t a), (a)) \
    F(size_t, GetVersion, (void), ()) \
    F(const char *, GetStatusString, (cublasStatus_t a), (a)) \
    F(cublasStatus_t, MatmulDescCreate, (cublasLtMatmulDesc_t *a, cublasComputeType_t b, cudaDataType_t c), (a, b, c)) \
    F(cublasStatus_t, MatmulDescDestroy, (cublasLtMatmulDesc_t a), (a)) \
    F(cublasStatus_t, MatmulDescSetAttribute, (cublasLtMatmulDesc_t a, cublasLtMatmulDescAttributes_t b, \
      const void *c, size_t d), (a, b, c, d)) \
    F(cublasStatus_t, MatrixLayoutCreate, (cublasLtMatrixLayout_t *a, cudaDataType_t b, uint64_t c, uint64_t d, \
      int64_t e), (a, b, c, d, e)) \
    F(cublasStatus_t, MatrixLayoutDestroy, (cublasLtMatrixLayout_t a), (a)) \
    F(cublasStatus_t, MatmulPreferenceCreate, (cublasLtMatmulPreference_t *a), (a)) \
    F(cublasStatus_t, MatmulPreferenceDestroy, (cublasLtMatmulPreference_t a), (a)) \
    F(cublasStatus_t, MatmulPreferenceSetAttribute, (cublasLtMatmulPreference_t a, \
      cublasLtMatmulPreferenceAttributes_t b, const void *c, size_t d), (a, b, c, d)) \
    F(cublasStatus_t, MatmulAlgoGetHeuristic, (cublasLtHandle_t a, cublasLtMatmulDesc_t b, cublasLtMatrixLayout_t c, \
      cublasLtMatrixLayout_t d, cublasLtMatrixLayout_t e, cublasLtMatrixLayout_t f, cublasLtMatmulPreference_t g, \
      int h, cublasLtMatmulHeuristicResult_t i[], int *j), (a, b, c, d, e, f, g, h, i, j)) \
    F(cublasStatus_t, MatmulAlgoCheck, (cublasLtHandle_t a, cublasLtMatmulDesc_t b, cublasLtMatrixLayout_t c, \
      cublasLtMatrixLayout_t d, cublasLtMatrixLayout_t e, cublasLtMatrixLayout_t f, const cublasLtMatmulAlgo_t *g, \
      cublasLtMatmulHeuristicResult_t *h), (a, b, c, d, e, f, g, h)) \
    F(cublasStatus_t, Matmul, (cublasLtHandle_t a, cublasLtMatmulDesc_t b, const void *c, const void *d, \
      cublasLtMatrixLayout_t e, const void *f, cublasLtMatrixLayout_t g, const void *h, const void *i, \
      cublasLtMatrixLayout_t j, void *k, cublasLtMatrixLayout_t l, const cublasLtMatmulAlgo_t *m, void *n, size_t o, \
      cudaStream_t p), (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p))

#    define POINTER(result, name, parameters, arguments) result(*name) parameters;
static struct {
    LT_FUNCTIONS(POINTER)
} lt;

/* Hidden from libraries, which are to find the library's own. */
#    define CALL(result, name, parameters, arguments)                          \
        __attribute__((visibility("hidden"))) result cublasLt##name parameters \
        {                                                                      \
            return lt.name arguments;                                          \
        }
LT_FUNCTIONS(CALL)

bool cuda_lt_load(char why[256])
{
#    define NAME(result, name, parameters, arguments) "cublasLt" #name,
#    define TEXT(x) #x
#    define FILE_OF(version) "libcublasLt.so." TEXT(version)
    static const char *const names[] = {LT_FUNCTIONS(NAME) NULL};
    return lt.Create || library_open(FILE_OF(CUBLAS_VER_MAJOR), names, &lt, why);
}
/* clang-format on */

#endif
