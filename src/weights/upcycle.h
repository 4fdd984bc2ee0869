/* Upcycling as maps (definitions D9): each expert starts as a shard of the dense FFN, with virtual
 * groups when G > 1: expert e*G+g holds shard g, and the G experts of a group share a router row. */
#ifndef WEIGHTS_UPCYCLE_H
#define WEIGHTS_UPCYCLE_H
#include "model/tensors.h"
#include "weights/map.h"

struct upcycle {
    double router_std;
    double scale_gate_up, scale_down;
    double noise; /* standard deviation of what is added to the experts' weights; 0 = nothing */
};

/** The scales that start.upcycle.weight_scale asks for: with a = X*G/k for softmax-topk without
 *  renormalisation, else G:  "auto": a^(1/3) on gate, up and down;  "down": a on down alone;
 *  "none": 1;  a number: used for a, as auto. A dense target: 1. Leaves the rest. E_DECK for any other text. */
status upcycle_scales(const struct config *target, const char *text, struct upcycle *) MUST_USE;
/** Map of a target tensor over the tensors of the dense model of the same trunk (`array` = index of a
 *  dense tensor). A router is mapped over generated base rows [1, X/G, H] instead: upcycle_router. */
struct map upcycle_map(const struct model *target, const struct model *dense, int tensor,
                       const struct upcycle *);
/** Router rows e*G .. e*G+G-1 = base row e of array `array` of source `source`. */
struct map upcycle_router(const struct config *target, int source, int array);
/** What a tensor is for: its slot in its layer. */
enum slot upcycle_slot(const struct model *, int tensor);

#endif
