/* Copies, fills, adds, and the sum of what ranks sent. Elementwise: the bytes to move are those of the
 * arguments, once each.
 *
 * Elements that lie together are cut into rows of SPAN, so that a vector of any length fills the card; rows
 * with gaps stay rows. */
#include "device/cuda/kernel.cuh"

static const int SPAN = 2048;

/* `count` rows of n elements; of all `total` elements the last row may have fewer. */
struct cut {
    int64_t count, n, total;
};

static bool together(view v)
{
    return view_contiguous(v);
}

static cut cut_of(view v, bool flat)
{
    int64_t total = view_size(v);
    return flat ? cut{divide_up(total, SPAN), SPAN, total} : cut{count_rows(v), v.n[2], total};
}

/* n of all, so that with_access sees whether packs are whole at the end. */
static rows cut_rows(view v, bool flat)
{
    rows x = rows_of(v);
    if (flat) {
        x.ld = SPAN;
        x.n = view_size(v);
    }
    return x;
}

/** Elements of row r. */
static __device__ __forceinline__ int64_t length(const cut &c, int64_t r)
{
    int64_t left = c.total - r * c.n;
    return left < c.n ? left : c.n;
}

/* ---- copy: a conversion rounds to nearest even ---- */

template <class A> static __global__ void __launch_bounds__(BLOCK) copy(rows y, rows x, cut c)
{
    int64_t r = plane_row();
    if (r >= c.count)
        return;
    x.n = y.n = length(c, r);
    for (int64_t i = first_column(); i < x.n; i += column_step())
        A::store(y, r, i, A::load(x, r, i));
}

/* Between types eight elements are one access of 16 bytes and two. */
struct widen {
    static __device__ pack load(const rows &x, int64_t r, int64_t i)
    {
        return by_bf16::load(x, r, i);
    }
    static __device__ void store(const rows &x, int64_t r, int64_t i, const pack &a)
    {
        by_f32::store(x, r, i, a);
    }
};
struct narrow {
    static __device__ pack load(const rows &x, int64_t r, int64_t i)
    {
        return by_f32::load(x, r, i);
    }
    static __device__ void store(const rows &x, int64_t r, int64_t i, const pack &a)
    {
        by_bf16::store(x, r, i, a);
    }
};

/* An F64 is two words, which a copy does not look into. */
static view as_words(view v)
{
    if (v.type == F64) {
        v.n[2] *= 2;
        v.ld *= 2;
    }
    return v;
}

void cuda_copy(struct dev *dev, view dst, view src)
{
    dst = as_words(dst);
    src = as_words(src);
    bool flat = together(dst) && together(src);
    cut c = cut_of(dst, flat);
    rows y = cut_rows(dst, flat), x = cut_rows(src, flat);
    plane p = plane_of(c.count, c.n);
    if (c.total == 0)
        return;
    if (x.half != y.half && whole_packs(x) && whole_packs(y)) {
        if (x.half)
            LAUNCH(copy<widen>, p.grid, p.block, 0, cuda_stream(dev), y, x, c);
        else
            LAUNCH(copy<narrow>, p.grid, p.block, 0, cuda_stream(dev), y, x, c);
        return;
    }
    with_access({y, x}, {}, [&](auto how) {
        LAUNCH(copy<decltype(how)>, p.grid, p.block, 0, cuda_stream(dev), y, x, c);
    });
}

/* ---- fill, add, scale ---- */

template <class A> static __global__ void __launch_bounds__(BLOCK) fill(rows y, float value, cut c)
{
    int64_t r = plane_row();
    if (r >= c.count)
        return;
    y.n = length(c, r);
    pack v;
#pragma unroll
    for (int j = 0; j < PACK; j++)
        v.v[j] = value;
    for (int64_t i = first_column(); i < y.n; i += column_step())
        A::store(y, r, i, v);
}

void cuda_fill(struct dev *dev, view dst, float value)
{
    bool flat = together(dst);
    cut c = cut_of(dst, flat);
    rows y = cut_rows(dst, flat);
    plane p = plane_of(c.count, c.n);
    if (c.total == 0)
        return;
    with_access({y}, {}, [&](auto how) {
        LAUNCH(fill<decltype(how)>, p.grid, p.block, 0, cuda_stream(dev), y, value, c);
    });
}

/* y += x; with ldx = 0 every row adds the same x. */
template <class Y, class X> static __global__ void __launch_bounds__(BLOCK) add(rows y, rows x, cut c)
{
    int64_t r = plane_row();
    if (r >= c.count)
        return;
    x.n = y.n = length(c, r);
    for (int64_t i = first_column(); i < y.n; i += column_step()) {
        pack a = Y::load(y, r, i), b = X::load(x, r, i);
#pragma unroll
        for (int j = 0; j < PACK; j++)
            a.v[j] += b.v[j];
        Y::store(y, r, i, a);
    }
}

