/* SwiGLU with the routing weight inside: act = weight * silu(g) * u, where gu [R,2F] holds the columns of g,
 * then those of u. act, d_act [R,F], gu, d_gu stored; weight, d_weight [R] fp32. A row without a weight has
 * weight 1. Forward moves gu and act; backward d_act, gu, d_gu, act. */
#include "device/cuda/kernel.cuh"

static __device__ __forceinline__ float sigmoid(float x)
{
    return 1.f / (1.f + expf(-x));
}

/* The columns from F on of gu. */
static rows second_half(rows gu)
{
    gu.n /= 2;
    gu.at += gu.n * (gu.half ? sizeof(bf16) : sizeof(float));
    return gu;
}

static rows first_half(rows gu)
{
    gu.n /= 2;
    return gu;
}

template <class A>
static __global__ void __launch_bounds__(BLOCK)
    swiglu_fwd(rows act, rows g, rows u, const float *weight, int64_t count)
{
    int64_t r = plane_row();
    if (r >= count)
        return;
    float w = weight ? weight[r] : 1.f;
    for (int64_t i = first_column(); i < act.n; i += column_step()) {
        pack a = A::load(g, r, i), b = A::load(u, r, i);
#pragma unroll
        for (int j = 0; j < PACK; j++)
            a.v[j] = w * (a.v[j] * sigmoid(a.v[j])) * b.v[j];
        A::store(act, r, i, a);
    }
}

void cuda_swiglu_fwd(struct dev *dev, view actv, view guv, view weight)
{
    rows act = rows_of(actv), g = first_half(rows_of(guv)), u = second_half(rows_of(guv));
    plane p = plane_of(actv.n[1], act.n);
    if (view_size(actv) > 0)
        with_access({act, g, u}, {}, [&](auto how) {
            LAUNCH(swiglu_fwd<decltype(how)>, p.grid, p.block, 0, cuda_stream(dev), act, g, u,
                   (const float *)weight.data, actv.n[1]);
        });
}

/* A block a row. d_g and d_u may be g and u: a pack is read before it is written, by one thread. */
template <class A>
static __global__ void __launch_bounds__(BLOCK)
    swiglu_bwd(rows d_g, rows d_u, rows act, float *d_weight, rows d_act, rows g, rows u, const float *weight)
{
    int64_t r = blockIdx.x;
    float w = weight ? weight[r] : 1.f, dot = 0;
    for (int64_t i = first_column(); i < act.n; i += column_step()) {
        pack a = A::load(g, r, i), b = A::load(u, r, i), d = A::load(d_act, r, i), again;
#pragma unroll
        for (int j = 0; j < PACK; j++) {
            float s = sigmoid(a.v[j]), silu = a.v[j] * s, up = b.v[j];
            dot += d.v[j] * (silu * up);
            again.v[j] = w * silu * up;
            b.v[j] = w * d.v[j] * silu;
            a.v[j] = w * d.v[j] * up * (s + silu * (1.f - s));
        }
        A::store(d_g, r, i, a);
        A::store(d_u, r, i, b);
        A::store(act, r, i, again);
    }
    dot = block_sum(dot);
    if (d_weight && threadIdx.x == 0)
        d_weight[r] = dot;
}

void cuda_swiglu_bwd(struct dev *dev, view d_guv, view actv, view d_weight, view d_actv, view guv,
                     view weight)
{
    rows d_gu = rows_of(d_guv), gu = rows_of(guv), act = rows_of(actv), d_act = rows_of(d_actv);
    rows d_g = first_half(d_gu), d_u = second_half(d_gu), g = first_half(gu), u = second_half(gu);
    if (actv.n[1] > 0)
        with_access({d_g, d_u, act, d_act, g, u}, {}, [&](auto how) {
            LAUNCH(swiglu_bwd<decltype(how)>, (unsigned)actv.n[1], row_threads(act.n), 0, cuda_stream(dev),
                   d_g, d_u, act, (float *)d_weight.data, d_act, g, u, (const float *)weight.data);
        });
}

/* ---- the gate of shared experts: one number a token ---- */

template <bool BACK>
static __global__ void __launch_bounds__(BLOCK)
    gate(float *out, const float *d, const float *x, int64_t count, int64_t n, int64_t ld_out, int64_t ld_d,
         int64_t ld_x)
{
    int64_t at = (int64_t)blockIdx.x * BLOCK + threadIdx.x, r = at / n, i = at % n;
    if (at >= count * n)
        return;
    float y = x[r * ld_x + i];
    out[r * ld_out + i] = BACK ? d[r * ld_d + i] * y * (1.f - y) : sigmoid(y);
}

void cuda_sigmoid_fwd(struct dev *dev, view y, view x)
{
    int64_t size = view_size(y);
    if (size > 0)
        LAUNCH(gate<false>, (unsigned)divide_up(size, BLOCK), BLOCK, 0, cuda_stream(dev), (float *)y.data,
               (const float *)NULL, (const float *)x.data, count_rows(y), y.n[2], y.ld, (int64_t)0, x.ld);
}

void cuda_sigmoid_bwd(struct dev *dev, view dx, view dy, view y)
{
    int64_t size = view_size(dx);
    if (size > 0)
        LAUNCH(gate<true>, (unsigned)divide_up(size, BLOCK), BLOCK, 0, cuda_stream(dev), (float *)dx.data,
               (const float *)dy.data, (const float *)y.data, count_rows(dx), dx.n[2], dx.ld, dy.ld, y.ld);
}
