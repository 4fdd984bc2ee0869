/* The mixture-of-experts feed-forward: norm, router, dispatch, experts, combine. The routing weight travels
 * with its row and multiplies it before the down projection (definitions D5). So the combine is a plain sum,
 * and SwiGLU's backward gives the gradient of the weight. E is the number of experts on this rank, F the
 * width of an expert here. */
#include "model/layers/layers.h"

/* gate_up [2E, F, H] as a stack [E, 2F, H]. */
static view stack_gate_up(view v)
{
    return view_reshape(v, v.n[0] / 2, 2 * v.n[1], v.n[2]);
}

static int64_t experts_here(const struct net *net)
{
    return net->config->moe.experts / net->layout.ep;
}

/* Rows of h [own, H] and their weights go to the experts; gate|up of them, and y [R, H] unless it is none. */
static void experts_fwd(struct net *net, int layer, struct saved *s, view y, view h)
{
    struct exchange *x = &s->exchange;
    view xe = exchange_send(net, x, &s->rows->xe, h, net->config->moe.top_k); /* [R, H] */
    view gate = view_reshape(s->gate, 1, view_size(s->gate), 1);              /* [own*k, 1] */
    view we = exchange_send(net, x, &s->rows->we, gate, 1);                   /* [R, 1] */
    view w_gu = stack_gate_up(weight(net, layer, T_GATE_UP));                 /* [E, 2F, H] */
    view w_d = weight(net, layer, T_DOWN);                                    /* [E, H, F] */
    int64_t pitch = dev_pitch(net->dev, w_gu.n[1]);
    view gu = region_take(&s->rows->gue, net->shape.activation, 1, x->rows, pitch); /* [R, 2F | padding] */
    dev_expert_ffn_fwd(net->dev, &net->arena, y, view_cols(gu, 0, w_gu.n[1]), experts_here(net), x->offs, xe,
                       w_gu, w_d, view_reshape(we, 1, 1, x->rows), false);
}

void moe_fwd(struct net *net, struct pass *p, int layer, struct saved *s, view x_out)
{
    struct exchange *x = &s->exchange;
    int64_t mark = arena_mark(&net->arena);
    view mine = norm_fwd(net, p, layer, T_FFN_NORM, s->x2, NULL); /* [c, H] */
    view h = view_rows(mine, 0, p->own);                          /* [own, H] */
    exchange_plan(net, p, x, router_fwd(net, p, layer, s, h));
    dtype type = partial_type(net, net->layout.etp);
    view y = region_take(&net->tmp[TMP_Y], type, 1, x->rows, h.n[2]); /* [R, H] */
    experts_fwd(net, layer, s, y, h);
    view home = exchange_return(net, x, y); /* [kept, H] */

    residual(net, p, x_out, s->x2);
    dev_combine(net->dev, view_rows(x_out, 0, p->own), home, x->slot, true);
    if (net->config->moe.shared > 0)
        shared_fwd(net, p, layer, s, x_out, mine);
    arena_release(&net->arena, mark);
    p->moe++;
}

/* The choice, and who sends what, were kept. */
void moe_again(struct net *net, struct pass *p, int layer, struct saved *s)
{
    int64_t mark = arena_mark(&net->arena);
    view mine = norm_fwd(net, p, layer, T_FFN_NORM, s->x2, NULL); /* [c, H] */
    experts_fwd(net, layer, s, view_none(), view_rows(mine, 0, p->own));
    if (net->config->moe.shared > 0 && net->shape.recompute == RECOMPUTE_FULL)
        shared_fwd(net, p, layer, s, view_none(), mine);
    arena_release(&net->arena, mark);
}

/* The experts' backward from d_y [own, H]: returns d_xe [R, H] and fills d_weight [R]. */
static view experts_bwd(struct net *net, struct pass *p, int layer, struct saved *s, view d_y, view d_weight)
{
    struct exchange *x = &s->exchange;
    view w_gu = stack_gate_up(weight(net, layer, T_GATE_UP));                         /* [E, 2F, H] */
    view g_gu = stack_gate_up(gradient(net, layer, T_GATE_UP));                       /* [E, 2F, H] */
    view xe = region_view(&s->rows->xe, net->shape.activation, 1, x->rows, d_y.n[2]); /* [R, H] */
    view we = region_view(&s->rows->we, F32, 1, 1, x->rows);                          /* [R] */
    int64_t pitch = dev_pitch(net->dev, w_gu.n[1]);
    view gu = region_view(&s->rows->gue, net->shape.activation, 1, x->rows, pitch);   /* [R, 2F | padding] */
    view d_ye = exchange_send(net, x, &net->tmp[TMP_Y], d_y, net->config->moe.top_k); /* [R, H] */
    dtype type = partial_type(net, net->layout.etp);
    view d_xe = region_take(&net->tmp[TMP_DX], type, 1, x->rows, d_y.n[2]); /* [R, H] */
    dev_expert_ffn_bwd(net->dev, &net->arena, d_xe, g_gu, gradient(net, layer, T_DOWN), d_weight,
                       experts_here(net), x->offs, d_ye, xe, view_cols(gu, 0, w_gu.n[1]), w_gu,
                       weight(net, layer, T_DOWN), we, p->acc);
    return d_xe;
}

void moe_bwd(struct net *net, struct pass *p, int layer, struct saved *s, view d_x)
{
    struct exchange *x = &s->exchange;
    int64_t mark = arena_mark(&net->arena), k = net->config->moe.top_k;
    view d_weight = region_take(&net->tmp[TMP_DWEIGHT], F32, 1, 1, x->rows);        /* [R] */
    view d_xe = experts_bwd(net, p, layer, s, view_rows(d_x, 0, p->own), d_weight); /* [R, H] */

    view d_h = arena_scratch(&net->arena, F32, 1, p->own, d_x.n[2]); /* [own, H] */
    dev_combine(net->dev, d_h, exchange_return(net, x, d_xe), x->slot, false);
    view d_gate = arena_scratch(&net->arena, F32, 1, p->own, k);                  /* [own, k] */
    view d_rows = exchange_return(net, x, view_reshape(d_weight, 1, x->rows, 1)); /* [kept, 1] */
    dev_gather_rows(net->dev, view_reshape(d_gate, 1, p->own * k, 1), d_rows,
                    view_reshape(x->slot, 1, 1, p->own * k), 1);

    view rstd, h = norm_fwd(net, p, layer, T_FFN_NORM, s->x2, &rstd); /* [c], [c, H] */
    router_bwd(net, p, layer, s, d_h, view_rows(h, 0, p->own), d_gate);
    if (net->config->moe.shared > 0)
        shared_bwd(net, p, layer, s, d_x, h, d_h);
    norm_bwd(net, p, layer, T_FFN_NORM, true, view_rows(d_x, 0, p->own), d_h, view_rows(s->x2, 0, p->own),
             view_cols(rstd, 0, p->own));
    arena_release(&net->arena, mark);
}
