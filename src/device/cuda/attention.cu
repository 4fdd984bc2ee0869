/* Our own causal attention, scale 1/sqrt(hd), for what cuDNN does not take: fp32, odd head dimensions,
 * machines without it. FlashAttention-2's order (Dao 2023): tiles of `side` queries and as many keys in
 * shared memory, the softmax kept up to date from tile to tile; backward computes the scores again from lse,
 * once by tiles of keys for dk and dv and once by tiles of queries for dq, so that every sum has one owner
 * and one order. It is slow: tiles travel through shared memory between products, and backward has seven of
 * them instead of five.
 *
 * q, o, d_o, dq [T, heads*hd], k, v, dk, dv [T, kv_heads*hd] stored; lse [T, heads] fp32. All BF16: operands
 * of products are BF16 (the probabilities and their gradients, too), sums fp32. Forward moves q, o and, for
 * every tile of queries, the keys and values before it, which the second cache holds. */
#include "device/cuda/tile.cuh"

static const int THREADS = 128, PAD = 8; /* PAD keeps rows at 16 bytes and apart from each other's banks */

/* What an accessor's products are computed in. */
template <class A> struct operand {
    typedef float type;
};
template <> struct operand<by_bf16> {
    typedef bf16 type;
};

static __device__ __forceinline__ void put(float *to, float x)
{
    *to = x;
}

static __device__ __forceinline__ void put(bf16 *to, float x)
{
    *to = __float2bfloat16_rn(x);
}

/* Sizes of a call, and of the block's tiles. */
struct call {
    int64_t seq, tiles; /* tiles of `side` rows of a sequence */
    int heads, kv_heads, side, wide;
    int ld_wide, ld_side; /* of rows in shared memory: wide = hd up to a multiple of 16 */
    float scale;
    const int32_t *first; /* [T] the first key that a row sees; NULL: 0 */
};

/* The first key that row r of the sequence from token0 on sees. */
static __device__ __forceinline__ int64_t first_of(const call &c, int64_t token0, int64_t r)
{
    return c.first && r < c.seq ? c.first[token0 + r] : 0;
}

/* The tile of its first key: no later row of the sequence sees a key before it. */
static __device__ __forceinline__ int64_t first_tile(const call &c, int64_t token0, int64_t r)
{
    return first_of(c, token0, r) / c.side * c.side;
}

/* The next `n` elements of shared memory, from 128 bytes on. */
template <class T> static __device__ T *take(unsigned char *&room, int n)
{
    T *p = (T *)room;
    room += (n * (int)sizeof(T) + 127) / 128 * 128;
    return p;
}

/* Columns of head h in the rows from `row` on. */
static __device__ rows head_of(rows x, int64_t row, int h, int64_t hd)
{
    x.at += (row * x.ld + h * hd) * (x.half ? sizeof(bf16) : sizeof(float));
    x.n = hd;
    return x;
}

/* A tile: rows [0, valid) of x, then zeros; columns behind the head are zeros. */
template <class A, class T> static __device__ void fetch(const call &c, T *to, const rows &x, int64_t valid)
{
    int packs = c.wide / PACK;
    for (int at = threadIdx.x; at < c.side * packs; at += THREADS) {
        int r = at / packs, i = at % packs * PACK;
        pack a = {};
        if (r < valid && i < x.n)
            a = A::load(x, r, i);
#pragma unroll
        for (int j = 0; j < PACK; j++)
            put(to + r * c.ld_wide + i + j, a.v[j]);
    }
}

static __device__ void clear(const call &c, float *tile)
{
    for (int i = threadIdx.x; i < c.side * c.ld_wide; i += THREADS)
        tile[i] = 0;
}

/* Rows [0, valid) of a tile to x, each divided by its divisor, if there are any. */
template <class A>
static __device__ void give(const call &c, const rows &x, const float *tile, int64_t valid,
                            const float *divisor)
{
    int packs = c.wide / PACK;
    for (int at = threadIdx.x; at < c.side * packs; at += THREADS) {
        int r = at / packs, i = at % packs * PACK;
        if (r >= valid || i >= x.n)
            continue;
        pack a;
#pragma unroll
        for (int j = 0; j < PACK; j++)
            a.v[j] = tile[r * c.ld_wide + i + j] / (divisor ? divisor[r] : 1.f);
        A::store(x, r, i, a);
    }
}

