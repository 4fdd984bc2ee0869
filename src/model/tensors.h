/* The table of tensors: every tensor of a model as a named global array, from the config alone. Pure
 * functions of (table, layout, rank) give the slab that a rank computes with and the piece that it owns.
 * Store, gradients, ZeRO-1, checkpoints, export and memory prediction follow from this table. Pure; no MPI,
 * no deck. */
#ifndef MODEL_TENSORS_H
#define MODEL_TENSORS_H
#include "base/dtype.h"
#include "layout/layout.h"
#include "model/config.h"

/* WEIGHT is what a rank computes with, in the stored type. GRAD is its gradient in fp32. MASTER, the exact
 * weight, and the moments are fp32, and a rank has them for the part that it owns. */
enum kind { WEIGHT, GRAD, MASTER, MOMENT1, MOMENT2, KINDS };

struct tensor {
    char name[64];  /* "embed", "layers.3.gate_up", ... */
    int64_t dim[3]; /* global, logical sizes: [expert, row, column] */
    enum cut by[3];
    dtype type;   /* of WEIGHT: BF16 or F32 */
    int layer;    /* index into model.layer */
    bool decay;   /* AdamW's weight decay: matrices yes, norms and biases no */
    bool trained; /* false: routing state without gradient and moments; train/balance sets it after a step */
    double init_std; /* a random start draws from N(0, init_std); 0: ones or zeros, see `one` */
    bool one;        /* starts as ones */
};

/* What a layer's tensor is for: an index into layer.tensor. */
/* clang-format off */
enum slot {
    T_EMBED, T_HEAD, T_NORM,                       /* HEAD: final norm, head (tied: the embedding) */
    T_ATTN_NORM, T_Q, T_K, T_V, T_Q_BIAS, T_K_BIAS, T_V_BIAS, T_O,
    T_Q_NORM, T_K_NORM,                            /* of each head */
    T_FFN_NORM, T_GATE_UP, T_DOWN, T_ROUTER,       /* gate_up and down: dense FFN or experts */
    T_SHARED_GATE_UP, T_SHARED_DOWN, T_SHARED_GATE, /* shared experts, as one FFN */
    T_ROUTER_BIAS,                                 /* of loss-free balancing, added for the choice */
    T_ROUTER_LOAD,                                 /* n_e / mean of the last step's global batch */
    SLOTS
};
/* clang-format on */

struct layer {
    enum { EMBED, BLOCK, MOE_BLOCK, HEAD } type;
    int tensor[SLOTS]; /* index into model.tensor, -1 = absent */
};

/* Tensors of equal layer, reduction group, stored type and `trained` lie in one flat bucket: their local
 * slabs in row-major order, one after the other in table order. So Q, K and V lie side by side, and one GEMM
 * computes all three where TP <= KV heads. */
struct bucket_plan {
    int layer;
    enum group_id over;
    bool trained;
    dtype type;
    int first, n; /* its tensors: model.order[first .. first+n) */
};

struct model {
    struct config config;
    dtype weights;                      /* stored type of matrices */
    int n_layers, n_tensors, n_buckets; /* n_layers = config.layers + 2: embed, blocks, head */
    struct layer *layer;
    struct tensor *tensor;
    struct bucket_plan *bucket; /* depends on the layout: see model_open */
    int *order;                 /* tensor indices, bucket by bucket */
    int *bucket_of;             /* [n_tensors] */
};

/** Build the table with all tensors F32. Of the layout only layout_replicas matters, for the buckets. */
void model_open(struct model *, const struct config *, const struct layout *);
/** The same with another stored type for matrices. Norms, biases, routers, the shared experts' gate and
 * routing state stay F32 (D6). */
void model_open_stored(struct model *, const struct config *, const struct layout *, dtype weights);
void model_close(struct model *);
/** Index of a tensor by name, -1 if there is none. */
int model_find(const struct model *, const char *name);

/** This rank's slab of a tensor. */
slab model_slab(const struct model *, const struct layout *, int rank, int tensor);
/** Local elements s of bucket b on `rank`; the elements of a ZeRO-1 part, ceil(s/ranks) rounded up to 128
 * (D4); and the offset of a tensor's slab inside its bucket. */
int64_t model_bucket_size(const struct model *, const struct layout *, int rank, int b);
int64_t model_bucket_part(const struct model *, const struct layout *, int rank, int b);
int64_t model_tensor_at(const struct model *, const struct layout *, int rank, int tensor);

/* A piece of one tensor, and where it lies in one of this rank's buffers. */
struct shard {
    int tensor;
    enum kind kind;
    piece part; /* global position */
    int bucket;
    int64_t at; /* its first element in the bucket's buffer of that kind */
};
/** The shards of a rank. WEIGHT and GRAD: one per tensor, its whole slab. MASTER and moments: what the rank
 * owns by ZeRO-1; moments of trained tensors alone. Writes at most max and returns how many there are, at
 * most n_tensors. */
int model_shards(const struct model *, const struct layout *, int rank, enum kind, struct shard *out,
                 int max);

#endif
