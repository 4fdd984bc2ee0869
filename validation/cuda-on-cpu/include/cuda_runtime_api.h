/* The part of CUDA's run time that we call, done by the CPU (validation/cuda-on-cpu). For C and C++; types,
 * names and numbers are CUDA's. What a GPU would not do, or would do wrongly, ends the program with a
 * message: it is for tests. */
#ifndef CUDA_ON_CPU_RUNTIME_API_H
#define CUDA_ON_CPU_RUNTIME_API_H
#include <stddef.h>
#include <stdint.h>
#define CUDA_ON_CPU 1
#define CUDART_VERSION 13000

typedef enum cudaError {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInsufficientDriver = 35,
    cudaErrorNoDevice = 100,
    cudaErrorInvalidDevice = 101,
    cudaErrorNotReady = 600,
    cudaErrorLaunchFailure = 719
} cudaError_t;
enum cudaMemcpyKind {
    cudaMemcpyHostToHost,
    cudaMemcpyHostToDevice,
    cudaMemcpyDeviceToHost,
    cudaMemcpyDeviceToDevice,
    cudaMemcpyDefault
};
enum {
    cudaStreamNonBlocking = 1,
    cudaEventDefault = 0,
    cudaEventDisableTiming = 2,
    cudaHostAllocDefault = 0
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
typedef struct CUstream_st *cudaStream_t;
typedef struct CUevent_st *cudaEvent_t;
struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem, sharedMemPerBlockOptin;
    int major, minor, multiProcessorCount;
};

#ifdef __cplusplus
extern "C" {
#endif
cudaError_t cudaRuntimeGetVersion(int *);
cudaError_t cudaDriverGetVersion(int *);
cudaError_t cudaGetDeviceCount(int *); /* CUDA_ON_CPU_DEVICES, else 8 */
cudaError_t cudaSetDevice(int);
cudaError_t cudaGetDevice(int *);
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *, int device);
cudaError_t cudaMemGetInfo(size_t *free, size_t *total);
cudaError_t cudaDeviceSynchronize(void);
cudaError_t cudaGetLastError(void);
cudaError_t cudaPeekAtLastError(void);
const char *cudaGetErrorString(cudaError_t);
const char *cudaGetErrorName(cudaError_t);

cudaError_t cudaMalloc(void **, size_t);
cudaError_t cudaFree(void *); /* waits for everything, as the device does */
cudaError_t cudaMallocHost(void **, size_t);
cudaError_t cudaFreeHost(void *);
cudaError_t cudaMemcpy(void *, const void *, size_t, enum cudaMemcpyKind); /* waits for no stream */
cudaError_t cudaMemcpyAsync(void *, const void *, size_t, enum cudaMemcpyKind, cudaStream_t);
cudaError_t cudaMemsetAsync(void *, int value, size_t, cudaStream_t);

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *, unsigned flags); /* cudaStreamNonBlocking alone */
cudaError_t cudaStreamDestroy(cudaStream_t);
cudaError_t cudaStreamSynchronize(cudaStream_t);
cudaError_t cudaStreamQuery(cudaStream_t);
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned flags);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t);
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t);
cudaError_t cudaEventQuery(cudaEvent_t);
cudaError_t cudaEventSynchronize(cudaEvent_t);
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t, cudaEvent_t); /* 1: nothing here measures speed */

/* ---- for tests ---- */
enum cuda_on_cpu_streams {
    CUDA_ON_CPU_EAGER, /* work is done as it is queued */
    CUDA_ON_CPU_LAZY   /* only what a wait of the host needs is done: what forgets to wait reads old values */
};
/** How streams run, and the order of blocks, warps and lanes: 0 ascending, 1 descending, else shuffled by
 * this seed. Until called: CUDA_ON_CPU_STREAMS (eager or lazy; default lazy), CUDA_ON_CPU_ORDER (default 0).
 */
void cuda_on_cpu_policy(enum cuda_on_cpu_streams, unsigned order);
/** Kernels launched, and switches from thread to thread inside them, so far. */
void cuda_on_cpu_counts(long *launches, long *switches);
#ifdef __cplusplus
}
#endif
#endif
