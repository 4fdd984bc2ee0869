/* Rotary position embedding, half-split: the pair (i, i + hd/2) of a head is turned by the angle of its row's
 * position: positions [T], or row mod S. In place on x [T, heads*hd] stored; cos_sin [S, hd] fp32. Moves x
 * twice; the table stays in the caches. */
#include "device/cuda/kernel.cuh"

/* A thread turns eight pairs: pack i of the first half of a head with pack i of its second. */
template <class A>
static __global__ void __launch_bounds__(BLOCK)
    turn(rows x, rows cosine, const int32_t *positions, int64_t tokens, int64_t seq, int heads, float sign)
{
    int64_t t = plane_row(), half = cosine.n;
    int packs = (int)((half + PACK - 1) / PACK);
    if (t >= tokens)
        return;
    int64_t position = positions ? positions[t] : t % seq;
    rows low = x, high = x, sine = cosine;
    sine.at += half * sizeof(float);
    low.n = half;
    high.n = half;
    for (int p = threadIdx.x; p < heads * packs; p += blockDim.x) {
        int64_t at = p / packs * 2 * half * (x.half ? sizeof(bf16) : sizeof(float)), i = p % packs * PACK;
        low.at = x.at + at;
        high.at = low.at + half * (x.half ? sizeof(bf16) : sizeof(float));
        pack a = A::load(low, t, i), b = A::load(high, t, i);
        pack c = A::f32::load(cosine, position, i), s = A::f32::load(sine, position, i), up, down;
#pragma unroll
        for (int j = 0; j < PACK; j++) {
            float turned = sign * s.v[j];
            down.v[j] = a.v[j] * c.v[j] - b.v[j] * turned;
            up.v[j] = b.v[j] * c.v[j] + a.v[j] * turned;
        }
        A::store(low, t, i, down);
        A::store(high, t, i, up);
    }
}

void cuda_rope(struct dev *dev, view xv, int64_t heads, view positions, view cos_sin, float sign)
{
    rows x = rows_of(xv), table = rows_of(cos_sin), head = x, cosine = table;
    plane p = plane_of(xv.n[1], x.n / 2);
    cosine.n = head.n = cos_sin.n[2] / 2; /* halves of a head begin at 16 bytes, too */
    if (view_size(xv) > 0)
        with_access({x, head}, {table, cosine}, [&](auto how) {
            LAUNCH(turn<decltype(how)>, p.grid, p.block, 0, cuda_stream(dev), x, cosine,
                   (const int32_t *)positions.data, xv.n[1], cos_sin.n[1], (int)heads, sign);
        });
}
