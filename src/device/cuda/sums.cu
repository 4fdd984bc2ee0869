/* Sums over rows or over everything, in double and in an order that the sizes alone decide, and the search
 * for what is not finite. Each reads its argument once. */
#include "device/cuda/kernel.cuh"
#include "device/cuda/sums.cuh"

/* ---- sums over rows ---- */

static const int LANES = 32, GROUPS = 8, COLUMNS = LANES * PACK;

/* part[chunk, column] = sum of a chunk's rows; a group of threads adds every GROUPS-th row. */
template <class A>
static __global__ void __launch_bounds__(BLOCK) sum_chunks(double *part, rows x, int64_t height)
{
    SHARED(double, sum, [GROUPS][COLUMNS]); /* [group][element of the pack, lane] */
    int64_t i = ((int64_t)blockIdx.x * LANES + threadIdx.x) * PACK, from = (int64_t)blockIdx.y * SUM_ROWS;
    int64_t to = from + SUM_ROWS < height ? from + SUM_ROWS : height;
    double s[PACK] = {};
    for (int64_t r = from + threadIdx.y; r < to && i < x.n; r += GROUPS) {
        pack v = A::load(x, r, i);
#pragma unroll
        for (int j = 0; j < PACK; j++)
            s[j] += (double)v.v[j];
    }
#pragma unroll
    for (int j = 0; j < PACK; j++)
        sum[threadIdx.y][j * LANES + threadIdx.x] = s[j];
    __syncthreads();
    int at = threadIdx.y * LANES + threadIdx.x;
    double total = 0;
    for (int g = 0; g < GROUPS; g++)
        total += sum[g][at];
    int64_t column = ((int64_t)blockIdx.x * LANES + at % LANES) * PACK + at / LANES;
    part[blockIdx.y * (int64_t)gridDim.x * COLUMNS + column] = total;
}

/* y[column] (+)= sum over the chunks */
static __global__ void __launch_bounds__(BLOCK)
    add_chunks(float *y, const double *part, int64_t chunks, int64_t ld, int64_t n, bool acc)
{
    int64_t i = (int64_t)blockIdx.x * BLOCK + threadIdx.x;
    if (i >= n)
        return;
    double total = 0;
    for (int64_t c = 0; c < chunks; c++)
        total += part[c * ld + i];
    y[i] = (float)(acc ? (double)y[i] + total : total);
}

int64_t sum_rows_room(int64_t height, int64_t n)
{
    return divide_up(height, SUM_ROWS) * divide_up(n, COLUMNS) * COLUMNS * (int64_t)sizeof(double);
}

void sum_rows(cudaStream_t stream, float *y, rows x, int64_t height, bool acc, double *room)
{
    unsigned tiles = (unsigned)divide_up(x.n, COLUMNS), chunks = (unsigned)divide_up(height, SUM_ROWS);
    if (x.n == 0)
        return;
    if (chunks > 0)
        with_access({x}, {}, [&](auto how) {
            LAUNCH(sum_chunks<decltype(how)>, dim3(tiles, chunks), dim3(LANES, GROUPS), 0, stream, room, x,
                   height);
        });
    LAUNCH(add_chunks, (unsigned)divide_up(x.n, BLOCK), BLOCK, 0, stream, y, room, (int64_t)chunks,
           (int64_t)tiles * COLUMNS, x.n, acc);
}

void cuda_colsum(struct dev *dev, view x, bool acc, view y)
{
    double *room = (double *)cuda_scratch(dev, sum_rows_room(x.n[1], x.n[2]));
    sum_rows(cuda_stream(dev), (float *)y.data, rows_of(x), x.n[1], acc, room);
}

/* ---- sums over everything: PARTS blocks take rows in turn, then one adds the parts in order ---- */

static const int PARTS = 1024, SPAN = 4096;

template <class A>
static __global__ void __launch_bounds__(BLOCK)
    sum_all(double *part, rows x, int64_t count, int64_t n, int64_t total, bool squares)
{
    double sum = 0;
    for (int64_t r = blockIdx.x; r < count; r += gridDim.x) {
        x.n = total - r * n < n ? total - r * n : n;
        for (int64_t i = first_column(); i < x.n; i += column_step()) {
            pack v = A::load(x, r, i);
#pragma unroll
            for (int j = 0; j < PACK; j++)
                sum += (double)v.v[j] * (squares ? (double)v.v[j] : 1.0);
        }
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0)
        part[blockIdx.x] = sum;
}

static __global__ void __launch_bounds__(BLOCK) add_parts(double *total, const double *part, int parts)
{
    double sum = 0;
    for (int i = threadIdx.x; i < parts; i += BLOCK)
        sum += part[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0)
        *total += sum;
}

static void sum_view(struct dev *dev, view total, view v, bool squares)
{
    int64_t size = view_size(v), count = count_rows(v), n = v.n[2];
    rows x = rows_of(v);
    if (size == 0)
        return;
    if (view_contiguous(v)) {
        count = divide_up(size, SPAN);
        n = x.ld = SPAN;
        x.n = size;
    }
    unsigned blocks = (unsigned)(count < PARTS ? count : PARTS);
    double *part = (double *)cuda_scratch(dev, PARTS * (int64_t)sizeof *part);
    with_access({x}, {}, [&](auto how) {
        LAUNCH(sum_all<decltype(how)>, blocks, BLOCK, 0, cuda_stream(dev), part, x, count, n, size, squares);
    });
    LAUNCH(add_parts, 1, BLOCK, 0, cuda_stream(dev), (double *)total.data, part, (int)blocks);
}

void cuda_sum(struct dev *dev, view total, view x)
{
    sum_view(dev, total, x, false);
}

void cuda_sumsq(struct dev *dev, view total, view x)
{
    sum_view(dev, total, x, true);
}

/* ---- finite ---- */

/* bad = 1 if an exponent is all ones. Threads that find one write the same. */
template <class T>
static __global__ void __launch_bounds__(BLOCK)
    find_bad(int *bad, const T *x, int64_t count, int64_t n, int64_t ld, T exponent)
{
    int found = 0;
    for (int64_t r = blockIdx.y; r < count; r += gridDim.y)
        for (int64_t i = (int64_t)blockIdx.x * BLOCK + threadIdx.x; i < n; i += (int64_t)gridDim.x * BLOCK)
            found |= (x[r * ld + i] & exponent) == exponent;
    if (found)
        atomicOr(bad, 1);
}

template <class T> static void launch_find_bad(struct dev *dev, int *bad, view x, T exponent)
{
    int64_t count = count_rows(x), n = x.n[2];
    if (view_contiguous(x)) {
        n = view_size(x);
        count = 1;
    }
    int64_t across = divide_up(n, BLOCK);
    dim3 grid((unsigned)(across < 1024 ? across : 1024), (unsigned)(count < 4096 ? count : 4096));
    LAUNCH(find_bad<T>, grid, BLOCK, 0, cuda_stream(dev), bad, (const T *)x.data, count, n, x.ld, exponent);
}

static __global__ void set_zero(int *x)
{
    *x = 0;
}

bool cuda_finite(struct dev *dev, view x)
{
    int *bad = (int *)cuda_scratch(dev, sizeof *bad), found = 0;
    if (view_size(x) == 0)
        return true;
    LAUNCH(set_zero, 1, 1, 0, cuda_stream(dev), bad);
    if (x.type == F32)
        launch_find_bad<uint32_t>(dev, bad, x, 0x7f800000u);
    else
        launch_find_bad<uint16_t>(dev, bad, x, 0x7f80u);
    dev->ops->download(dev, &found, bad, sizeof found);
    return !found;
}
