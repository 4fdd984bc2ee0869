/* Embedding of a vocabulary cut over ranks: this rank holds the rows v0 .. v0 + Vl. x, dx [T,H] and w [Vl,H]
 * stored, dw [Vl,H] fp32. Forward moves a row of w and of x a token. Backward moves dx, and reads and writes
 * the rows of dw that tokens have; all of dw where it overwrites. */
#include "device/cuda/kernel.cuh"

template <class A>
static __global__ void __launch_bounds__(BLOCK)
    embed_fwd(rows x, const int32_t *ids, int64_t v0, rows w, int64_t tokens, int64_t vocab)
{
    int64_t t = plane_row();
    if (t >= tokens)
        return;
    int64_t v = ids[t] - v0;
    for (int64_t i = first_column(); i < x.n; i += column_step()) {
        pack a = {};
        if (v >= 0 && v < vocab)
            a = A::load(w, v, i);
        A::store(x, t, i, a);
    }
}

void cuda_embed_fwd(struct dev *dev, view xv, view ids, int64_t v0, view wv)
{
    rows x = rows_of(xv), w = rows_of(wv);
    plane p = plane_of(xv.n[1], x.n);
    if (view_size(xv) > 0)
        with_access({x, w}, {}, [&](auto how) {
            LAUNCH(embed_fwd<decltype(how)>, p.grid, p.block, 0, cuda_stream(dev), x,
                   (const int32_t *)ids.data, v0, w, xv.n[1], wv.n[1]);
        });
}

/* ---- backward: tokens sorted by id, so that the rows of a word lie together in token order ---- */

/* order[place] = token. A token's place is the number of tokens before it by (id, token): T^2 comparisons of
 * ids that lie in the caches, a small part of a step up to some 64,000 tokens. */
static __global__ void __launch_bounds__(BLOCK)
    sort_tokens(int32_t *order, const int32_t *ids, int64_t tokens)
{
    SHARED(int32_t, tile, [BLOCK]);
    int64_t t = (int64_t)blockIdx.x * BLOCK + threadIdx.x, place = 0;
    int32_t mine = t < tokens ? ids[t] : 0;
    for (int64_t from = 0; from < tokens; from += BLOCK) {
        int n = tokens - from < BLOCK ? (int)(tokens - from) : BLOCK;
        __syncthreads(); /* the tile was read */
        if ((int)threadIdx.x < n)
            tile[threadIdx.x] = ids[from + threadIdx.x];
        __syncthreads();
        for (int i = 0; i < n; i++)
            place += tile[i] < mine || (tile[i] == mine && from + i < t);
    }
    if (t < tokens)
        order[place] = (int32_t)t;
}

static const int COLUMNS = 64 * PACK; /* of a block of 64 threads */

/* The block of a word's first token adds all of its tokens, in order. */
template <class A, class D>
static __global__ void __launch_bounds__(64) embed_bwd(rows dw, const int32_t *order, const int32_t *ids,
                                                       int64_t v0, int64_t vocab, rows dx, int64_t tokens)
{
    int64_t place = blockIdx.x, i = (int64_t)blockIdx.y * COLUMNS + first_column();
    int32_t id = ids[order[place]];
    int64_t v = id - v0;
    bool first = place == 0 || ids[order[place - 1]] != id;
    if (!first || v < 0 || v >= vocab || i >= dw.n)
        return;
    pack sum = D::load(dw, v, i);
    for (; place < tokens && ids[order[place]] == id; place++) {
        pack a = A::load(dx, order[place], i);
#pragma unroll
        for (int j = 0; j < PACK; j++)
            sum.v[j] += a.v[j];
    }
    D::store(dw, v, i, sum);
}

template <class A>
static void launch_bwd(struct dev *dev, const rows &dw, int32_t *order, const int32_t *ids, int64_t v0,
                       int64_t vocab, const rows &dx, int64_t tokens)
{
    dim3 grid((unsigned)tokens, (unsigned)divide_up(dw.n, COLUMNS));
    auto *embed_bwd_kernel = embed_bwd<A, typename A::f32>;
    LAUNCH(sort_tokens, (unsigned)divide_up(tokens, BLOCK), BLOCK, 0, cuda_stream(dev), order, ids, tokens);
    LAUNCH(embed_bwd_kernel, grid, 64, 0, cuda_stream(dev), dw, (const int32_t *)order, ids, v0, vocab, dx,
           tokens);
}

void cuda_embed_bwd(struct dev *dev, view ids, view dxv, int64_t v0, bool acc, view dwv)
{
    rows dw = rows_of(dwv), dx = rows_of(dxv);
    int64_t tokens = dxv.n[1];
    if (!acc)
        cuda_fill(dev, dwv, 0);
    if (view_size(dxv) == 0)
        return;
    int32_t *order = (int32_t *)cuda_scratch(dev, tokens * (int64_t)sizeof *order);
    with_access({dx}, {dw}, [&](auto how) {
        launch_bwd<decltype(how)>(dev, dw, order, (const int32_t *)ids.data, v0, dwv.n[1], dx, tokens);
    });
}
