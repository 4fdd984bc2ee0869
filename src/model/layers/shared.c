/* Shared experts: one FFN beside the routed ones, for every token. With a gate its output is multiplied by
 * sigmoid(w_s x). This weight enters before the down projection, as a routing weight does, so SwiGLU's
 * backward gives its gradient: each TP rank a part of the sum. */
#include "model/layers/layers.h"

static struct ffn shared(int layer)
{
    return (struct ffn){layer, T_SHARED_GATE_UP, T_SHARED_DOWN};
}

/* The gate from h [c, H]: of this rank's tokens [c, 1], then gathered for the FFN [N]. */
static void gate_fwd(struct net *net, struct pass *p, int layer, struct saved *s, view h)
{
    s->shared_gate_mine = keep(net, F32, 1, p->rows, 1);
    s->shared_gate = keep(net, F32, 1, 1, p->tokens);
    int64_t mark = arena_mark(&net->arena);
    view logit = arena_scratch(&net->arena, F32, 1, p->rows, 1); /* [c, 1] */
    dev_router_logits(net->dev, logit, h, weight(net, layer, T_SHARED_GATE));
    dev_sigmoid_fwd(net->dev, s->shared_gate_mine, logit);
    dev_copy(net->dev, s->shared_gate,
             view_reshape(live(p, seq_gather(net, p, s->shared_gate_mine)), 1, 1, p->tokens));
    arena_release(&net->arena, mark);
}

void shared_fwd(struct net *net, struct pass *p, int layer, struct saved *s, view x_out, view h)
{
    view w = weight(net, layer, T_SHARED_GATE_UP); /* [2, F, H] */
    s->gate_up = gate_up_save(net, p, w.n[0] * w.n[1]);
    s->shared_gate = view_none();
    if (net->config->moe.shared_gate)
        gate_fwd(net, p, layer, s, h);
    swiglu_fwd(net, p, shared(layer), x_out, s->gate_up, h, s->shared_gate);
}

/* d_weight [TP*c, 1] is this rank's part of the gradient by every token's weight. h [c, H], d_h [own, H]. */
static void gate_bwd(struct net *net, struct pass *p, int layer, struct saved *s, view d_weight, view h,
                     view d_h)
{
    view d_mine = arena_scratch(&net->arena, F32, 1, p->rows, 1); /* [c, 1] */
    seq_reduce(net, p, d_mine, d_weight, false);
    dev_sigmoid_bwd(net->dev, d_mine, d_mine, s->shared_gate_mine);
    view d_logit = view_rows(d_mine, 0, p->own); /* [own, 1] */
    view mine = view_rows(h, 0, p->own);         /* [own, H] */
    dev_gemm(net->dev, true, false, d_logit, mine, p->acc, gradient(net, layer, T_SHARED_GATE));
    dev_gemm(net->dev, false, false, d_logit, weight(net, layer, T_SHARED_GATE), true, d_h);
}

void shared_bwd(struct net *net, struct pass *p, int layer, struct saved *s, view d_x, view h, view d_h)
{
    int64_t mark = arena_mark(&net->arena);
    bool gated = net->config->moe.shared_gate;
    view d_weight = gated ? seq_partial(net, p, 1) : view_none();                          /* [TP*c, 1] */
    view d_all = gated ? view_reshape(live(p, d_weight), 1, 1, p->tokens) : d_weight;      /* [N] */
    view d = swiglu_bwd(net, p, shared(layer), d_x, s->gate_up, h, s->shared_gate, d_all); /* [c, H] */
    dev_add(net->dev, d_h, view_rows(d, 0, p->own));
    if (gated)
        gate_bwd(net, p, layer, s, d_weight, h, d_h);
    arena_release(&net->arena, mark);
}
