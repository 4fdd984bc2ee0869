/* What is planned: a model's sizes, and how a job runs it. They are doubles, because they stand in formulas.
 * The names are those of doc/plan.md. Pure. */
#ifndef PLAN_JOB_H
#define PLAN_JOB_H
#include <stdbool.h>
#include "base/status.h"
#include "deck/deck.h"
#include "model/config.h"

/* All layers are equal: `experts` experts of width `width`, `top_k` for each token, beside a dense or shared
 * FFN of width `shared`. A dense model has experts 1 and top_k 1. */
struct plan_shape {
    double layers, hidden, heads, kv_heads, head_dim, width, experts, top_k, vocab, shared;
    bool tied;
};

enum job_recompute { AGAIN_NONE, AGAIN_NORM, AGAIN_FULL };

struct plan_job {
    double ranks, tensor, context, pipeline, stages, expert, expert_tensor;
    double sequences, micro, sequence;
    double capacity; /* rows are padded to this factor of the balanced number; 1: they are not */
    double load;     /* rows of the slowest rank divided by the mean */
    double hide_tensor, hide_expert; /* the share of this traffic that compute hides */
    bool deduplicate;                /* a row is sent to a node once, not once for each expert there */
    bool even_head;                  /* layers are dealt so that the stage with the head is not slower */
    enum job_recompute recompute;
};

/** Parameters of the parts of a layer: attention, one expert, shared FFN, router. */
struct layer_parameters {
    double attention, expert, shared, router;
};
struct layer_parameters plan_parameters(const struct plan_shape *);
/** FLOPs of forward and backward per token: by Megatron's convention (the causal half), and 6 x active
 * parameters. */
double plan_flops_megatron(const struct plan_shape *, double sequence);
double plan_flops_6n(const struct plan_shape *);

/** The shape of a model. E_DECK if its layers are not equal. */
status plan_shape_of(struct plan_shape *, const struct config *) MUST_USE;
/** A job of one rank and one sequence, in which nothing is cut. */
struct plan_job plan_job_default(void);
/** The job of a deck on so many ranks: its layout, batch and load. */
struct plan_job plan_job_of(const struct deck *, double ranks);
/** Set a value by a text KEY=VALUE of `--with`, such as pipeline=8. E_DECK with the known keys. */
status plan_job_set(struct plan_job *, const char *text) MUST_USE;
/** E_DECK if a size does not divide what it cuts. */
status plan_job_check(const struct plan_job *, const struct plan_shape *) MUST_USE;

#endif
