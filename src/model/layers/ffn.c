/* SwiGLU feed-forward of all tokens. gate|up is cut by columns over TP, down by rows. The expert op computes
 * it as one expert. F is the width on this rank. */
#include "model/layers/layers.h"

/* gate|up as [1, 2F, H]. */
static view gate_up_of(const struct net *net, struct ffn f, enum kind kind)
{
    view v = store_view(net->store, net->model->layer[f.layer].tensor[f.gate_up], kind); /* [2, F, H] */
    return view_reshape(v, 1, v.n[0] * v.n[1], v.n[2]);
}

view gate_up_save(struct net *net, const struct pass *p, int64_t n)
{
    return view_cols(keep(net, net->shape.activation, 1, p->tokens, dev_pitch(net->dev, n)), 0, n);
}

void swiglu_fwd(struct net *net, struct pass *p, struct ffn f, view x_out, view gate_up, view h,
                view weight_n)
{
    int64_t mark = arena_mark(&net->arena), offs[2] = {0, p->tokens};
    bool again = view_is_none(x_out), alone = net->layout.tp == 1; /* then down adds to x_out directly */
    view all = live(p, seq_gather(net, p, h));                     /* [N, H] */
    view y = alone || again ? x_out : seq_partial(net, p, net->config->hidden); /* [TP*c, H] */
    dev_expert_ffn_fwd(net->dev, &net->arena, again ? y : live(p, y), gate_up, 1, offs, all,
                       gate_up_of(net, f, WEIGHT), weight(net, f.layer, f.down), weight_n, alone);
    if (!alone && !again)
        seq_reduce(net, p, x_out, y, true);
    arena_release(&net->arena, mark);
}

view swiglu_bwd(struct net *net, struct pass *p, struct ffn f, view d_x, view gate_up, view h, view weight_n,
                view d_weight)
{
    int64_t offs[2] = {0, p->tokens};
    view part = seq_partial(net, p, h.n[2]); /* [TP*c, H] */
    view d_h = part;                         /* [c, H] */
    if (net->layout.tp > 1)
        d_h = arena_scratch(&net->arena, F32, 1, p->rows, h.n[2]);
    int64_t mark = arena_mark(&net->arena);
    dev_expert_ffn_bwd(net->dev, &net->arena, live(p, part), gate_up_of(net, f, GRAD),
                       gradient(net, f.layer, f.down), d_weight, 1, offs, live(p, seq_gather(net, p, d_x)),
                       live(p, seq_gather(net, p, h)), gate_up, gate_up_of(net, f, WEIGHT),
                       weight(net, f.layer, f.down), weight_n, p->acc);
    arena_release(&net->arena, mark);
    if (net->layout.tp > 1)
        seq_reduce(net, p, d_h, part, false);
    return d_h;
}

static struct ffn dense(int layer)
{
    return (struct ffn){layer, T_GATE_UP, T_DOWN};
}

void ffn_fwd(struct net *net, struct pass *p, int layer, struct saved *s, view x_out)
{
    view w = gate_up_of(net, dense(layer), WEIGHT); /* [1, 2F, H] */
    s->gate_up = gate_up_save(net, p, w.n[1]);
    int64_t mark = arena_mark(&net->arena);
    view h = norm_fwd(net, p, layer, T_FFN_NORM, s->x2, NULL); /* [c, H] */
    if (!view_is_none(x_out))
        residual(net, p, x_out, s->x2);
    swiglu_fwd(net, p, dense(layer), x_out, s->gate_up, h, view_none());
    arena_release(&net->arena, mark);
}

void ffn_bwd(struct net *net, struct pass *p, int layer, struct saved *s, view d_x)
{
    int64_t mark = arena_mark(&net->arena);
    view rstd, h = norm_fwd(net, p, layer, T_FFN_NORM, s->x2, &rstd); /* [c], [c, H] */
    view d_h = swiglu_bwd(net, p, dense(layer), d_x, s->gate_up, h, view_none(), view_none()); /* [c, H] */
    norm_bwd(net, p, layer, T_FFN_NORM, true, d_x, d_h, s->x2, rstd);
    arena_release(&net->arena, mark);
}
