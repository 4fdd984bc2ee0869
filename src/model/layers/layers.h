/* What the layer functions share: the net's state and one pass over it. Private to model/.
 *
 * Token ranges of a pass (definitions D2): the micro-batch has N tokens; rank t of the TP group holds
 * rows [t*c, t*c + own) of it, padded to c = ceil(N/TP) rows whose dead ones are zero. "Local" views
 * have c rows, "gathered" ones TP*c rows of which the first N are tokens: rank order is token order.
 * Names: x residual stream, h its norm; d_ before a name is the gradient of the loss by it. */
#ifndef MODEL_LAYERS_H
#define MODEL_LAYERS_H
#include "model/net.h"

/* What routing decides, and how rows travel from their tokens to their experts and back (D5). */
struct exchange {
    int64_t kept;         /* assignments of my tokens that travel: rows in source order */
    int64_t received;     /* rows received over EP */
    int64_t rows;         /* R: rows of my experts: `received` of all ETP ranks */
    int64_t *send, *recv; /* [EP] rows to and from each member */
    int64_t *shares;      /* [ETP] rows that each member received */
    int64_t *offs;        /* [experts here + 1] rows of each expert, in expert order */
    view slot, pick;      /* I32 [own, k], [kept]: see dev_route_plan */
    struct region order;  /* I32 [R]: gathered position of expert-ordered row r */
    struct region back;   /* I32 [R]: the inverse */
};

/* What forward keeps for backward, per layer. Embed and head use x only. */
struct saved {
    view x;                    /* [c, H] input of the layer */
    view qkv, o, lse;          /* [N, (heads + 2 kv) hd], [N, heads hd], [N, heads], local heads */
    view x2;                   /* [c, H] between attention and FFN */
    view gate_up;              /* [N, 2F] dense or shared */
    view shared_gate;          /* [N] weight of the shared experts; none without a gate */
    view shared_gate_mine;     /* [c] that of my tokens */
    view logits, idx, gate;    /* [own, X], I32 [own, k], [own, k] */
    view aux;                  /* [domains, X] gradient of the aux loss by every token's softmax */
    struct exchange exchange;  /* MoE */
    struct region xe, we, gue; /* [R, H], [R], [R, 2F]: rows at the experts; sizes decided by routing */
};

/* Buffers whose size a routing decides, shared by all layers. */
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
    struct saved *saved; /* [layers of the table]; forward alone uses saved[1] for all blocks */
    struct region tmp[TEMPORARIES];
    float *cos_sin_base;
    view cos_sin;         /* [S, hd] */
    int32_t *host_counts; /* [X + ETP * X]: see exchange_counts */
    view tally;           /* F64 [TALLY_LOADS + MoE layers * X]: the report on the device */
    int32_t *host_ids;    /* pinned [2 N]: ids and targets on their way */
    ticket sent, told;    /* of their upload, of the report's download */
    double *host_tally;   /* alike: what net_begin writes and net_read reads */
    bool margins;         /* note routing margins */
};

/* Where things lie in the tally. */
enum {
    TALLY_NLL,
    TALLY_LOSSES,
    TALLY_DROPPED = TALLY_LOSSES + 3,
    TALLY_SUMS,
    TALLY_MARGIN = TALLY_SUMS,
    TALLY_LOADS
};

/* One pass over a micro-batch. */
struct pass {
    int64_t tokens;    /* N of the micro-batch */
    int64_t rows, own; /* c: rows of every rank, dead ones too; live rows of this rank */
    bool keep;         /* what backward needs */
    bool alone;        /* net_ffn: write the layer's output alone, without the residual */
    bool training;     /* training mode: capacity, jitter and domains apply */
    bool acc;          /* weight gradients: add */
    const struct micro_batch *batch;
    view ids, targets; /* I32 [N] on the device */
    int moe;           /* MoE layers met so far */
};

/* ---- linear.c: parallel communication of linear layers; COLLECTIVE over TP ---- */
/** Local rows of all TP ranks: scratch [TP*c, n], or x itself when TP = 1. */
view seq_gather(struct net *, const struct pass *, view x);
/** Room for a partial sum over TP: scratch F32 [TP*c, n], dead rows zero. */
view seq_partial(struct net *, const struct pass *, int64_t n);
/** out [c, n] (+)= my rows of the sum over TP of partial [TP*c, n]. */
void seq_reduce(struct net *, const struct pass *, view out, view partial, bool acc);
/** x_out = x, to which the feed-forward adds; 0 if the layer's output is wanted alone. */
void residual(struct net *, const struct pass *, view x_out, view x);
/** The type of the parts of a sum over `ranks` ranks of TP or ETP. With several ranks it is F32, so that the
 * sum is rounded once; with one rank it is that of activations. */
