/* Causal grouped-query attention as graphs of cuDNN's backend (version 9): forward 14 operations, backward
 * 24, or 23 where it is deterministic; two more where rows have a first key. cuDNN has no node with a causal
 * mask and training's outputs, so the graphs say it all: products, scale, mask by index, softmax by maximum
 * and sum. cuDNN finds its fused kernels for them.
 *
 * cuDNN is a shared library that is opened at run time; everything here calls it through a table. */
#ifndef DEVICE_CUDA_SDPA_H
#define DEVICE_CUDA_SDPA_H
#include <cudnn.h>
#include <stdbool.h>
#include <stdint.h>

/* Functions of cuDNN by name without its prefix. */
/* clang-format off */
#define CUDNN_FUNCTIONS(F) \
    F(GetVersion) F(Create) F(Destroy) F(SetStream) F(GetErrorString) F(GetLastErrorString) \
    F(BackendCreateDescriptor) F(BackendDestroyDescriptor) F(BackendSetAttribute) F(BackendGetAttribute) \
    F(BackendFinalize) F(BackendExecute)
/* clang-format on */
#define CUDNN_POINTER(name) __typeof__(cudnn##name) *name;
struct cudnn {
    CUDNN_FUNCTIONS(CUDNN_POINTER)
};
#undef CUDNN_POINTER

/** cuDNN, opened once and kept; NULL, and why in a sentence, if this machine has none that will do. */
const struct cudnn *cudnn_open(char why[256]);

/* What a graph reads and writes, by its number in cuDNN. */
enum sdpa_tensor {
    SDPA_Q = 1, /* [T, heads*hd] bf16, and o, d_o, dq alike */
    SDPA_K,     /* [T, kv_heads*hd] bf16, and v, dk, dv alike */
    SDPA_V,
    SDPA_O,
    SDPA_LSE, /* [T, heads] fp32 */
    SDPA_D_O,
    SDPA_DQ,
    SDPA_DK,
    SDPA_DV,
    SDPA_FIRST,  /* [T] int32, if rows have a first key */
    SDPA_DELTA,  /* scratch, fp32 [sequences, heads, seq] */
    SDPA_DQ32,   /* scratch, fp32 [sequences, heads, seq, hd], zero before each call; not if deterministic */
    SDPA_SCALE,  /* floats of the host: 1/sqrt(hd) */
    SDPA_MASKED, /* SDPA_UNSEEN if rows have a first key, else -infinity */
    SDPA_ONE,    /* 1 */
    SDPA_SCALE_BACK, /* 1/sqrt(hd) again */
    SDPA_TENSORS
};

/* A score that is none. It is finite because a tile of keys before a row's first one has no other scores, of
 * which the softmax over tiles takes the largest from all: -infinity would make them NaN. */
#define SDPA_UNSEEN (-0x1p30f)

struct sdpa {
    int64_t sequences, seq, heads, kv_heads, head_dim;
    int64_t ld[SDPA_TENSORS]; /* elements between tokens, of those that have tokens */
    bool backward;
    bool bounded;       /* rows have a first key */
    bool deterministic; /* dq has one order of adding; wants workspace of sequences*heads*seq^2 bf16 */
};

enum { SDPA_NODES = 32, SDPA_MADE = 160 };
struct sdpa_graph {
    const struct cudnn *cudnn;
    cudnnBackendDescriptor_t node[SDPA_NODES], made[SDPA_MADE]; /* operations; all descriptors */
    int nodes, makes;
    int64_t inner;    /* numbers given to tensors between nodes */
    int64_t proposed; /* configurations that sdpa_plan was offered */
    char why[512];    /* the first thing that cuDNN refused, or "" */
};

/** The operations of the call; g->why if cuDNN refuses one. End it with sdpa_forget. */
void sdpa_build(struct sdpa_graph *g, const struct cudnn *, const struct sdpa *);
/** A plan by the first configuration that cuDNN proposes and accepts, and its bytes of workspace; NULL and
 * g->why if there is none. handle: of the card that will run it; or NULL and card, a finalised description of
 * one. The caller destroys the plan. */
cudnnBackendDescriptor_t sdpa_plan(struct sdpa_graph *g, cudnnHandle_t handle, cudnnBackendDescriptor_t card,
                                   int64_t *workspace);
/** Destroys the graph's descriptors; plans stay. */
void sdpa_forget(struct sdpa_graph *g);

#endif
