/* Products of tiles in shared memory, by all threads of a block: c[m,n] (+)= op(a)[m,k] op(b)[k,n], c fp32.
 * BF16 by the tensor cores, a warp an output tile of 16 x 16; fp32 by FMA, a thread 4 x 4. m, n, k are
 * multiples of 16, tiles begin at 32 bytes, rows at 16. The caller puts barriers before and after. */
#ifndef DEVICE_CUDA_TILE_CUH
#define DEVICE_CUDA_TILE_CUH
#include <mma.h>
#include "device/cuda/kernel.cuh"

static const int TILE = 16;

template <bool transposed> struct tile_layout {
    typedef nvcuda::wmma::row_major type;
};
template <> struct tile_layout<true> {
    typedef nvcuda::wmma::col_major type;
};

template <bool ta, bool tb>
static __device__ void product(float *c, int ldc, const bf16 *a, int lda, const bf16 *b, int ldb, int m,
                               int n, int k, bool acc)
{
    using namespace nvcuda;
    int across = n / TILE, warps = blockDim.x / WARP;
    for (int tile = threadIdx.x / WARP; tile < m / TILE * across; tile += warps) {
        int i = tile / across * TILE, j = tile % across * TILE;
        wmma::fragment<wmma::accumulator, TILE, TILE, TILE, float> sum;
        if (acc)
            wmma::load_matrix_sync(sum, c + i * ldc + j, ldc, wmma::mem_row_major);
        else
            wmma::fill_fragment(sum, 0.f);
        for (int l = 0; l < k; l += TILE) {
            wmma::fragment<wmma::matrix_a, TILE, TILE, TILE, bf16, typename tile_layout<ta>::type> fa;
            wmma::fragment<wmma::matrix_b, TILE, TILE, TILE, bf16, typename tile_layout<tb>::type> fb;
            wmma::load_matrix_sync(fa, ta ? a + l * lda + i : a + i * lda + l, lda);
            wmma::load_matrix_sync(fb, tb ? b + j * ldb + l : b + l * ldb + j, ldb);
            wmma::mma_sync(sum, fa, fb, sum);
        }
        wmma::store_matrix_sync(c + i * ldc + j, sum, ldc, wmma::mem_row_major);
    }
}

template <bool ta, bool tb>
static __device__ void product(float *c, int ldc, const float *a, int lda, const float *b, int ldb, int m,
                               int n, int k, bool acc)
{
    const int OWN = 4;
    int across = n / OWN;
    for (int tile = threadIdx.x; tile < m / OWN * across; tile += blockDim.x) {
        int i = tile / across * OWN, j = tile % across * OWN;
        float sum[OWN][OWN] = {};
        for (int l = 0; l < k; l++)
#pragma unroll
            for (int y = 0; y < OWN; y++)
#pragma unroll
                for (int x = 0; x < OWN; x++)
                    sum[y][x] += (ta ? a[l * lda + i + y] : a[(i + y) * lda + l]) *
                                 (tb ? b[(j + x) * ldb + l] : b[l * ldb + j + x]);
#pragma unroll
        for (int y = 0; y < OWN; y++)
#pragma unroll
            for (int x = 0; x < OWN; x++)
                c[(i + y) * ldc + j + x] = (acc ? c[(i + y) * ldc + j + x] : 0.f) + sum[y][x];
    }
}

#endif