template <class A> static void launch_add(struct dev *dev, const rows &y, const rows &x, const cut &c)
{
    plane p = plane_of(c.count, c.n);
    auto *kernel = add<A, A>;
    LAUNCH(kernel, p.grid, p.block, 0, cuda_stream(dev), y, x, c);
}

void cuda_add(struct dev *dev, view yv, view xv)
{
    bool flat = together(yv) && together(xv);
    cut c = cut_of(yv, flat);
    rows y = cut_rows(yv, flat), x = cut_rows(xv, flat);
    if (c.total > 0)
        with_access({y, x}, {}, [&](auto how) { launch_add<decltype(how)>(dev, y, x, c); });
}

/* y *= by. Reads and writes y once. */
template <class Y> static __global__ void __launch_bounds__(BLOCK) scale(rows y, float by, cut c)
{
    int64_t r = plane_row();
    if (r >= c.count)
        return;
    y.n = length(c, r);
    for (int64_t i = first_column(); i < y.n; i += column_step()) {
        pack a = Y::load(y, r, i);
#pragma unroll
        for (int j = 0; j < PACK; j++)
            a.v[j] *= by;
        Y::store(y, r, i, a);
    }
}

void cuda_scale(struct dev *dev, view yv, float by)
{
    bool flat = together(yv);
    cut c = cut_of(yv, flat);
    rows y = cut_rows(yv, flat);
    plane p = plane_of(c.count, c.n);
    if (c.total == 0)
        return;
    with_access({y}, {}, [&](auto how) {
        LAUNCH(scale<decltype(how)>, p.grid, p.block, 0, cuda_stream(dev), y, by, c);
    });
}

template <class A> static void launch_add_bias(struct dev *dev, const rows &y, const rows &x, const cut &c)
{
    plane p = plane_of(c.count, c.n);
    auto *kernel = add<A, typename A::f32>;
    LAUNCH(kernel, p.grid, p.block, 0, cuda_stream(dev), y, x, c);
}

void cuda_add_bias(struct dev *dev, view yv, view bias)
{
    cut c = cut_of(yv, false);
    rows y = rows_of(yv), x = row_of(bias);
    x.ld = 0;
    if (c.total > 0)
        with_access({y}, {x}, [&](auto how) { launch_add_bias<decltype(how)>(dev, y, x, c); });
}

/* ---- out = row 0 + row 1 + ... of `ranks` rows, row `own` read from `mine`, which may be out: 16 bytes at a
 * time where all begin there ---- */

template <class T, int N> struct alignas(sizeof(T) * N) few {
    T v[N];
};

template <class T, int N>
static __global__ void __launch_bounds__(BLOCK)
    sum_parts(T *out, const T *parts, int64_t ld, int64_t ranks, int64_t own, const T *mine, int64_t n)
{
    typedef few<T, N> some;
    for (int64_t i = ((int64_t)blockIdx.x * BLOCK + threadIdx.x) * N; i < n;
         i += (int64_t)gridDim.x * BLOCK * N) {
        some sum = *(const some *)((own == 0 ? mine : parts) + i);
        for (int64_t r = 1; r < ranks; r++) {
            some part = *(const some *)((r == own ? mine : parts + r * ld) + i);
#pragma unroll
            for (int j = 0; j < N; j++)
                sum.v[j] += part.v[j];
        }
        *(some *)(out + i) = sum;
    }
}

template <class T, int N>
static void launch_sum_parts(struct dev *dev, view out, view parts, int64_t own, view mine)
{
    const int64_t MOST = 1 << 16;
    int64_t n = view_size(out), blocks = divide_up(n, BLOCK * N);
    auto *kernel = sum_parts<T, N>;
    LAUNCH(kernel, (unsigned)(blocks < MOST ? blocks : MOST), BLOCK, 0, cuda_stream(dev), (T *)out.data,
           (const T *)parts.data, parts.ld, parts.n[1], own, (const T *)mine.data, n);
}

template <class T> static void sum_parts_of(struct dev *dev, view out, view parts, int64_t own, view mine)
{
    const int64_t n = 16 / sizeof(T);
    uintptr_t all = (uintptr_t)out.data | (uintptr_t)parts.data | (uintptr_t)mine.data;
    if (all % 16 == 0 && parts.ld % n == 0 && view_size(out) % n == 0)
        launch_sum_parts<T, n>(dev, out, parts, own, mine);
    else
        launch_sum_parts<T, 1>(dev, out, parts, own, mine);
}

void cuda_sum_parts(struct dev *dev, view out, view parts, int64_t own, view mine)
{
    if (view_size(out) == 0)
        return;
    if (out.type == F32)
        sum_parts_of<float>(dev, out, parts, own, mine);
    else if (out.type == F64)
        sum_parts_of<double>(dev, out, parts, own, mine);
    else
        sum_parts_of<int32_t>(dev, out, parts, own, mine);
}
