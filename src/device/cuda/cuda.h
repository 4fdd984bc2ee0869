/* Inside of the CUDA device: what its kernels are called and what they ask of it. Every kernel cuda_NAME has
 * the arguments of dev_NAME (device/ops.h), which has checked them; it puts its work on the COMPUTE stream
 * and does not wait. */
#ifndef DEVICE_CUDA_CUDA_H
#define DEVICE_CUDA_CUDA_H
#include <cuda_runtime_api.h>
#ifdef __cplusplus
extern "C" {
#endif
#include "base/status.h"
#include "device/ops.h"

#define DECLARE_KERNEL(result, name, args) result cuda_##name args;
DEV_OPS(DECLARE_KERNEL)
#undef DECLARE_KERNEL

/** The stream COMPUTE. */
cudaStream_t cuda_stream(struct dev *);
/** Device memory for the call in progress: 256-byte aligned, contents undefined, owned by the device, valid
 * for what is put on the stream until the next call. It only grows. */
void *cuda_scratch(struct dev *, int64_t bytes);

/** Opens cuDNN, if it is there, for the current device; returns what to say about attention: a text that
 * stays. */
const char *cuda_sdpa_open(void);
void cuda_sdpa_close(void);
/** Attention by cuDNN (sdpa.c): true if it took the work, false where it is not there or does not take such.
 */
bool cuda_sdpa_fwd(struct dev *, struct attn_shape, view o, view lse, view q, view k, view v);
bool cuda_sdpa_bwd(struct dev *, struct attn_shape, view dq, view dk, view dv, view d_o, view o, view lse,
                   view q, view k, view v);

#ifdef __cplusplus
}
#endif
#endif
