/* The FFNs of E experts, forward beside backward. The device's own kernel computes them, or they are composed
 * of other ops: expert by expert, and in an expert by blocks of the device's expert_rows. So scratch does not
 * depend on the routing. n is the number of rows of a block. */
#include "device/check.h"

/** Elements [from, from + n) of a vector [R]; none stays none. */
static view part(view v, int64_t from, int64_t n)
{
    return view_is_none(v) ? v : view_cols(view_reshape(v, 1, 1, view_size(v)), from, n);
}

static int64_t block_rows(const struct dev *dev, int64_t from, int64_t end)
{
    return end - from < dev->ops->expert_rows ? end - from : dev->ops->expert_rows;
}

/** FLOPs of `products` products of every row with a matrix [H, F]. */
static double ffn_flops(int products, int64_t experts, const int64_t *offs, view wd)
{
    double rows = experts > 0 ? (double)(offs[experts] - offs[0]) : 0;
    return 2.0 * products * rows * (double)wd.n[1] * (double)wd.n[2];
}

/** Checks for forward and backward. It has the name of an op for their messages. */
static void dev_expert_ffn(struct dev *dev, int64_t experts, const int64_t *offs, view x, view wgu, view wd,
                           view gu, view weight)
{
    int64_t rows = x.n[1], hidden = x.n[2], width = wd.n[2];
    WANT_FLOAT(x, rows, hidden);
    WANT_STACK(wgu, wgu.type, experts, 2 * width, hidden);
    WANT_STACK(wd, wgu.type, experts, hidden, width);
    WANT_FLOAT(gu, rows, 2 * width);
    if (!view_is_none(weight))
        WANT_VECTOR(weight, F32, rows);
    NEED(experts == 0 || (offs[0] >= 0 && offs[experts] <= rows));
}

static void composed_fwd(struct dev *dev, struct arena *arena, view y, view gu, int64_t experts,
                         const int64_t *offs, view x, view wgu, view wd, view weight, bool acc_y)
{
    int64_t mark = arena_mark(arena);
    view act = arena_scratch_pitched(arena, gu.type, dev->ops->expert_rows, wd.n[2]); /* [expert_rows, F] */
    for (int64_t e = 0; e < experts; e++)
        for (int64_t r = offs[e], n; r < offs[e + 1]; r += n) {
            n = block_rows(dev, r, offs[e + 1]);
            view gu_n = view_rows(gu, r, n), act_n = view_rows(act, 0, n); /* [n, 2F], [n, F] */
            dev_gemm(dev, false, true, view_rows(x, r, n), view_at(wgu, e), false, gu_n);
            if (view_is_none(y))
                continue;
            dev_swiglu_fwd(dev, act_n, gu_n, part(weight, r, n));
            dev_gemm(dev, false, true, act_n, view_at(wd, e), acc_y, view_rows(y, r, n));
        }
    arena_release(arena, mark);
}

static void composed_bwd(struct dev *dev, struct arena *arena, view dx, view dwgu, view dwd, view d_weight,
                         int64_t experts, const int64_t *offs, view dy, view x, view gu, view wgu, view wd,
                         view weight, bool acc)
{
    int64_t mark = arena_mark(arena);
    int64_t rows = dev->ops->expert_rows;
    view act = arena_scratch_pitched(arena, gu.type, rows, wd.n[2]);   /* [expert_rows, F] */
    view d_act = arena_scratch_pitched(arena, gu.type, rows, wd.n[2]); /* [expert_rows, F] */
    for (int64_t e = 0; e < experts; e++) {
        bool add = acc;
        int64_t r = offs[e], n;
        do { /* also without rows, because GEMMs with K = 0 write zeros into the weight gradients */
            n = block_rows(dev, r, offs[e + 1]);
            view gu_n = view_rows(gu, r, n);                                     /* [n, 2F] */
            view act_n = view_rows(act, 0, n), d_act_n = view_rows(d_act, 0, n); /* [n, F] */
            view x_n = view_rows(x, r, n), dy_n = view_rows(dy, r, n);           /* [n, H] */
            dev_gemm(dev, false, false, dy_n, view_at(wd, e), false, d_act_n);
            dev_swiglu_bwd(dev, gu_n, act_n, part(d_weight, r, n), d_act_n, gu_n, part(weight, r, n));
            dev_gemm(dev, true, false, dy_n, act_n, add, view_at(dwd, e));
            dev_gemm(dev, true, false, gu_n, x_n, add, view_at(dwgu, e));
            dev_gemm(dev, false, false, gu_n, view_at(wgu, e), false, view_rows(dx, r, n));
            add = true;
            r += n;
        } while (r < offs[e + 1]);
    }
    arena_release(arena, mark);
}

void dev_expert_ffn_fwd(struct dev *dev, struct arena *arena, view y, view gu, int64_t experts,
                        const int64_t *offs, view x, view wgu, view wd, view weight, bool acc_y)
{
    dev_expert_ffn(dev, experts, offs, x, wgu, wd, gu, weight);
    bool half = view_is_none(y);
    if (!half)
        WANT_FLOAT(y, x.n[1], x.n[2]);
    if (!dev->ops->expert_ffn_fwd) {
        composed_fwd(dev, arena, y, gu, experts, offs, x, wgu, wd, weight, acc_y);
        return;
    }
    RUN_OVER(x, expert_ffn_fwd, (dev, arena, y, gu, experts, offs, x, wgu, wd, weight, acc_y),
             ffn_flops(half ? 2 : 3, experts, offs, wd), half ? BYTES(x, wgu) : BYTES(x, wgu, wd), gu, y);
}

void dev_expert_ffn_bwd(struct dev *dev, struct arena *arena, view dx, view dwgu, view dwd, view d_weight,
                        int64_t experts, const int64_t *offs, view dy, view x, view gu, view wgu, view wd,
                        view weight, bool acc)
{
    dev_expert_ffn(dev, experts, offs, x, wgu, wd, gu, weight);
    WANT_STACK(dwgu, F32, experts, wgu.n[1], wgu.n[2]);
    WANT_STACK(dwd, F32, experts, wd.n[1], wd.n[2]);
    WANT_FLOAT(dy, x.n[1], x.n[2]);
    WANT_FLOAT(dx, x.n[1], x.n[2]);
    if (!dev->ops->expert_ffn_bwd) {
        composed_bwd(dev, arena, dx, dwgu, dwd, d_weight, experts, offs, dy, x, gu, wgu, wd, weight, acc);
        return;
    }
    RUN(expert_ffn_bwd, (dev, arena, dx, dwgu, dwd, d_weight, experts, offs, dy, x, gu, wgu, wd, weight, acc),
        ffn_flops(6, experts, offs, wd), BYTES(dy, x, gu, wgu, wd), dx, dwgu, dwd, d_weight);
}