/* ---- forward: a block a tile of queries of one head ---- */

/* Scores of the keys k0 .. become exp(scale*s - maximum), 0 where the row does not see the key. Where a row's
 * maximum rises, its sum and output so far shrink. A warp a row; top is -INFINITY until it has seen a key. */
template <class T>
static __device__ void soften(const call &c, T *p, const float *s, float *o, float *top, float *sum,
                              int64_t token0, int64_t row0, int64_t k0)
{
    int lane = threadIdx.x % WARP;
    for (int r = threadIdx.x / WARP; r < c.side; r += THREADS / WARP) {
        float was = top[r], max = was, part = 0;
        int64_t first = first_of(c, token0, row0 + r), last = row0 + r < c.seq ? row0 + r : c.seq - 1;
        for (int j = lane; j < c.side; j += WARP)
            if (k0 + j >= first && k0 + j <= last)
                max = fmaxf(max, c.scale * s[r * c.ld_side + j]);
        max = warp_max(max);
        for (int j = lane; j < c.side; j += WARP) {
            bool seen = k0 + j >= first && k0 + j <= last;
            float e = seen ? expf(c.scale * s[r * c.ld_side + j] - max) : 0.f;
            part += e;
            put(p + r * c.ld_side + j, e);
        }
        part = warp_sum(part);
        float shrink = was > -INFINITY ? expf(was - max) : 0.f;
        for (int i = lane; i < c.wide; i += WARP)
            o[r * c.ld_wide + i] *= shrink;
        __syncwarp(); /* all lanes have read top */
        if (lane == 0) {
            sum[r] = sum[r] * shrink + part;
            top[r] = max;
        }
    }
}

template <class A>
static __global__ void __launch_bounds__(THREADS)
    attn_fwd(call c, rows o, float *lse, int64_t ld_lse, rows q, rows k, rows v, int64_t hd)
{
    typedef typename operand<A>::type T;
    SHARED_DYNAMIC(unsigned char, room);
    unsigned char *rest = room;
    int tile = c.side * c.ld_wide, square = c.side * c.ld_side, head = blockIdx.y;
    T *tq = take<T>(rest, tile), *tk = take<T>(rest, tile), *tv = take<T>(rest, tile),
      *p = take<T>(rest, square);
    float *s = take<float>(rest, square), *out = take<float>(rest, tile);
    float *top = take<float>(rest, c.side), *sum = take<float>(rest, c.side);
    /* late tiles see the most keys: they go first */
    int64_t row0 = (c.tiles - 1 - blockIdx.x % c.tiles) * c.side, token0 = blockIdx.x / c.tiles * c.seq;
    int64_t end = row0 + c.side < c.seq ? row0 + c.side : c.seq;
    int kv = head / (c.heads / c.kv_heads);
    rows queries = head_of(q, token0 + row0, head, hd);

    fetch<A>(c, tq, queries, end - row0);
    clear(c, out);
    for (int r = threadIdx.x; r < c.side; r += THREADS) {
        top[r] = -INFINITY;
        sum[r] = 0;
    }
    for (int64_t k0 = first_tile(c, token0, row0); k0 < end; k0 += c.side) {
        fetch<A>(c, tk, head_of(k, token0 + k0, kv, hd), c.seq - k0);
        fetch<A>(c, tv, head_of(v, token0 + k0, kv, hd), c.seq - k0);
        __syncthreads();
        product<false, true>(s, c.ld_side, tq, c.ld_wide, tk, c.ld_wide, c.side, c.side, c.wide, false);
        __syncthreads();
        soften(c, p, s, out, top, sum, token0, row0, k0);
        __syncthreads();
        product<false, false>(out, c.ld_wide, p, c.ld_side, tv, c.ld_wide, c.side, c.wide, c.side, true);
        __syncthreads(); /* tiles are fetched again */
    }
    give<A>(c, head_of(o, token0 + row0, head, hd), out, end - row0, sum);
    for (int r = threadIdx.x; r < end - row0; r += THREADS)
        lse[(token0 + row0 + r) * ld_lse + head] = top[r] + logf(sum[r]);
}

