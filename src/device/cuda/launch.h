/* The three words that kernels are written with under nvcc; validation/cuda-on-cpu has its own. */
#ifndef DEVICE_CUDA_LAUNCH_H
#define DEVICE_CUDA_LAUNCH_H
#ifdef __CUDACC__
#    define LAUNCH(kernel, grid, block, shared_bytes, stream, ...) \
        (kernel<<<grid, block, shared_bytes, stream>>>(__VA_ARGS__), launched(#kernel))
#    define SHARED(type, name, ...) __shared__ type name __VA_ARGS__
#    define SHARED_DYNAMIC(type, name)                                 \
        extern __shared__ __align__(128) unsigned char shared_bytes[]; \
        type *name = reinterpret_cast<type *>(shared_bytes)

/** A launch that is refused is our mistake. */
static inline void launched(const char *kernel)
{
    cudaError_t error = cudaGetLastError();
    if (error != cudaSuccess)
        bug("kernel %s: %s", kernel, cudaGetErrorString(error));
}
#endif
#endif
