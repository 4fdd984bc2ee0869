/* The seconds that an operation takes on a machine, by the formulas of doc/plan.md. Pure. */
#ifndef PLAN_COST_H
#define PLAN_COST_H
#include "plan/machine.h"

/** `groups` equal products m x n x k of 16-bit operands that are launched together. acc: they add to fp32
 * results, as weight gradients do. Tiles are dealt to multiprocessors in waves. It takes at least the time of
 * its bytes. */
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
/** All-to-all: each rank sends bytes/n to each rank. share: the share of the bytes leaving the node that does
 * leave it. */
double cost_exchange(const struct machine *, double bytes, double n, double stride, double share);
/** Does a group of n ranks, `stride` apart, stay in a node? */
bool cost_in_node(const struct machine *, double n, double stride);
/** How much slower compute is while a collective runs beside it, as a share of the collective's time. */
double cost_hide_tax(const struct machine *);

#endif
