/* Rotary position embedding, half-split: the pair (i, i + hd/2) of a head is turned by an angle that depends
 * on i and on the position of the row. */
#include "device/cpu/wide.h"

KERNEL static void turn_row(float *x, int64_t heads, int64_t half, const float *cosine, const float *sine,
                            float sign)
{
    for (int64_t h = 0; h < heads; h++, x += 2 * half) {
#pragma omp simd
        for (int64_t i = 0; i < half; i++) {
            float a = x[i], b = x[i + half], s = sign * sine[i];
            x[i] = a * cosine[i] - b * s;
            x[i + half] = b * cosine[i] + a * s;
        }
    }
}

void cpu_rope(struct dev *dev, view x, int64_t heads, view positions, view cos_sin, float sign)
{
    (void)dev;
    int64_t half = cos_sin.n[2] / 2, seq = cos_sin.n[1];
    const int32_t *position = positions.data; /* NULL: none */
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < x.n[1]; t++) {
        const float *cosine = f32_row(cos_sin, position ? position[t] : t % seq);
        float *row = wide_row(x, t, 0);
        turn_row(row, heads, half, cosine, cosine + half, sign);
        wide_store(x, t, row);
    }
}
