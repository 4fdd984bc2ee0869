/* The network on one rank: activations and the walk over the layer table, forward and backward.
 * Groups, store and layout are arguments, so the source model of an upcycle runs on a layout of its
 * own on the same ranks. COLLECTIVE: net_* of one round run on all ranks of the world together; a
 * rank without a micro-batch passes micro = -1 and takes part with zero tokens (D2). */
#ifndef MODEL_NET_H
#define MODEL_NET_H
#include "comm/group.h"
#include "model/store.h"

struct net;

struct net_shape {
    int64_t sequence; /* S */
    int64_t micro;    /* m: sequences in a micro-batch; N = m*S */
    double imbalance; /* rows at an expert's rank that are planned for, over the balanced number */
    bool training;    /* room for backward */
    uint64_t seed;    /* of the jitter */
    dtype activation; /* F32 or BF16: the residual stream, operands of GEMMs, what is saved for backward */
};

/* A micro-batch as this rank's TP group sees it: all N tokens (host arrays, borrowed). */
struct micro_batch {
    int64_t tokens;         /* N, or 0 for a rank without one */
    const int32_t *ids;     /* [N] */
    const int32_t *targets; /* [N], -1 = not counted; NULL: none */
    double inv_counted;     /* 1/C of the global batch; 0 if C = 0 */
    int64_t micros;         /* M: micro-batches in the global batch (divides aux and z) */
    int64_t sample;         /* number of its first sequence, counted from the run's beginning (D8) */
};

/* What micro-batches add up. Sums over this rank's share only, each thing counted once per TP group at
 * t = 0, so that a sum over the world is right (D10). It grows on the device, without the host. */
struct net_report {
    double nll;           /* sum of counted cross-entropies */
    double aux, z, max_z; /* sum over layers of A, Z and mean largest logit^2, before coefficients */
    double dropped;       /* assignments dropped by capacity */
    double margin;        /* smallest capacity margin met, and routing margin if asked for; +inf: none */
    double *load;         /* [MoE layers, X] assignments before dropping; the net's, until the next read */
};

/* Where logits go, chunk by chunk of a micro-batch: rows [row, row+rows) of [N, V], and, unless NULL, the
 * residual stream [N, H] that the feed-forward of each layer takes in (before its norm; `layer` as in
 * model.layer). Host memory that is borrowed for the call; every rank of the TP group is given all of it. */
struct logits_sink {
    void (*take)(void *with, int64_t row, int64_t rows, const float *logits);
    void *with;
    void (*stream)(void *with, int layer, const float *x);
};

/** Sizes come from a dry run. Collective only in that all ranks must call it. */
status net_open(struct net **, const struct store *, struct group *const group[GROUPS],
                const struct net_shape *) MUST_USE;
void net_close(struct net *);
/** Bytes that steps will still take: rows at the experts as planned, and half as many again where a routing
 * may send a rank more than its plan. */
int64_t net_pending(const struct net *);

/** The report begins anew. margins: look for routing margins too. */
void net_begin(struct net *, bool margins);
/** COLLECTIVE over the world: the report becomes the sum of all ranks' (margins stay). */
void net_sum(struct net *);
/** What was added since net_begin. The host waits. */
struct net_report net_read(struct net *);
/** Of the report on the device: counted cross-entropies F64 [1], loads F64 [MoE layers * X]. */
view net_loss(const struct net *);
view net_loads(const struct net *);

/** Forward and backward of one micro-batch; acc = false for the first of a batch (gradients are
 *  overwritten), true for later ones. Adds to the report. Nothing is reduced over groups that hold
 *  equal slabs: store_reduce_grads does that once per batch. */
void net_train(struct net *, const struct micro_batch *, bool acc);
/** Forward only, dropless. Adds the counted cross-entropies to the report. sink NULL: no logits. */
void net_eval(struct net *, const struct micro_batch *, const struct logits_sink *sink);
/** Logits of the training mode (capacity and jitter apply), for probe: forward only. */
void net_probe(struct net *, const struct micro_batch *, const struct logits_sink *sink);
/** Of a net with F32 activations: the feed-forward of one layer alone, dense or MoE, dropless: y = what it
 * adds to the residual stream x; both [tokens, H] on the host, whole on every rank of the TP group. */
void net_ffn(struct net *, int layer, int64_t tokens, const float *x, float *y);

#endif
