/* Moving rows to the experts and back: the plan (a stable counting sort), gather, combine, the order of
 * experts. Rows [*,H] stored. The plan moves some 20 bytes an assignment; gather moves a row in and one out,
 * combine k rows in and one out (one more in where it adds). */
#include "device/cuda/kernel.cuh"

/* ---- plan: ranks within a chunk of assignments, the chunks' counts by (expert, chunk) added up ---- */

/* slot = rank among the earlier assignments of its chunk to the same expert; count[e, chunk] from the last.
 */
static __global__ void __launch_bounds__(BLOCK)
    rank_chunk(int32_t *slot, int64_t ld_slot, int *count, int64_t chunks, const int32_t *idx, int64_t ld_idx,
               int64_t k, int64_t n)
{
    SHARED(int32_t, expert, [BLOCK]);
    int64_t a = (int64_t)blockIdx.x * BLOCK + threadIdx.x;
    int32_t e = a < n ? idx[a / k * ld_idx + a % k] : -1;
    int rank = 0, later = 0;
    expert[threadIdx.x] = e;
    __syncthreads();
    for (int i = 0; i < BLOCK; i++) {
        rank += i < (int)threadIdx.x && expert[i] == e;
        later += i > (int)threadIdx.x && expert[i] == e;
    }
    if (a < n)
        slot[a / k * ld_slot + a % k] = rank;
    if (e >= 0 && later == 0)
        count[e * chunks + blockIdx.x] = rank + 1;
}

/* count becomes the place where each (expert, chunk) begins without room; counts[e] from these, or room. One
 * block. */
static __global__ void __launch_bounds__(1024)
    begin_chunks(int32_t *counts, int *count, int *total, int64_t experts, int64_t chunks, int64_t room)
{
    int all = block_scan(count, experts * chunks);
    for (int64_t e = threadIdx.x; e < experts; e += blockDim.x)
        counts[e] = room > 0 ? (int)room
                    : chunks ? (e + 1 < experts ? count[(e + 1) * chunks] : all) - count[e * chunks]
                             : 0;
    if (threadIdx.x == 0)
        *total = all;
}

static __global__ void __launch_bounds__(BLOCK)
    place(int32_t *slot, int64_t ld_slot, int32_t *pick, const int *begin, const int *total, int64_t chunks,
          const int32_t *idx, int64_t ld_idx, int64_t k, int64_t n, int64_t room)
{
    int64_t a = (int64_t)blockIdx.x * BLOCK + threadIdx.x;
    if (a >= n)
        return;
    int32_t e = idx[a / k * ld_idx + a % k], *to = slot + a / k * ld_slot + a % k;
    *to = e >= 0 ? begin[e * chunks + blockIdx.x] + *to : -1;
    if (e >= 0 && room > 0)
        *to += (int32_t)(e * room) - begin[e * chunks];
    if (e >= 0)
        pick[*to] = (int32_t)a;
    if (room == 0 && a >= *total)
        pick[a] = -1; /* nobody's place */
}

static __global__ void __launch_bounds__(BLOCK) set(int *x, int64_t n, int value)
{
    int64_t i = (int64_t)blockIdx.x * BLOCK + threadIdx.x;
    if (i < n)
        x[i] = value;
}

void cuda_route_plan(struct dev *dev, view counts, view slot, view pick, view idx, int64_t room)
{
    int64_t n = view_size(idx), k = idx.n[2], experts = view_size(counts), chunks = divide_up(n, BLOCK);
    int *total = (int *)cuda_scratch(dev, (1 + experts * chunks) * (int64_t)sizeof *total),
        *count = total + 1;
    int32_t *slots = (int32_t *)slot.data, *picks = (int32_t *)pick.data;
    const int32_t *choice = (const int32_t *)idx.data;
    cudaStream_t stream = cuda_stream(dev);
    if (experts * chunks > 0)
        LAUNCH(set, (unsigned)divide_up(experts * chunks, BLOCK), BLOCK, 0, stream, count, experts * chunks,
               0);
    if (experts * room > 0)
        LAUNCH(set, (unsigned)divide_up(experts * room, BLOCK), BLOCK, 0, stream, (int *)picks,
               experts * room, -1);
    if (n > 0)
        LAUNCH(rank_chunk, (unsigned)chunks, BLOCK, 0, stream, slots, slot.ld, count, chunks, choice, idx.ld,
               k, n);
    LAUNCH(begin_chunks, 1, 1024, 0, stream, (int32_t *)counts.data, count, total, experts, chunks, room);
    if (n > 0)
        LAUNCH(place, (unsigned)chunks, BLOCK, 0, stream, slots, slot.ld, picks, (const int *)count,
               (const int *)total, chunks, choice, idx.ld, k, n, room);
}

/* ---- y[r] = x[row[r]/div], row -1 gives zeros ---- */

template <class A>
static __global__ void __launch_bounds__(BLOCK)
    gather_rows(rows y, rows x, const int32_t *row, int64_t div, int64_t count)
{
    int64_t r = plane_row();
    if (r >= count)
        return;
    int64_t from = row[r];
    for (int64_t i = first_column(); i < y.n; i += column_step()) {
        pack a = {};
        if (from >= 0)
            a = A::load(x, from / div, i);
        A::store(y, r, i, a);
    }
}

