/* Rows of F32 or BF16 views as floats, because kernels compute in fp32. A F32 row is used where it lies. A
 * BF16 row goes through one of the WIDE_SLOTS buffers of the calling thread, and is rounded once, to nearest
 * even, when it is stored.
 */
#ifndef DEVICE_CPU_WIDE_H
#define DEVICE_CPU_WIDE_H
#include <string.h>
#include "device/cpu/cpu.h"

enum { WIDE_SLOTS = 4 };

/** This thread's buffer `slot` of at least n floats; it only grows. */
float *wide_buffer(int slot, int64_t n);
void wide_load(float *to, const void *from, int64_t n);
void wide_round(void *to, const float *from, int64_t n);

static inline void *row_of(view v, int64_t r)
{
    return (char *)v.data + r * v.ld * dtype_size(v.type);
}

/** The first n elements of row r as floats. What is written there reaches the row by wide_store. */
static inline float *wide_part(view v, int64_t r, int64_t n, int slot)
{
    if (v.type == F32)
        return f32_row(v, r);
    float *row = wide_buffer(slot, n);
    wide_load(row, row_of(v, r), n);
    return row;
}

static inline float *wide_row(view v, int64_t r, int slot)
{
    return wide_part(v, r, v.n[2], slot);
}

/** Room for the floats of row r, undefined. */
static inline float *wide_room(view v, int64_t r, int slot)
{
    return v.type == F32 ? f32_row(v, r) : wide_buffer(slot, v.n[2]);
}

/** Store the first n of what wide_part, wide_row or wide_room gave for row r. */
static inline void wide_store_part(view v, int64_t r, int64_t n, const float *row)
{
    if (v.type != F32)
        wide_round(row_of(v, r), row, n);
}

static inline void wide_store(view v, int64_t r, const float *row)
{
    wide_store_part(v, r, v.n[2], row);
}

/** Row r of y = row s of x, each in its type. */
static inline void wide_copy(view y, int64_t r, view x, int64_t s)
{
    if (y.type == x.type)
        memcpy(row_of(y, r), row_of(x, s), (size_t)(y.n[2] * dtype_size(y.type)));
    else if (y.type == F32)
        wide_load(f32_row(y, r), row_of(x, s), y.n[2]);
    else
        wide_round(row_of(y, r), f32_row(x, s), y.n[2]);
}

/** A view as floats: itself if it is F32, else a copy in the device's buffer `slot`, which stays until the
 * same slot is taken again. load = false: only room, undefined, as on a dry device. Not for parallel regions.
 */
view wide_view(struct dev *, int slot, view v, bool load);
/** Store the floats of wide_view in v. */
void wide_view_store(struct dev *, view v, view wide);

#endif