/* ---- backward ---- */

/* delta [T, heads] = o . d_o of each token and head; a warp each. */
template <class A>
static __global__ void __launch_bounds__(THREADS)
    attn_delta(float *delta, rows o, rows d_o, int64_t tokens, int heads, int64_t hd)
{
    int64_t at = (int64_t)blockIdx.x * (THREADS / WARP) + threadIdx.x / WARP, t = at / heads;
    int head = (int)(at % heads), lane = threadIdx.x % WARP;
    if (t >= tokens)
        return; /* a whole warp; no barrier follows */
    rows x = head_of(o, t, head, hd), y = head_of(d_o, t, head, hd);
    float sum = 0;
    for (int i = lane * PACK; i < hd; i += WARP * PACK) {
        pack a = A::load(x, 0, i), b = A::load(y, 0, i);
#pragma unroll
        for (int j = 0; j < PACK; j++)
            sum += a.v[j] * b.v[j];
    }
    sum = warp_sum(sum);
    if (lane == 0)
        delta[t * heads + head] = sum;
}

/* What both kernels of backward have in shared memory. */
template <class T> struct tiles {
    T *q, *k, *v, *d_o, *p, *ds;
    float *s, *dp;
};

template <class T> static __device__ tiles<T> take_tiles(const call &c, unsigned char *&rest)
{
    int tile = c.side * c.ld_wide, square = c.side * c.ld_side;
    tiles<T> t;
    t.q = take<T>(rest, tile);
    t.k = take<T>(rest, tile);
    t.v = take<T>(rest, tile);
    t.d_o = take<T>(rest, tile);
    t.p = take<T>(rest, square);
    t.ds = take<T>(rest, square);
    t.s = take<float>(rest, square);
    t.dp = take<float>(rest, square);
    return t;
}

struct bwd {
    rows dq, dk, dv, d_o, q, k, v;
    const float *lse, *delta; /* [T, heads] */
    int64_t ld_lse, hd;
};

/* p = exp(scale*s - lse) and ds = scale * p * (dp - delta) of the queries from r0 and the keys from k0 of a
 * head, 0 where the query does not see the key or is none. Barriers inside, before and after. */
template <class T>
static __device__ void score(const call &c, const bwd &b, const tiles<T> &t, int64_t token0, int64_t r0,
                             int64_t k0, int head)
{
    __syncthreads();
    product<false, true>(t.s, c.ld_side, t.q, c.ld_wide, t.k, c.ld_wide, c.side, c.side, c.wide, false);
    product<false, true>(t.dp, c.ld_side, t.d_o, c.ld_wide, t.v, c.ld_wide, c.side, c.side, c.wide, false);
    __syncthreads();
    for (int i = threadIdx.x; i < c.side * c.side; i += THREADS) {
        int r = i / c.side, j = i % c.side, at = r * c.ld_side + j;
        float p = 0, ds = 0;
        if (r0 + r < c.seq && k0 + j <= r0 + r && k0 + j >= first_of(c, token0, r0 + r)) {
            int64_t token = token0 + r0 + r;
            p = expf(c.scale * t.s[at] - b.lse[token * b.ld_lse + head]);
            ds = c.scale * p * (t.dp[at] - b.delta[token * c.heads + head]);
        }
        put(t.p + at, p);
        put(t.ds + at, ds);
    }
    __syncthreads();
}

/* A block a tile of keys of one KV head: dk and dv over the queries of its heads, in order, up to the last
 * tile that sees one of the keys. */
