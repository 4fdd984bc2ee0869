/* Attention of new tokens to a cache of keys and values: a block a row and head, for the few rows of a step
 * that generates. Tiles of as many keys as the block has threads: a thread has the score of a key, then a
 * column of the output; the softmax is kept up to date from tile to tile. It moves the keys and values that a
 * row sees once for each head; heads that share them find them in the second cache.
 *
 * q, o [T, heads*hd], k, v [C, kv_heads*hd] stored; first, last I32 [T]. */
#include "device/cuda/kernel.cuh"

static const int THREADS = 128; /* and keys of a tile */

/* Columns of head h. */
static __device__ rows head_of(rows x, int64_t h, int64_t hd)
{
    x.at += h * hd * (x.half ? sizeof(bf16) : sizeof(float));
    x.n = hd;
    return x;
}

template <class A>
static __global__ void __launch_bounds__(THREADS)
    attn_cached(rows o, rows q, rows k, rows v, const int32_t *first, const int32_t *last, int per_kv,
                int64_t hd, float scale)
{
    SHARED_DYNAMIC(float, room); /* query [wide], output [wide], probabilities [THREADS] */
    int64_t t = blockIdx.x, head = blockIdx.y, wide = (hd + PACK - 1) / PACK * PACK, end = last[t] + 1;
    float *query = room, *out = room + wide, *p = out + wide, top = -INFINITY, sum = 0;
    rows mine = head_of(q, head, hd), keys = head_of(k, head / per_kv, hd),
         values = head_of(v, head / per_kv, hd), result = head_of(o, head, hd);
    for (int64_t i = first_column(); i < wide; i += column_step()) {
        pack a = A::load(mine, t, i);
#pragma unroll
        for (int j = 0; j < PACK; j++) {
            query[i + j] = a.v[j];
            out[i + j] = 0;
        }
    }
    __syncthreads();
    for (int64_t k0 = first[t]; k0 < end; k0 += THREADS) {
        int64_t key = k0 + threadIdx.x, n = end - k0 < THREADS ? end - k0 : THREADS;
        float s = 0;
        for (int64_t i = 0; i < wide && key < end; i += PACK) {
            pack a = A::load(keys, key, i);
#pragma unroll
            for (int j = 0; j < PACK; j++)
                s += query[i + j] * a.v[j];
        }
        s = key < end ? scale * s : -INFINITY;
        float max = block_max(s, -INFINITY);
        max = max > top ? max : top;
        float shrink = expf(top - max); /* 0 before the first tile */
        p[threadIdx.x] = expf(s - max);
        sum = sum * shrink + block_sum(p[threadIdx.x]); /* its barriers make p visible */
        top = max;
        for (int64_t i = first_column(); i < wide; i += column_step()) {
            pack a;
#pragma unroll
            for (int j = 0; j < PACK; j++)
                a.v[j] = out[i + j] * shrink;
            for (int64_t l = 0; l < n; l++) {
                pack b = A::load(values, k0 + l, i);
#pragma unroll
                for (int j = 0; j < PACK; j++)
                    a.v[j] += p[l] * b.v[j];
            }
#pragma unroll
            for (int j = 0; j < PACK; j++)
                out[i + j] = a.v[j];
        }
        __syncthreads(); /* p is written again */
    }
    for (int64_t i = first_column(); i < wide; i += column_step()) {
        pack a;
#pragma unroll
        for (int j = 0; j < PACK; j++)
            a.v[j] = sum > 0 ? out[i + j] / sum : 0.f; /* a row that sees none gives 0 */
        A::store(result, t, i, a);
    }
}

void cuda_attn_cached(struct dev *dev, struct attn_shape a, view ov, view qv, view kv, view vv, view first,
                      view last)
{
    rows o = rows_of(ov), q = rows_of(qv), k = rows_of(kv), v = rows_of(vv), head = q;
    head.n = a.head_dim; /* heads begin at 16 bytes, too */
    int bytes = (int)((2 * divide_up(a.head_dim, PACK) * PACK + THREADS) * (int64_t)sizeof(float));
    if (view_size(ov) > 0)
        with_access({o, q, k, v, head}, {}, [&](auto how) {
            LAUNCH(attn_cached<decltype(how)>, dim3((unsigned)qv.n[1], (unsigned)a.heads), THREADS, bytes,
                   cuda_stream(dev), o, q, k, v, (const int32_t *)first.data, (const int32_t *)last.data,
                   (int)(a.heads / a.kv_heads), a.head_dim, 1 / sqrtf((float)a.head_dim));
        });
}