dtype partial_type(const struct net *, int ranks);
/** `n` numbers of the report on the device, from one of TALLY_... */
view tally(const struct net *, int64_t from, int64_t n);
/** The first N rows of a gathered view. */
view live(const struct pass *, view gathered);
view weight(const struct net *, int layer, enum slot); /* as a stack [n0, n1, n2] */
view gradient(const struct net *, int layer, enum slot);
/** h [c, H] = norm of x by a layer's norm weights; returns scratch, and rstd [c] if asked. */
view norm_fwd(struct net *, const struct pass *, int layer, enum slot, view x, view *rstd);
/** d_x (+)= and norm gradient (+)= from d_h. rstd is norm_fwd's, so nothing is computed again. */
void norm_bwd(struct net *, const struct pass *, int layer, enum slot, bool acc_dx, view d_x, view d_h,
              view x, view rstd);

/* ---- ffn.c: a SwiGLU FFN cut over TP, of all tokens; COLLECTIVE over TP ---- */
/** Names the two tensors of one FFN in a layer. */
struct ffn {
    int layer;
    enum slot gate_up, down;
};
/** Room for gate_up [N, n]. */
view gate_up_save(struct net *, const struct pass *, int64_t n);
/** x_out [c, H] += weight * FFN(h [c, H]). weight [N] or none. gate_up [N, 2F] is saved. */
void swiglu_fwd(struct net *, struct pass *, struct ffn, view x_out, view gate_up, view h, view weight);
/** d_h [c, H] and the tensors' gradients from d_x [c, H]; d_weight [N] is this rank's share of the sum
 *  over TP. gate_up is destroyed. Returns d_h: scratch. */
view swiglu_bwd(struct net *, struct pass *, struct ffn, view d_x, view gate_up, view h, view weight,
                view d_weight);

/* ---- each layer: forward beside backward in its own file. x_out, d_x [c, H]. Backward turns d_x
 * (gradient by the output) into the gradient by the input, in place. COLLECTIVE over TP; moe over
 * TP, EP and ETP. ---- */
void embed_fwd(struct net *, struct pass *, view x_out);
void embed_bwd(struct net *, struct pass *, view d_x);
void attention_fwd(struct net *, struct pass *, int layer, struct saved *, view x_out);
void attention_bwd(struct net *, struct pass *, int layer, struct saved *, view d_x);
void ffn_fwd(struct net *, struct pass *, int layer, struct saved *, view x_out);
void ffn_bwd(struct net *, struct pass *, int layer, struct saved *, view d_x);
void moe_fwd(struct net *, struct pass *, int layer, struct saved *, view x_out);
void moe_bwd(struct net *, struct pass *, int layer, struct saved *, view d_x);
/** Cross-entropy forward and backward per token chunk; d_x [c, H] is written. x: the last layer's output. */
void head_train(struct net *, struct pass *, view x, view d_x);
/** Forward only: adds to the report and gives logits to the sink, if there is one. */
void head_eval(struct net *, struct pass *, view x, const struct logits_sink *);

/* ---- router.c ---- */
/** Logits, choice, losses and capacity of h [own, H]; returns the kept choice, I32 [own, k], -1 = dropped. */
view router_fwd(struct net *, struct pass *, int layer, struct saved *, view h);
/** d_h [own, H] += through the logits; router gradient (+)=. d_gate [own, k]. */
void router_bwd(struct net *, struct pass *, int layer, struct saved *, view d_h, view h, view d_gate);

/* ---- shared.c: COLLECTIVE over TP; h [c, H] ---- */
/** x_out [c, H] += the shared experts' output. */
void shared_fwd(struct net *, struct pass *, int layer, struct saved *, view x_out, view h);
/** d_h [own, H] += through gate and FFN; their gradients (+)=. */
void shared_bwd(struct net *, struct pass *, int layer, struct saved *, view d_x, view h, view d_h);

/* ---- capacity.c ---- */
/** Which assignments of the micro-batch fit (D5): COLLECTIVE over TP. idx, gate [own, k] -> kept. */
void capacity_keep(struct net *, struct pass *, view kept, view idx, view gate);

/* ---- dispatch.c: COLLECTIVE over EP and ETP ---- */
void exchange_open(struct exchange *, struct net *);
void exchange_close(struct exchange *);
/** Who sends how many rows where, from the kept choice. slot and pick are saved if the pass trains. */
void exchange_plan(struct net *, struct pass *, struct exchange *, view kept);
/** Rows of tokens to expert order [R, n] in `out`: kept assignment n*k + j takes row (n*k + j)/per_row. */
view exchange_send(struct net *, struct exchange *, struct region *out, view rows, int64_t per_row);
/** The adjoint: rows of the experts [R, n], summed over ETP, back to source order: scratch [kept, n]. */
view exchange_return(struct net *, struct exchange *, view rows);

#endif
