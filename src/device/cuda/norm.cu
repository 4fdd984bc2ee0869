/* RMSNorm of groups of N columns: y = x * rstd * w, rstd = 1/sqrt(mean(x^2) + eps); x, y, dx, dy [T, g*N]
 * stored; rstd [T, g], w, dw [N] fp32. Forward moves x and y (a row is read again from the first cache);
 * backward dy, x, dx, dx too where it adds, and 2 * 256 rows of partial sums of dw. */
#include "device/cuda/sums.cuh"

/* The g-th group of x.n columns. */
static __device__ __forceinline__ rows group_of(rows x, int64_t g)
{
    x.at += g * x.n * (int64_t)(x.half ? sizeof(bf16) : sizeof(float));
    return x;
}

/* A block a group. */
template <class A>
static __global__ void __launch_bounds__(BLOCK)
    norm_fwd(rows all_y, float *rstd, rows all_x, rows w, float eps, int64_t groups)
{
    int64_t t = blockIdx.x / groups, g = blockIdx.x % groups;
    rows x = group_of(all_x, g), y = group_of(all_y, g);
    float sum = 0;
    for (int64_t i = first_column(); i < x.n; i += column_step()) {
        pack a = A::load(x, t, i);
#pragma unroll
        for (int j = 0; j < PACK; j++)
            sum += a.v[j] * a.v[j];
    }
    float r = 1.f / sqrtf(block_sum(sum) / (float)x.n + eps);
    if (threadIdx.x == 0)
        rstd[blockIdx.x] = r;
    for (int64_t i = first_column(); i < x.n; i += column_step()) {
        pack a = A::load(x, t, i), b = A::f32::load(w, 0, i);
#pragma unroll
        for (int j = 0; j < PACK; j++)
            a.v[j] = a.v[j] * r * b.v[j];
        A::store(y, t, i, a);
    }
}

void cuda_rmsnorm_fwd(struct dev *dev, view yv, view rstd, view xv, view wv, float eps)
{
    rows y = rows_of(yv), x = rows_of(xv), w = row_of(wv);
    int64_t groups = x.n / w.n;
    x.n = y.n = w.n;
    if (xv.n[1] > 0)
        with_access({y, x}, {w}, [&](auto how) {
            LAUNCH(norm_fwd<decltype(how)>, (unsigned)(xv.n[1] * groups), row_threads(x.n), 0,
                   cuda_stream(dev), y, (float *)rstd.data, x, w, eps, groups);
        });
}

/* With u = x * rstd: dx (+)= rstd * (dy w - u * mean(dy w u)), dw += dy u. A block takes groups in turn and
 * keeps its sum of dw in shared memory: element j of the pack p at [j, p], which no other thread touches. */
template <class A>
static __global__ void __launch_bounds__(BLOCK)
    norm_bwd(rows all_dx, bool acc, rows part, rows all_dy, rows all_x, const float *rstd, rows w,
             int64_t tokens, int64_t groups)
{
    SHARED_DYNAMIC(float, sum);
    int64_t packs = part.n / PACK;
    for (int64_t p = threadIdx.x; p < packs; p += blockDim.x)
#pragma unroll
        for (int j = 0; j < PACK; j++)
            sum[j * packs + p] = 0;
    for (int64_t q = blockIdx.x; q < tokens * groups; q += gridDim.x) {
        int64_t t = q / groups, g = q % groups;
        rows x = group_of(all_x, g), dy = group_of(all_dy, g), dx = group_of(all_dx, g);
        float r = rstd[q], dot = 0;
        for (int64_t i = first_column(); i < x.n; i += column_step()) {
            pack a = A::load(x, t, i), d = A::load(dy, t, i), b = A::f32::load(w, 0, i);
#pragma unroll
            for (int j = 0; j < PACK; j++)
                dot += d.v[j] * b.v[j] * a.v[j];
        }
        float mean = block_sum(dot) * r / (float)x.n;
        for (int64_t i = first_column(); i < x.n; i += column_step()) {
            pack a = A::load(x, t, i), d = A::load(dy, t, i), b = A::f32::load(w, 0, i), out;
            if (acc)
                out = A::load(dx, t, i);
#pragma unroll
            for (int j = 0; j < PACK; j++) {
                float u = a.v[j] * r, e = r * (d.v[j] * b.v[j] - u * mean);
                sum[j * packs + i / PACK] += d.v[j] * u;
                out.v[j] = acc ? out.v[j] + e : e;
            }
            A::store(dx, t, i, out);
        }
    }
    for (int64_t p = threadIdx.x; p < packs; p += blockDim.x) {
        pack out;
#pragma unroll
        for (int j = 0; j < PACK; j++)
            out.v[j] = sum[j * packs + p];
        by_f32::store(part, blockIdx.x, p * PACK, out);
    }
}

void cuda_rmsnorm_bwd(struct dev *dev, bool acc_dx, view dxv, bool acc_dw, view dw, view dyv, view xv,
                      view rstd, view wv)
{
    rows dx = rows_of(dxv), dy = rows_of(dyv), x = rows_of(xv), w = row_of(wv);
    int64_t tokens = xv.n[1], groups = x.n / w.n, each = tokens * groups;
    int64_t blocks = each < SUM_ROWS ? each : SUM_ROWS;
    dx.n = dy.n = x.n = w.n;
    int64_t whole = divide_up(x.n, PACK) * PACK, part_bytes = blocks * whole * (int64_t)sizeof(float);
    int bytes = (int)(whole * (int64_t)sizeof(float));
    char *room = (char *)cuda_scratch(dev, part_bytes + sum_rows_room(blocks, x.n));
    rows part = {room + sum_rows_room(blocks, x.n), whole, whole, false};
    if (tokens > 0 && x.n > 0)
        with_access({dx, dy, x}, {w}, [&](auto how) {
            auto *kernel = norm_bwd<decltype(how)>;
            cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
            LAUNCH(kernel, (unsigned)blocks, row_threads(x.n), bytes, cuda_stream(dev), dx, acc_dx, part, dy,
                   x, (const float *)rstd.data, w, tokens, groups);
        });
    part.n = x.n;
    sum_rows(cuda_stream(dev), (float *)dw.data, part, blocks, acc_dw, (double *)room);
}
