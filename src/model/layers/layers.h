/* What the layer functions share: the net's state and one pass over it. Private to model/.
 *
 * The tokens of a pass (definitions D2): the micro-batch has N tokens. Rank t of the TP group holds the `own`
 * tokens [t*c, t*c + own), in c = ceil(N/TP) rows; rows without a token are zero. A view is local with c
 * rows, or gathered with TP*c rows, of which the first N are the tokens in order. Names: x is the residual
 * stream, h its norm, and d_NAME the gradient of the loss by NAME. */
#ifndef MODEL_LAYERS_H
#define MODEL_LAYERS_H
#include "model/net.h"

/* What routing decides: how rows travel from their tokens to their experts and back (D5). */
struct exchange {
    int64_t room;     /* rows of each expert that this rank sends, empty ones too; 0: as the routing says */
    int64_t kept;     /* the rows that this rank sends: its tokens' assignments that stay, and empty ones */
    int64_t received; /* rows received over EP */
    int64_t rows;     /* R, the rows of this rank's experts: the sum of `received` over the ETP ranks */
    int64_t *send, *recv; /* [EP] rows to and from each member */
    int64_t *shares;      /* [ETP] rows that each member received */
    int64_t *offs;        /* [experts here + 1] rows of each expert, in expert order */
    view slot, pick;      /* I32 [own, k], [kept]: see dev_route_plan */
    struct region order;  /* I32 [R]: where row r of the expert order lies in the gathered buffer */
    struct region back;   /* I32 [R]: the inverse of order */
};

/* Rows at the experts of a layer: input [R, H], weight [R], gate|up [R, 2F]. */
struct expert_rows {
    struct region xe, we, gue;
};

/* What forward keeps of a layer for backward. Embedding and head use x alone. */
struct saved {
    view x;                   /* [c, H] input of the layer */
    view qkv, o, lse;         /* [N, (heads + 2 kv) hd], [N, heads hd], [N, heads], local heads; see
                                 attention_inputs */
    view x2;                  /* [c, H] between attention and FFN */
    view gate_up;             /* [N, 2F] dense or shared */
    view shared_gate;         /* [N] weight of the shared experts; none without a gate */
    view shared_gate_mine;    /* [c, 1] the same of this rank's tokens */
    view logits, idx, gate;   /* [own, X], I32 [own, k], [own, k] */
    view aux;                 /* [domains, X] gradient of the aux loss by every token's softmax */
    struct exchange exchange; /* MoE */
    struct expert_rows own;   /* MoE: */
    struct expert_rows *rows; /* these; where backward computes them again, those that all layers share */
};

/* Reports on their way to the host: at most that of a step and that of the step before it. */
enum { TELLS = 2 };

/* Buffers whose size the routing decides. All layers share them. */
enum temporary { TMP_RECEIVED, TMP_GATHERED, TMP_Y, TMP_DX, TMP_DWEIGHT, TEMPORARIES };

struct net {
    const struct store *store;
    const struct model *model;
    const struct config *config;
    struct layout layout;
    struct coords at;
    struct group *const *group;
    struct dev *dev;
    struct net_shape shape;
    struct arena arena;
    int64_t kept;        /* bytes of the arena that are saved for backward when it is fullest */
    int64_t routed;      /* bytes of all regions, as planned */
    struct saved *saved; /* [layers of the table]; without a backward all blocks use saved[1] */
    struct region tmp[TEMPORARIES];
    struct arena again;      /* recompute full: what a block keeps, until the next block */
    struct expert_rows rows; /* recompute moe, full: of the layer at work */
    void *cache;             /* see cache.c; NULL: none */
    float *cos_sin_base;
    view cos_sin;         /* [1 or 2, S, hd]: of keys, and of queries if the model scales its scores */
    int32_t *host_counts; /* [X + ETP * X]: see exchange_counts */
    view tally;           /* F64 [TALLY_LOADS + MoE layers * X]: the report on the device */
    int32_t *host_rows;   /* pinned [rows_most, N]: ids, targets and masks while they are uploaded */
    ticket sent;          /* of the upload of host_rows */
    double *host_tally;   /* pinned: TELLS reports, each as long as tally */
    ticket told[TELLS];   /* of the downloads of host_tally */
    int64_t tells, reads; /* so many reports set out, and were read */
    double *fresh;        /* the report as it begins */
    bool margins;         /* note how close the routing choices were */
    bool reducing;        /* sums of gradients were begun by net_train */
};

