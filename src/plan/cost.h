/* What one operation costs on a machine, in seconds: the formulas of doc/plan.md. Pure. */
#ifndef PLAN_COST_H
#define PLAN_COST_H
#include "plan/machine.h"

/** `groups` equal products m x n x k of 16-bit operands launched together; acc: they add into fp32 results,
 * as weight gradients do. By tiles dealt in waves to multiprocessors; not less than their bytes take. */
double cost_gemm(const struct machine *, double m, double n, double k, double groups, bool acc);
struct cost { /* seconds */
    double forward, backward;
};
/** y [m, n] = x [m, k] w: forward one product, backward two. */
struct cost cost_linear(const struct machine *, double m, double n, double k, double groups);
/** Seconds of `flops` of attention at a sequence. */
double cost_attn_fwd(const struct machine *, double flops, double sequence);
double cost_attn_bwd(const struct machine *, double flops, double sequence);
/** All-gather or reduce-scatter of a tensor of `bytes` over n ranks, `stride` apart. */
double cost_collective(const struct machine *, double bytes, double n, double stride);
/** All-to-all: each rank sends bytes/n to each. share: of the bytes that leave the node, how many do so. */
double cost_exchange(const struct machine *, double bytes, double n, double stride, double share);
/** Does a group of n ranks, `stride` apart, stay in a node? */
bool cost_in_node(const struct machine *, double n, double stride);
/** Compute that is slower while a collective runs beside it, over the collective's time. */
double cost_hide_tax(const struct machine *);

#endif
