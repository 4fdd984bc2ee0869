/* NCCL is opened when ranks that have a GPU each want it, so the program needs no NCCL elsewhere. Its
 * functions stand here by name and pass their arguments on. The emulation has its own. */
#include <nccl.h>
#include <stdio.h>
#include "comm/inside.h"
#ifdef CUDA_ON_CPU

bool nccl_load(char why[256])
{
    *why = 0;
    return true;
}

#else
#    include "base/library.h"

/* clang-format off */
#    define NCCL_FUNCTIONS(F) \
    F(ncclResult_t, GetVersion, (int *a), (a)) \
    F(const char *, GetErrorString, (ncclResult_t a), (a)) \
    F(const char *, GetLastError, (ncclComm_t a), (a)) \
    F(ncclResult_t, GetUniqueId, (ncclUniqueId *a), (a)) \
    F(ncclResult_t, CommInitRank, (ncclComm_t *a, int b, ncclUniqueId c, int d), (a, b, c, d)) \
    F(ncclResult_t, CommDestroy, (ncclComm_t a), (a)) \
    F(ncclResult_t, CommAbort, (ncclComm_t a), (a)) \
    F(ncclResult_t, CommGetAsyncError, (ncclComm_t a, ncclResult_t *b), (a, b)) \
    F(ncclResult_t, GroupStart, (void), ()) \
    F(ncclResult_t, GroupEnd, (void), ()) \
    F(ncclResult_t, Send, (const void *a, size_t b, ncclDataType_t c, int d, ncclComm_t e, cudaStream_t f), \
      (a, b, c, d, e, f)) \
    F(ncclResult_t, Recv, (void *a, size_t b, ncclDataType_t c, int d, ncclComm_t e, cudaStream_t f), \
      (a, b, c, d, e, f)) \
    F(ncclResult_t, AllGather, (const void *a, void *b, size_t c, ncclDataType_t d, ncclComm_t e, cudaStream_t f), \
      (a, b, c, d, e, f)) \
    F(ncclResult_t, ReduceScatter, (const void *a, void *b, size_t c, ncclDataType_t d, ncclRedOp_t e, ncclComm_t f, \
      cudaStream_t g), (a, b, c, d, e, f, g)) \
    F(ncclResult_t, AllReduce, (const void *a, void *b, size_t c, ncclDataType_t d, ncclRedOp_t e, ncclComm_t f, \
      cudaStream_t g), (a, b, c, d, e, f, g))

#    define POINTER(result, name, parameters, arguments) result(*name) parameters;
static struct {
    NCCL_FUNCTIONS(POINTER)
} nccl;

/* nccl.h declares some without (void). */
#    pragma GCC diagnostic ignored "-Wmissing-prototypes"
/* Hidden from libraries, which are to find the library's own. */
#    define CALL(result, name, parameters, arguments)                      \
        __attribute__((visibility("hidden"))) result nccl##name parameters \
        {                                                                  \
            return nccl.name arguments;                                    \
        }
NCCL_FUNCTIONS(CALL)

bool nccl_load(char why[256])
{
#    define NAME(result, name, parameters, arguments) "nccl" #name,
    static const char *const names[] = {NCCL_FUNCTIONS(NAME) NULL};
    return nccl.AllReduce || library_open("libnccl.so.2", names, &nccl, why);
}
/* clang-format on */

#endif

const char *comm_nccl_library(void)
{
    static char about[256];
    int v = 0;
    if (!nccl_load(about))
        return about;
    (void)ncclGetVersion(&v);
    snprintf(about, sizeof about, "NCCL %d.%d.%d", v / 10000, v / 100 % 100, v % 100);
    return about;
}
