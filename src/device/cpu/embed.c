/* Embedding with the vocabulary cut over ranks. This rank holds rows [v0, v0 + w.n[1]). */
#include "device/cpu/wide.h"
#include <omp.h>
#include <string.h>

void cpu_embed_fwd(struct dev *dev, view x, view ids, int64_t v0, view w)
{
    (void)dev;
    const int32_t *id = ids.data;
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < x.n[1]; t++) {
        int64_t v = id[t] - v0;
        if (v >= 0 && v < w.n[1])
            wide_copy(x, t, w, v);
        else
            memset(row_of(x, t), 0, (size_t)(x.n[2] * dtype_size(x.type)));
    }
}

/* Row v of the vocabulary belongs to thread v mod threads, which adds its tokens in order. So there are no
 * atomics, and the low ids, which are frequent, are spread over the threads. */
KERNEL void cpu_embed_bwd(struct dev *dev, view ids, view dx, int64_t v0, bool acc, view dw)
{
    (void)dev;
    const int32_t *id = ids.data;
    int64_t h = dw.n[2];
#pragma omp parallel
    {
        if (!acc) {
#pragma omp for schedule(static)
            for (int64_t v = 0; v < dw.n[1]; v++)
                memset(f32_row(dw, v), 0, (size_t)h * sizeof(float));
        }
        int64_t mine = omp_get_thread_num(), threads = omp_get_num_threads();
        for (int64_t t = 0; t < dx.n[1]; t++) {
            int64_t v = id[t] - v0;
            if (v < 0 || v >= dw.n[1] || v % threads != mine)
                continue;
            float *sum = f32_row(dw, v);
            const float *d = wide_row(dx, t, 0);
#pragma omp simd
            for (int64_t i = 0; i < h; i++)
                sum[i] += d[i];
        }
    }
}
