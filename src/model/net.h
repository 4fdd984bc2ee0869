/* The network on one rank: activations, forward and backward through the table of layers. Groups, store and
 * layout are arguments, so the source model of an upcycle can run on a layout of its own on the same ranks.
 * COLLECTIVE: all ranks of the world call net_* of a round together. A rank without a micro-batch takes part
 * with zero tokens (definitions D2). */
#ifndef MODEL_NET_H
#define MODEL_NET_H
#include "comm/group.h"
#include "model/store.h"

struct net;

struct net_shape {
    int64_t sequence; /* S */
    int64_t micro;    /* m: sequences in a micro-batch; N = m*S */
    double imbalance; /* rows planned for at an expert's rank, as a multiple of the balanced number */
    bool training;    /* make room for backward */
    uint64_t seed;    /* of the jitter */
    bool documents;   /* micro-batches may have `begins` */
    dtype activation; /* F32 or BF16: the residual stream, operands of GEMMs, what is saved for backward */
    enum recompute recompute;
    int64_t cached; /* sequences whose keys and values are kept for tokens that follow; 0: none */
    int64_t room;   /* tokens of each, which may be more than S */
    /* On a device that works beside the host, where it changes no bit: sums of a layer's gradients go on
     * while backward goes to the layers before, and a layer's weights come while forward is in those before.
     */
    bool overlap_gradients, overlap_weights;
};

/* Where the sequences of a micro-batch lie in the cache: borrowed host arrays [sequences]. */
struct cached {
    const int32_t *slot; /* the place of each: 0 .. net_shape.cached - 1 */
    const int32_t *past; /* tokens that are there, which the new ones follow; later ones are forgotten */
    const int32_t
        *length; /* its tokens, at least 1; what follows in its row of S is padding without effect */
    bool ends;   /* the sink is given its last tokens alone, as rows [sequences] */
};

/* A micro-batch of this rank's TP group: all N tokens, in borrowed host arrays. */
struct micro_batch {
    int64_t tokens;         /* N, or 0 for a rank without one */
    int64_t sequence;       /* S of this one, at most that of net_shape; 0: that of net_shape */
    const int32_t *ids;     /* [N] */
    const int32_t *targets; /* [N], -1 = not counted; NULL: none */
    const int32_t *begins;  /* [N] where in its sequence a token's document begins, -1: it is padding; NULL: a
                               sequence is one document. Attention and positions begin anew in a document.
                               Padding is seen by nobody and goes to no expert. */
    const struct cached *cached; /* net_eval: its tokens follow what the cache holds; NULL: they are whole */
    double inv_counted;          /* 1/C of the global batch; 0 if C = 0 */
    int64_t micros; /* M: micro-batches in the global batch, by which aux and z losses are divided */
    int64_t sample; /* number of its first sequence, counted from the run's beginning (D8) */
};

/* What micro-batches add up on the device, without the host. Only rank t = 0 of a TP group counts, so that
 * the sum over the world counts everything once (D10). */
struct net_report {
    double nll;           /* sum of counted cross-entropies */
    double aux, z, max_z; /* sum over layers of A, Z and mean largest logit^2, before coefficients */
    double dropped;       /* assignments dropped by capacity */
    double margin;  /* the smallest margin of a capacity or, if asked for, of a routing choice; +inf: none */
    double squares; /* what was added to net_squares */
    double *load;   /* [MoE layers, X] assignments before dropping; owned by the net, until the next read */
};

/* What to do with the logits of a micro-batch, chunk by chunk; members may be NULL. `take` is given rows
 * [row, row+rows) of [N, V]; `scores` the cross-entropy of each row's target, in nats, and how much its logit
 * lies below the largest, both [rows], anything where a target is not counted. `stream` is given the residual
 * stream [N, H] that the feed-forward of each layer takes in, before its norm; `layer` is an index into
 * model.layer. Every rank of the TP group is given all rows, in host memory that is borrowed for the call. */
struct logits_sink {
    void (*take)(void *with, int64_t row, int64_t rows, const float *logits);
    void *with;
    void (*stream)(void *with, int layer, const float *x);
    void (*scores)(void *with, int64_t row, int64_t rows, const float *nll, const float *gap);
};

/** Allocates what a dry run finds to be needed. Local, but all ranks must call it. */
status net_open(struct net **, const struct store *, struct group *const group[GROUPS],
                const struct net_shape *) MUST_USE;
void net_close(struct net *);
/** Bytes that steps will still allocate: rows at the experts as planned, and half as many again with EP > 1,
 *  where a routing may send a rank more than was planned. */
int64_t net_pending(const struct net *);
/** The memory that rows at the experts took so far, as a multiple of that of the balanced number of rows: the
 * planned multiple, or more where a layer's rows did not fit. 1 without experts. */
double net_load(const struct net *);
/** Bytes that it holds or, of rows at the experts, plans to: of the arena what is saved for backward at its
 * peak, and the rest; routed rows, and as many more as a routing may need over the plan; tables and reports;
 * keys and values. */
struct net_memory {
    int64_t saved, scratch, routed, beyond, small, cache;
};
struct net_memory net_memory(const struct net *);

/** Bytes of the keys and values of a token on a rank. */
int64_t net_token_bytes(const struct config *, const struct layout *, dtype activation);

/** Begin a new report. margins: also look for the smallest margin of a routing choice. */
void net_begin(struct net *, bool margins);
/** COLLECTIVE over the world: the report becomes the sum of all ranks' (margins and squares stay). */
void net_sum(struct net *);
/** The report as it is now sets out for the host. Two may be on their way; a third aborts. */
void net_tell(struct net *);
/** The oldest report that set out and was not read; if there is none, the one of now. The host waits for it.
 */
struct net_report net_read(struct net *);
/** Parts of the report on the device: the sum of counted cross-entropies F64 [1], loads F64 [MoE layers * X],
 * and room for the squares of the gradient F64 [1], 0 since net_begin. */
view net_loss(const struct net *);
view net_loads(const struct net *);
view net_squares(const struct net *);

/** Forward and backward of one micro-batch. acc = false for the first of a batch, so that gradients are
 *  overwritten; true for later ones. last: of the batch, so that sums of gradients may begin. Adds to the
 * report. */
void net_train(struct net *, const struct micro_batch *, bool acc, bool last);
/** Once a batch, after the last net_train: the sums of gradients over ranks are there for COMPUTE. */
void net_reduce_grads(struct net *);
/** After an update: working weights from their owners. */
void net_gather_weights(struct net *);
/** Forward only, without capacity. Adds the counted cross-entropies to the report. sink NULL: no logits. */
void net_eval(struct net *, const struct micro_batch *, const struct logits_sink *sink);
/** The first tokens of one place of the cache become those of another. */
void net_cache_copy(struct net *, int to, int from, int64_t tokens);
/** Logits of the training mode (capacity and jitter apply), for probe: forward only. */
void net_probe(struct net *, const struct micro_batch *, const struct logits_sink *sink);
/** The feed-forward of one layer alone, dense or MoE, without capacity: y is what it adds to the residual
 * stream x. Both are [tokens, H] on the host, whole on every rank of the TP group. Needs F32 activations. */
void net_ffn(struct net *, int layer, int64_t tokens, const float *x, float *y);

#endif
