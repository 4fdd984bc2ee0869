/* The head and its loss, forward beside backward. The device's own kernel computes them, or they are composed
 * of other ops. */
#include "device/check.h"

/** Checks for forward and backward. It has the name of an op for their messages. */
static void dev_head_loss(struct dev *dev, view logits, view h, view w, view target)
{
    WANT_FLOAT(logits, logits.n[1], logits.n[2]);
    WANT_FLOAT(h, logits.n[1], h.n[2]);
    WANT_FLOAT(w, logits.n[2], h.n[2]);
    WANT_VECTOR(target, I32, logits.n[1]);
}

/** FLOPs of `products` products of a token's row with w. */
static double head_flops(int products, view h, view w)
{
    return 2.0 * products * (double)h.n[1] * (double)w.n[1] * (double)w.n[2];
}

void dev_head_loss_fwd(struct dev *dev, view logits, view stats, view h, view w, view target, int64_t v0)
{
    dev_head_loss(dev, logits, h, w, target);
    WANT(stats, F32, 3, logits.n[1]);
    if (!dev->ops->head_loss_fwd) {
        dev_gemm(dev, false, true, h, w, false, logits);
        dev_ce_stats(dev, stats, logits, target, v0);
        return;
    }
    RUN(head_loss_fwd, (dev, logits, stats, h, w, target, v0), head_flops(1, h, w), BYTES(h, w, target),
        logits, stats);
}

void dev_head_loss_bwd(struct dev *dev, view d_h, bool acc, view dw, view logits, view lse, view target,
                       int64_t v0, float scale, view h, view w)
{
    dev_head_loss(dev, logits, h, w, target);
    WANT_VECTOR(lse, F32, logits.n[1]);
    WANT_FLOAT(d_h, h.n[1], h.n[2]);
    WANT(dw, F32, w.n[1], w.n[2]);
    if (!dev->ops->head_loss_bwd) {
        dev_ce_grad(dev, logits, lse, target, v0, scale);
        dev_gemm(dev, false, false, logits, w, false, d_h);
        dev_gemm(dev, true, false, logits, h, acc, dw);
        return;
    }
    RUN(head_loss_bwd, (dev, d_h, acc, dw, logits, lse, target, v0, scale, h, w), head_flops(2, h, w),
        BYTES(logits, lse, target, h, w), d_h, dw);
}