template <class A> static __global__ void __launch_bounds__(THREADS) attn_bwd_keys(call c, bwd b)
{
    typedef typename operand<A>::type T;
    SHARED_DYNAMIC(unsigned char, room);
    unsigned char *rest = room;
    tiles<T> t = take_tiles<T>(c, rest);
    float *dk = take<float>(rest, c.side * c.ld_wide), *dv = take<float>(rest, c.side * c.ld_wide);
    int kv = blockIdx.y, per_kv = c.heads / c.kv_heads;
    int64_t k0 = blockIdx.x % c.tiles * c.side, token0 = blockIdx.x / c.tiles * c.seq;

    fetch<A>(c, t.k, head_of(b.k, token0 + k0, kv, b.hd), c.seq - k0);
    fetch<A>(c, t.v, head_of(b.v, token0 + k0, kv, b.hd), c.seq - k0);
    clear(c, dk);
    clear(c, dv);
    for (int head = kv * per_kv; head < (kv + 1) * per_kv; head++)
        for (int64_t r0 = k0; r0 < c.seq && first_tile(c, token0, r0) <= k0; r0 += c.side) {
            fetch<A>(c, t.q, head_of(b.q, token0 + r0, head, b.hd), c.seq - r0);
            fetch<A>(c, t.d_o, head_of(b.d_o, token0 + r0, head, b.hd), c.seq - r0);
            score(c, b, t, token0, r0, k0, head);
            product<true, false>(dv, c.ld_wide, t.p, c.ld_side, t.d_o, c.ld_wide, c.side, c.wide, c.side,
                                 true);
            product<true, false>(dk, c.ld_wide, t.ds, c.ld_side, t.q, c.ld_wide, c.side, c.wide, c.side,
                                 true);
            __syncthreads(); /* tiles are fetched again */
        }
    give<A>(c, head_of(b.dk, token0 + k0, kv, b.hd), dk, c.seq - k0, NULL);
    give<A>(c, head_of(b.dv, token0 + k0, kv, b.hd), dv, c.seq - k0, NULL);
}

/* A block a tile of queries of one head: dq over the keys, in order. */
template <class A> static __global__ void __launch_bounds__(THREADS) attn_bwd_queries(call c, bwd b)
{
    typedef typename operand<A>::type T;
    SHARED_DYNAMIC(unsigned char, room);
    unsigned char *rest = room;
    tiles<T> t = take_tiles<T>(c, rest);
    float *dq = take<float>(rest, c.side * c.ld_wide);
    int head = blockIdx.y, kv = head / (c.heads / c.kv_heads);
    int64_t r0 = (c.tiles - 1 - blockIdx.x % c.tiles) * c.side, token0 = blockIdx.x / c.tiles * c.seq;

    fetch<A>(c, t.q, head_of(b.q, token0 + r0, head, b.hd), c.seq - r0);
    fetch<A>(c, t.d_o, head_of(b.d_o, token0 + r0, head, b.hd), c.seq - r0);
    clear(c, dq);
    for (int64_t k0 = first_tile(c, token0, r0); k0 <= r0; k0 += c.side) {
        fetch<A>(c, t.k, head_of(b.k, token0 + k0, kv, b.hd), c.seq - k0);
        fetch<A>(c, t.v, head_of(b.v, token0 + k0, kv, b.hd), c.seq - k0);
        score(c, b, t, token0, r0, k0, head);
        product<false, false>(dq, c.ld_wide, t.ds, c.ld_side, t.k, c.ld_wide, c.side, c.wide, c.side, true);
        __syncthreads(); /* tiles are fetched again */
    }
    give<A>(c, head_of(b.dq, token0 + r0, head, b.hd), dq, c.seq - r0, NULL);
}

/* ---- calls ---- */

/* Bytes of shared memory: tiles and squares of operands, and of fp32. */
static int shared_room(const call &c, int element, int tiles, int squares, int tiles32, int squares32)
{
    int tile = c.side * c.ld_wide, square = c.side * c.ld_side, slack = 128 * 16;
    return element * (tiles * tile + squares * square) +
           4 * (tiles32 * tile + squares32 * square + 2 * c.side) + slack;
}

static const int MOST_SHARED = 163 << 10; /* of a block, by sm_80 */