void cuda_gather_rows(struct dev *dev, view yv, view xv, view row, int64_t div)
{
    rows y = rows_of(yv), x = rows_of(xv);
    plane p = plane_of(yv.n[1], y.n);
    if (view_size(yv) > 0)
        with_access({y, x}, {}, [&](auto how) {
            LAUNCH(gather_rows<decltype(how)>, p.grid, p.block, 0, cuda_stream(dev), y, x,
                   (const int32_t *)row.data, div, yv.n[1]);
        });
}

/* ---- y[row[r]] = x[r], not where row is -1 ---- */

template <class A>
static __global__ void __launch_bounds__(BLOCK) put_rows(rows y, rows x, const int32_t *row, int64_t count)
{
    int64_t r = plane_row();
    if (r >= count || row[r] < 0)
        return;
    for (int64_t i = first_column(); i < x.n; i += column_step())
        A::store(y, row[r], i, A::load(x, r, i));
}

void cuda_put_rows(struct dev *dev, view yv, view xv, view row)
{
    rows y = rows_of(yv), x = rows_of(xv);
    plane p = plane_of(xv.n[1], x.n);
    if (view_size(xv) > 0)
        with_access({y, x}, {}, [&](auto how) {
            LAUNCH(put_rows<decltype(how)>, p.grid, p.block, 0, cuda_stream(dev), y, x,
                   (const int32_t *)row.data, xv.n[1]);
        });
}

/* ---- out[t] (+)= sum over j, ascending, of y[slot[t,j]] ---- */

/* The first row is taken, not added to zero: bits stay (0 + -0 is 0). */
template <class A>
static __global__ void __launch_bounds__(BLOCK, 4) /* four blocks: room for 64 registers */
    combine(rows out, rows y, const int32_t *slot, int64_t ld, int64_t k, bool acc, int64_t tokens)
{
    int64_t t = plane_row();
    if (t >= tokens)
        return;
    for (int64_t i = first_column(); i < out.n; i += column_step()) {
        pack sum = {};
        bool add = acc;
        if (acc)
            sum = A::load(out, t, i);
        for (int64_t j = 0; j < k; j++) {
            int32_t from = slot[t * ld + j];
            if (from < 0)
                continue;
            pack a = A::load(y, from, i);
#pragma unroll
            for (int c = 0; c < PACK; c++)
                sum.v[c] = add ? sum.v[c] + a.v[c] : a.v[c];
            add = true;
        }
        A::store(out, t, i, sum);
    }
}

void cuda_combine(struct dev *dev, view outv, view yv, view slot, bool acc)
{
    rows out = rows_of(outv), y = rows_of(yv);
    plane p = plane_of(outv.n[1], out.n);
    if (view_size(outv) > 0)
        with_access({out, y}, {}, [&](auto how) {
            LAUNCH(combine<decltype(how)>, p.grid, p.block, 0, cuda_stream(dev), out, y,
                   (const int32_t *)slot.data, slot.ld, slot.n[2], acc, outv.n[1]);
        });
}

/* ---- rows arrive as runs (q, p, expert) and are wanted as (expert, p, q) ---- */

/* The run that is wanted at this place of the second order: its number in the order of arrival. */
static __device__ int64_t arrival_of(int64_t wanted, int64_t q, int64_t p, int64_t experts)
{
    int64_t e = wanted / (p * q), source = wanted % (p * q);
    return (source % q * p + source / q) * experts + e;
}

/* from[run]: where it arrives; to[wanted]: where it goes. One block; a thread writes what it reads in the
 * scan. */
static __global__ void __launch_bounds__(1024)
    begin_runs(int *from, int *to, const int32_t *cnt, int64_t ld, int64_t q, int64_t p, int64_t experts)
{
    int64_t runs = q * p * experts;
    for (int64_t i = threadIdx.x; i < runs; i += blockDim.x) {
        int64_t run = arrival_of(i, q, p, experts);
        from[i] = cnt[i / experts * ld + i % experts];
        to[i] = cnt[run / experts * ld + run % experts];
    }
    block_scan(from, runs);
    block_scan(to, runs);
}

/* A block a run. */
static __global__ void __launch_bounds__(BLOCK)
    order_run(int32_t *order, int32_t *back, const int *from, const int *to, const int32_t *cnt, int64_t ld,
              int64_t q, int64_t p, int64_t experts)
{
    int64_t run = arrival_of(blockIdx.x, q, p, experts);
    int n = cnt[run / experts * ld + run % experts], at = from[run], goes = to[blockIdx.x];
    for (int i = threadIdx.x; i < n; i += BLOCK) {
        order[goes + i] = at + i;
        back[at + i] = goes + i;
    }
}

void cuda_expert_order(struct dev *dev, view order, view back, view cnt, int64_t q)
{
    int64_t sources = cnt.n[1], experts = cnt.n[2], runs = sources * experts;
    int *from = (int *)cuda_scratch(dev, 2 * runs * (int64_t)sizeof *from), *to = from + runs;
    const int32_t *counts = (const int32_t *)cnt.data;
    if (runs == 0)
        return;
    LAUNCH(begin_runs, 1, 1024, 0, cuda_stream(dev), from, to, counts, cnt.ld, q, sources / q, experts);
    LAUNCH(order_run, (unsigned)runs, BLOCK, 0, cuda_stream(dev), (int32_t *)order.data, (int32_t *)back.data,
           (const int *)from, (const int *)to, counts, cnt.ld, q, sources / q, experts);
}
