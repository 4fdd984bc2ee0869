/* The dense SwiGLU feed-forward: column-parallel gate|up, row-parallel down. One "expert" of the
 * expert op, without a routing weight. */
#include "model/layers/layers.h"

void ffn_fwd(struct net *net, struct pass *p, int layer, struct saved *s, view x_out)
{
    view w_gu = weight(net, layer, T_GATE_UP), w_d = weight(net, layer, T_DOWN);
    w_gu = view_shape(w_gu, 1, w_gu.n[0] * w_gu.n[1], w_gu.n[2]);
    s->gate_up = arena_save(&net->arena, F32, 1, p->n, w_gu.n[1]);

    int64_t mark = arena_mark(&net->arena), offs[2] = {0, p->n};
    view h = live(p, seq_gather(net, p, norm_fwd(net, p, layer, T_FFN_NORM, s->x2, NULL)));
    bool alone = net->layout.tp == 1; /* then down adds into the residual itself */
    view y = alone ? x_out : seq_partial(net, p, net->config->hidden);
    dev_copy(net->dev, x_out, s->x2);
    dev_expert_ffn_fwd(net->dev, &net->arena, live(p, y), s->gate_up, 1, offs, h, w_gu, w_d, view_none(), alone);
    if (!alone)
        seq_reduce(net, p, x_out, y, true);
    arena_release(&net->arena, mark);
}

void ffn_bwd(struct net *net, struct pass *p, int layer, struct saved *s, view d_x)
{
    view w_gu = weight(net, layer, T_GATE_UP), w_d = weight(net, layer, T_DOWN);
    view g_gu = gradient(net, layer, T_GATE_UP), g_d = gradient(net, layer, T_DOWN);
    int64_t rows = w_gu.n[0] * w_gu.n[1], h_n = net->config->hidden, offs[2] = {0, p->n};
    int64_t mark = arena_mark(&net->arena);

    view rstd, h = norm_fwd(net, p, layer, T_FFN_NORM, s->x2, &rstd);
    view part = seq_partial(net, p, h_n);
    dev_expert_ffn_bwd(net->dev, &net->arena, live(p, part), view_shape(g_gu, 1, rows, h_n), g_d, view_none(), 1, offs,
                       live(p, seq_gather(net, p, d_x)), live(p, seq_gather(net, p, h)), s->gate_up,
                       view_shape(w_gu, 1, rows, h_n), w_d, view_none(), p->acc);
    view d_h = part;
    if (net->layout.tp > 1)
        seq_reduce(net, p, d_h = arena_scratch(&net->arena, F32, 1, p->c, h_n), part, false);
    norm_bwd(net, p, layer, T_FFN_NORM, true, d_x, d_h, s->x2, rstd);
    arena_release(&net->arena, mark);
}