/* Positions in the tally. */
enum {
    TALLY_NLL,
    TALLY_LOSSES,
    TALLY_DROPPED = TALLY_LOSSES + 3,
    TALLY_SUMS,
    TALLY_MARGIN = TALLY_SUMS,
    TALLY_SQUARES,
    TALLY_LOADS
};

/* One pass over a micro-batch. */
struct pass {
    int64_t tokens;    /* N of the micro-batch */
    int64_t sequence;  /* S of it */
    int64_t rows, own; /* c, and how many of these rows are tokens of this rank */
    bool keep;         /* keep what backward needs */
    bool alone;        /* net_ffn: write the layer's output alone, without the residual */
    bool training;     /* training mode: capacity, jitter and domains apply */
    bool acc;          /* weight gradients are added to what is there */
    const struct micro_batch *batch;
    view ids, targets;  /* I32 [N] on the device */
    view positions;     /* I32 [N] of rotary embedding; none: the row's number in its sequence */
    view first[2];      /* I32 [N] first key that a row sees, in layers without and with a window; none: 0 */
    view padding;       /* I32 [N] negative where a row is padding; none: there is none */
    int64_t real;       /* tokens that are no padding */
    view from[2], last; /* I32 [N] with a cache: the rows of it that a row sees, without and with a window */
    view ends;          /* I32 [sequences] with a cache: the last row of each that is no padding */
    bool cached, fresh; /* with a cache; and no sequence needs what was in it */
    int moe;            /* MoE layers passed so far */
};

/* ---- rows.c ---- */
/** Uploads ids and targets of the pass and, where it has them, positions, first keys and padding. Sets these
 * members. */
void rows_begin(struct net *, struct pass *);
/** How many numbers a row may have there. */
int64_t rows_most(const struct net *);

/* ---- linear.c: COLLECTIVE over TP ---- */
/** The local rows x [c, n] of all TP ranks: scratch [TP*c, n], or x itself if TP = 1. */
view seq_gather(struct net *, const struct pass *, view x);
/** Room for this rank's part of a sum over TP: scratch F32 [TP*c, n]; rows without a token are zero. */
view seq_partial(struct net *, const struct pass *, int64_t n);
/** out [c, n] (+)= this rank's rows of the sum over TP of partial [TP*c, n]. */
void seq_reduce(struct net *, const struct pass *, view out, view partial, bool acc);
/** x_out = x, so that the feed-forward adds to it; 0 if the layer's output is wanted alone. Both [c, H]. */
void residual(struct net *, const struct pass *, view x_out, view x);
/** Room for what backward wants of a block, and computes again with recompute full. */
view keep(struct net *, dtype, int64_t n0, int64_t n1, int64_t n2);
/** The type of the parts of a sum over `ranks` ranks of TP or ETP. With several ranks it is F32, so that the
 * sum is rounded once; with one rank it is that of activations. */
dtype partial_type(const struct net *, int ranks);
/** `n` numbers of the tally from position `from` on (TALLY_...): F64 [n]. */
view tally(const struct net *, int64_t from, int64_t n);
/** The rows [N, n] of a gathered view [TP*c, n] that are tokens. */
view live(const struct pass *, view gathered);
view weight(const struct net *, int layer, enum slot); /* this rank's slab [n0, n1, n2] */
view gradient(const struct net *, int layer, enum slot);
/** Returns h [c, H], the norm of x [c, H] by a layer's norm weights, and rstd [c] unless it is NULL. Scratch.
 */
view norm_fwd(struct net *, const struct pass *, int layer, enum slot, view x, view *rstd);
/** From d_h [c, H]: d_x [c, H] is set or added to (acc_dx), and the gradient of the norm's weights likewise
 *  (p->acc). rstd is what norm_fwd gave. */
void norm_bwd(struct net *, const struct pass *, int layer, enum slot, bool acc_dx, view d_x, view d_h,
              view x, view rstd);

/** x *= by, a multiplier of the config (0: none). */
void times(struct net *, view x, double by);

/* ---- ffn.c: a SwiGLU FFN cut over TP, of all tokens; COLLECTIVE over TP ---- */
/** Names the two tensors of one FFN in a layer. */
struct ffn {
    int layer;
    enum slot gate_up, down;
};
/** Room for gate_up [N, n], which is saved for backward. */
view gate_up_save(struct net *, const struct pass *, int64_t n);
/** x_out [c, H] += weight * FFN(h [c, H]). weight [N] or none. gate_up [N, 2F] is saved; x_out none: it alone
 * is computed. */
