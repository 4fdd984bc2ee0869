/* Sums over rows, for kernels that make rows of partial sums. */
#ifndef DEVICE_CUDA_SUMS_CUH
#define DEVICE_CUDA_SUMS_CUH
#include "device/cuda/kernel.cuh"

static const int SUM_ROWS = 256; /* of a chunk */
/** Bytes of `room` for sum_rows. */
int64_t sum_rows_room(int64_t height, int64_t n);
/** y[n] (+)= the sum over `height` rows of x, in double. */
void sum_rows(cudaStream_t, float *y, rows x, int64_t height, bool acc, double *room);
#endif