/* The largest side whose tiles of backward fit. */
static call call_of(struct attn_shape a, int64_t tokens, int element)
{
    call c = {};
    c.seq = a.seq;
    c.heads = (int)a.heads;
    c.kv_heads = (int)a.kv_heads;
    c.wide = (int)(divide_up(a.head_dim, TILE) * TILE);
    c.ld_wide = c.wide + PAD;
    c.scale = 1 / sqrtf((float)a.head_dim);
    c.first = (const int32_t *)a.first.data;
    for (c.side = 64; c.side >= TILE; c.side /= 2) {
        c.ld_side = c.side + PAD;
        c.tiles = divide_up(a.seq, c.side);
        if (shared_room(c, element, 4, 2, 2, 2) <= MOST_SHARED)
            return c;
    }
    bug("attention: a head dimension of %lld does not fit into shared memory (%lld tokens)",
        (long long)a.head_dim, (long long)tokens);
}

template <class L> static void with_operands(std::initializer_list<view> views, int64_t hd, L launch)
{
    bool packs = hd % PACK == 0, half = true, full = true;
    for (const view &v : views) {
        packs = packs && whole_packs(rows_of(v));
        half = half && v.type == BF16;
        full = full && v.type == F32;
    }
    if (packs && half)
        launch(by_bf16());
    else if (packs && full)
        launch(by_f32());
    else
        launch(by_element());
}

void cuda_attn_fwd(struct dev *dev, struct attn_shape a, view o, view lse, view q, view k, view v)
{
    int64_t tokens = q.n[1];
    if (tokens == 0 || cuda_sdpa_fwd(dev, a, o, lse, q, k, v))
        return;
    with_operands({o, q, k, v}, a.head_dim, [&](auto how) {
        typedef decltype(how) A;
        const int element = sizeof(typename operand<A>::type);
        call c = call_of(a, tokens, element);
        int bytes = shared_room(c, element, 3, 1, 1, 1);
        cudaFuncSetAttribute(attn_fwd<A>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
        LAUNCH(attn_fwd<A>, dim3((unsigned)(tokens / a.seq * c.tiles), (unsigned)a.heads), THREADS, bytes,
               cuda_stream(dev), c, rows_of(o), (float *)lse.data, lse.ld, rows_of(q), rows_of(k), rows_of(v),
               a.head_dim);
    });
}

void cuda_attn_bwd(struct dev *dev, struct attn_shape a, view dq, view dk, view dv, view d_o, view o,
                   view lse, view q, view k, view v)
{
    int64_t tokens = q.n[1];
    if (tokens == 0 || cuda_sdpa_bwd(dev, a, dq, dk, dv, d_o, o, lse, q, k, v))
        return;
    float *delta = (float *)cuda_scratch(dev, tokens * a.heads * (int64_t)sizeof *delta);
    bwd b = {rows_of(dq), rows_of(dk), rows_of(dv), rows_of(d_o),
             rows_of(q),  rows_of(k),  rows_of(v),  (const float *)lse.data,
             delta,       lse.ld,      a.head_dim};
    with_operands({dq, dk, dv, d_o, o, q, k, v}, a.head_dim, [&](auto how) {
        typedef decltype(how) A;
        const int element = sizeof(typename operand<A>::type);
        call c = call_of(a, tokens, element);
        unsigned across = (unsigned)(tokens / a.seq * c.tiles);
        int bytes = shared_room(c, element, 4, 2, 2, 2);
        cudaFuncSetAttribute(attn_bwd_keys<A>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
        cudaFuncSetAttribute(attn_bwd_queries<A>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
        LAUNCH(attn_delta<A>, (unsigned)divide_up(tokens * a.heads, THREADS / WARP), THREADS, 0,
               cuda_stream(dev), delta, rows_of(o), rows_of(d_o), tokens, (int)a.heads, a.head_dim);
        LAUNCH(attn_bwd_keys<A>, dim3(across, (unsigned)a.kv_heads), THREADS, bytes, cuda_stream(dev), c, b);
        LAUNCH(attn_bwd_queries<A>, dim3(across, (unsigned)a.heads), THREADS, bytes, cuda_stream(dev), c, b);
    });
}
