/* A plan: memory of a rank by kind, time of a step by term, and FLOPs by convention. megatron.c fills it for
 * jobs of Megatron-Core, own.c for this program's own step. page.c prints it. */
#ifndef PLAN_PLAN_H
#define PLAN_PLAN_H
#include "plan/cost.h"
#include "plan/job.h"

/* Terms of a layer, in the order of the page. Seconds of one layer and one micro-batch. */
#define PLAN_LAYER(X)                         \
    X(ATTN_GEMM, "attention projections")     \
    X(ATTN, "attention")                      \
    X(RING, "context ring")                   \
    X(TENSOR, "tensor-parallel traffic")      \
    X(EXPERTS, "experts")                     \
    X(EXCHANGE, "expert all-to-all")          \
    X(EXPERT_TENSOR, "expert-tensor traffic") \
    X(PERMUTE, "permute, sort, SwiGLU")       \
    X(ROUTER, "router")                       \
    X(DENSE, "dense or shared FFN")           \
    X(NORMS, "norms, residuals, rope")        \
    X(GAPS, "gaps between kernels")           \
    X(RECOMPUTED, "recomputation")
#define PLAN_ID(id, name) LAYER_##id,
enum plan_layer_term { PLAN_LAYER(PLAN_ID) LAYER_TERMS };
#undef PLAN_ID

/* Terms of a step beside its layers. */
#define PLAN_STEP(X)                 \
    X(HEAD, "head and embedding")    \
    X(BUBBLE, "pipeline bubble")     \
    X(HOPS, "pipeline messages")     \
    X(DATA, "data-parallel traffic") \
    X(OPTIMIZER, "optimizer")
#define PLAN_ID(id, name) STEP_##id,
enum plan_step_term { PLAN_STEP(PLAN_ID) STEP_TERMS };
#undef PLAN_ID

#define PLAN_MEMORY(X)                  \
    X(WEIGHTS, "weights")               \
    X(GRADIENTS, "gradients")           \
    X(OPTIMIZER, "optimizer")           \
    X(SAVED, "saved for backward")      \
    X(SCRATCH, "scratch")               \
    X(COMMUNICATION, "communication")   \
    X(SNAPSHOT, "checkpoint snapshot")  \
    X(IMBALANCE, "imbalance allowance") \
    X(BEYOND, "beyond that allowance")  \
    X(CONTEXT, "program and libraries")
#define PLAN_ID(id, name) MEMORY_##id,
enum plan_memory_kind { PLAN_MEMORY(PLAN_ID) MEMORY_KINDS };
#undef PLAN_ID

const char *plan_layer_name(enum plan_layer_term);
const char *plan_step_name(enum plan_step_term);
const char *plan_memory_name(enum plan_memory_kind);

enum { PLAN_LINES = 24 };

struct plan {
    struct cost layer[LAYER_TERMS]; /* one layer, one micro-batch */
    double term[STEP_TERMS];        /* a step */
    double memory[MEMORY_KINDS];    /* bytes of the fullest rank */
    double layers, micros; /* layers of a rank and micro-batches that it does one after the other in a step */
    double hidden;         /* seconds of traffic hidden by compute, which are in no term */
    double step;           /* seconds */
    struct plan_line {     /* what takes these seconds; the lines add up to step */
        const char *name;
        double seconds;
    } line[PLAN_LINES];
    int lines;
    double tokens;                    /* of a step, all ranks */
    double megatron, six_n, executed; /* FLOPs of a step, all ranks, by convention */
};

/** Plan a step of Megatron-Core by its closed form. The sizes must have passed plan_job_check. */
struct plan plan_megatron(const struct machine *, const struct plan_shape *, const struct plan_job *);
double plan_memory(const struct plan *); /* of all kinds */
/** Add a line to a step's time, if it takes any. */
void plan_add(struct plan *, const char *name, double seconds);
/** The line that takes the most. */
const struct plan_line *plan_most(const struct plan *);
/** Seconds of a step that all layers spend in a term. */
double plan_layer_seconds(const struct plan *, enum plan_layer_term);
/** FLOPs divided by what the ranks could do in a step at their peaks. */
double plan_share(const struct plan *, const struct machine *, double ranks, double flops);

#endif
