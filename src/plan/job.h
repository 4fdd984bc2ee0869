/* What is planned: a model's sizes, and how a job runs it. Doubles, because they stand in formulas. Names as
 * in doc/plan.md. Pure. */
#ifndef PLAN_JOB_H
#define PLAN_JOB_H
#include <stdbool.h>
#include "base/status.h"
#include "deck/deck.h"
#include "model/config.h"

/* Every layer alike: `experts` of width `width`, `top_k` a token, beside a dense or shared FFN of width
 * `shared`. A dense model has experts 1 and top_k 1. */
struct plan_shape {
    double layers, hidden, heads, kv_heads, head_dim, width, experts, top_k, vocab, shared;
    bool tied;
};

enum recompute { RECOMPUTE_NONE, RECOMPUTE_NORM, RECOMPUTE_FULL };

struct plan_job {
    double ranks, tensor, context, pipeline, stages, expert, expert_tensor;
    double sequences, micro, sequence;
    double capacity; /* rows are padded to this factor of the balanced number; 1: they are not */
    double load;     /* rows of the slowest rank over the mean */
    double hide_tensor, hide_expert; /* share of this traffic that compute hides */
    bool deduplicate;                /* a row crosses to a node once, not once an expert */
    bool even_head;                  /* layers are dealt so that the head's stage is no slower */
    enum recompute recompute;
};

/** Parameters of a layer: attention, one expert, shared FFN, router. */
struct layer_parameters {
    double attention, expert, shared, router;
};
struct layer_parameters plan_parameters(const struct plan_shape *);
/** FLOPs a token of forward and backward: Megatron's convention (causal half), and 6 x active parameters. */
double plan_flops_megatron(const struct plan_shape *, double sequence);
double plan_flops_6n(const struct plan_shape *);

/** E_DECK: a model whose layers are not alike has no such shape. */
status plan_shape_of(struct plan_shape *, const struct config *) MUST_USE;
/** One rank, nothing cut, one sequence. */
struct plan_job plan_job_default(void);
/** The layout, batch and load that a deck says, on so many ranks. */
struct plan_job plan_job_of(const struct deck *, double ranks);
/** KEY=VALUE of `--with`: pipeline=8. E_DECK with the keys that there are. */
status plan_job_set(struct plan_job *, const char *text) MUST_USE;
/** E_DECK: sizes that do not divide what they cut. */
status plan_job_check(const struct plan_job *, const struct plan_shape *) MUST_USE;

#endif