void swiglu_fwd(struct net *, struct pass *, struct ffn, view x_out, view gate_up, view h, view weight);
/** d_h [c, H] and the tensors' gradients from d_x [c, H]; d_weight [N] is this rank's share of the sum
 *  over TP. gate_up is destroyed. Returns d_h: scratch. */
view swiglu_bwd(struct net *, struct pass *, struct ffn, view d_x, view gate_up, view h, view weight,
                view d_weight);

/* ---- the layers: forward beside backward, each in its own file. COLLECTIVE over TP; moe also over EP and
 * ETP. Forward writes x_out [c, H]. Backward is given d_x [c, H], the gradient by the output, and turns it
 * into the gradient by the input, in place. ---- */
void embed_fwd(struct net *, struct pass *, view x_out);
void embed_bwd(struct net *, struct pass *, view d_x);
void attention_fwd(struct net *, struct pass *, int layer, struct saved *, view x_out);
void attention_bwd(struct net *, struct pass *, int layer, struct saved *, view d_x);
/** x_out none: computes again what ffn_bwd wants. */
void ffn_fwd(struct net *, struct pass *, int layer, struct saved *, view x_out);
void ffn_bwd(struct net *, struct pass *, int layer, struct saved *, view d_x);
void moe_fwd(struct net *, struct pass *, int layer, struct saved *, view x_out);
void moe_bwd(struct net *, struct pass *, int layer, struct saved *, view d_x);
/** Computes again what moe_bwd wants and forward did not keep. */
void moe_again(struct net *, struct pass *, int layer, struct saved *);
/** Head and cross-entropy, forward and backward: writes d_x from x, the last layer's output; both [c, H]. */
void head_train(struct net *, struct pass *, view x, view d_x);
/** Forward only: adds the losses to the report, and gives logits to the sink unless it is NULL. */
void head_eval(struct net *, struct pass *, view x, const struct logits_sink *);

/* ---- cache.c ---- */
enum cache_part { KEYS, VALUES };
status cache_open(struct net *) MUST_USE;
void cache_close(struct net *);
int64_t cache_bytes(const struct net *);
/** All keys or values of a layer: [cached * room, kv hd]. */
view cache_view(const struct net *, int layer, enum cache_part);
/** Fill in what the pass needs to know of the cache. */
void cache_begin(struct net *, struct pass *);
/** s->o [N, heads hd]: attention of the pass's rows to themselves and to what the cache holds of their
 *  sequences; their k and v [N, kv hd] join it. */
void cache_attend(struct net *, const struct pass *, int layer, struct attn_shape, struct saved *s, view q,
                  view k, view v);

/* ---- router.c ---- */
/** Logits, choice, losses and capacity for h [own, H]. Returns the choice I32 [own, k], -1 where dropped. */
view router_fwd(struct net *, struct pass *, int layer, struct saved *, view h);
/** From d_gate [own, k]: d_h [own, H] += the gradient through the logits, and the router's gradient. */
void router_bwd(struct net *, struct pass *, int layer, struct saved *, view d_h, view h, view d_gate);

/* ---- shared.c: COLLECTIVE over TP; h [c, H] ---- */
/** x_out [c, H] += the shared experts' output; none: computes again what shared_bwd wants. */
void shared_fwd(struct net *, struct pass *, int layer, struct saved *, view x_out, view h);
/** d_h [own, H] += the gradient through gate and FFN; their weights' gradients are set or added to (p->acc).
 */
void shared_bwd(struct net *, struct pass *, int layer, struct saved *, view d_x, view h, view d_h);

/* ---- capacity.c ---- */
/** kept I32 [own, k] = idx where the assignment fits the expert's capacity (D5), else -1. idx, gate [own, k].
 *  COLLECTIVE over TP. */
void capacity_keep(struct net *, struct pass *, view kept, view idx, view gate);

/* ---- dispatch.c: COLLECTIVE over EP and ETP ---- */
void exchange_open(struct exchange *, struct net *);
void exchange_close(struct exchange *);
/** Finds out from the choice kept [own, k] who sends how many rows where, and fills the exchange. */
void exchange_plan(struct net *, struct pass *, struct exchange *, view kept);
/** Sends rows to their experts: returns [R, n] in expert order, in `out`. Assignment i = t*k + j of token t
 * takes row i/per_row of `rows`. */
view exchange_send(struct net *, struct exchange *, struct region *out, view rows, int64_t per_row);
/** The adjoint: rows of the experts [R, n], summed over ETP, return to their tokens' rank: scratch [kept, n].
 */
view exchange_return(struct net *, struct exchange *, view rows);

#endif
