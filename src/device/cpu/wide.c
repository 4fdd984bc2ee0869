/* BF16 rows and views as floats (wide.h). */
#include "device/cpu/wide.h"
#include "base/half.h"
#include "base/mem.h"

static _Thread_local struct {
    float *row;
    int64_t n;
} buffers[WIDE_SLOTS];

float *wide_buffer(int slot, int64_t n)
{
    if (n > buffers[slot].n) {
        buffers[slot].row = mem_grow(buffers[slot].row, n, sizeof(float));
        buffers[slot].n = n;
    }
    return buffers[slot].row;
}

KERNEL void wide_load(float *to, const void *from, int64_t n)
{
    const uint16_t *x = from;
    for (int64_t i = 0; i < n; i++)
        to[i] = float_of_bf16(x[i]);
}

KERNEL void wide_round(void *to, const float *from, int64_t n)
{
    uint16_t *y = to;
    for (int64_t i = 0; i < n; i++)
        y[i] = bf16_of_float(from[i]);
}

view wide_view(struct dev *dev, int slot, view v, bool load)
{
    if (v.type == F32)
        return v;
    int64_t ld = dev_pitch(dev, v.n[2]), rows = view_rows_all(v);
    view wide = view_of(cpu_wide(dev, slot, rows * ld * (int64_t)sizeof(float)), F32, v.n[0], v.n[1], v.n[2]);
    wide.ld = ld;
    if (!load || dev->dry)
        return wide;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < rows; r++)
        wide_load(f32_row(wide, r), row_of(v, r), v.n[2]);
    return wide;
}

void wide_view_store(struct dev *dev, view v, view wide)
{
    if (v.type == F32 || dev->dry)
        return;
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < view_rows_all(v); r++)
        wide_round(row_of(v, r), f32_row(wide, r), v.n[2]);
}
