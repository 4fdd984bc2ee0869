/* The FFNs of E experts, forward beside backward: expert by expert on several lanes, so that one's last wave
 * of tiles does not leave the card idle, and all rows of an expert at once, so that its weight gradient is
 * read and written once a call. Bytes that one call must move at least: x, gu, y once, the weights once;
 * backward also the fp32 weight gradients, twice if they accumulate. */
#include "base/mem.h"
#include "device/cuda/host.h"

/** The rows [from, from + n) of a vector [R]; none stays none. */
static view part(view v, int64_t from, int64_t n)
{
    return view_is_none(v) ? v : view_cols(view_reshape(v, 1, 1, view_size(v)), from, n);
}

/* The expert lanes begin where the facade's stream is now, and it goes on when they are done. */
static void fork_lanes(struct dev *dev)
{
    struct cuda *cuda = dev->own;
    struct lane *from = cuda_lane(dev);
    CUDA(cudaEventRecord(from->event, from->stream));
    for (int i = STREAMS; i < LANES; i++)
        CUDA(cudaStreamWaitEvent(cuda->lane[i].stream, from->event, 0));
}

static void join_lanes(struct dev *dev)
{
    struct cuda *cuda = dev->own;
    cuda->expert_lane = 0;
    for (int i = STREAMS; i < LANES; i++) {
        CUDA(cudaEventRecord(cuda->lane[i].event, cuda->lane[i].stream));
        CUDA(cudaStreamWaitEvent(cuda_stream(dev), cuda->lane[i].event, 0));
    }
}

static void use_lane(struct dev *dev, int64_t expert)
{
    cuda_of(dev)->expert_lane = 1 + (int)(expert % EXPERT_LANES);
}

/** `count` matrices [R, F] like gu, in the scratch of the facade's stream. */
static view activations(struct dev *dev, view gu, int64_t width, int64_t count)
{
    int64_t bytes = mem_mul(mem_mul(count * gu.n[1], width), dtype_size(gu.type));
    return view_of(bytes > 0 ? cuda_scratch(dev, bytes) : NULL, gu.type, count, gu.n[1], width);
}

void cuda_expert_ffn_fwd(struct dev *dev, struct arena *arena, view y, view gu, int64_t experts,
                         const int64_t *offs, view x, view wgu, view wd, view weight, bool acc_y)
{
    (void)arena;
    view act = view_at(activations(dev, gu, wd.n[2], 1), 0);
    fork_lanes(dev);
    for (int64_t e = 0; e < experts; e++) {
        int64_t r = offs[e], n = offs[e + 1] - r;
        view gu_n = view_rows(gu, r, n), act_n = view_rows(act, r, n);
        use_lane(dev, e);
        cuda_gemm(dev, false, true, view_rows(x, r, n), view_at(wgu, e), false, gu_n);
        if (view_is_none(y))
            continue;
        cuda_swiglu_fwd(dev, act_n, gu_n, part(weight, r, n));
        cuda_gemm(dev, false, true, act_n, view_at(wd, e), acc_y, view_rows(y, r, n));
    }
    join_lanes(dev);
}

void cuda_expert_ffn_bwd(struct dev *dev, struct arena *arena, view dx, view dwgu, view dwd, view d_weight,
                         int64_t experts, const int64_t *offs, view dy, view x, view gu, view wgu, view wd,
                         view weight, bool acc)
{
    (void)arena;
    view both = activations(dev, gu, wd.n[2], 2), act = view_at(both, 0), d_act = view_at(both, 1);
    fork_lanes(dev);
    for (int64_t e = 0; e < experts; e++) {
        int64_t r = offs[e], n = offs[e + 1] - r;
        view gu_n = view_rows(gu, r, n), act_n = view_rows(act, r, n), d_act_n = view_rows(d_act, r, n);
        view x_n = view_rows(x, r, n), dy_n = view_rows(dy, r, n);
        use_lane(dev, e);
        cuda_gemm(dev, false, false, dy_n, view_at(wd, e), false, d_act_n);
        cuda_swiglu_bwd(dev, gu_n, act_n, part(d_weight, r, n), d_act_n, gu_n, part(weight, r, n));
        cuda_gemm(dev, true, false, dy_n, act_n, acc, view_at(dwd, e)); /* without rows: zeros, unless acc */
        cuda_gemm(dev, true, false, gu_n, x_n, acc, view_at(dwgu, e));
        cuda_gemm(dev, false, false, gu_n, view_at(wgu, e), false, view_rows(dx, r, n));
    }
    join_lanes(dev);
}
