/* What the layers share: communication around linear layers with sequence parallelism, norms, and views. */
#include "model/layers/layers.h"

static struct group *tp(const struct net *net)
{
    return net->group[G_TP];
}

view seq_gather(struct net *net, const struct pass *p, view x)
{
    if (net->layout.tp == 1)
        return x;
    view all = arena_scratch(&net->arena, x.type, 1, p->rows * net->layout.tp, x.n[2]); /* [TP*c, n] */
    group_all_gather(tp(net), COMPUTE, all, x);
    return all;
}

view seq_partial(struct net *net, const struct pass *p, int64_t n)
{
    int64_t rows = p->rows * net->layout.tp;
    view all = arena_scratch(&net->arena, F32, 1, rows, n); /* [TP*c, n] */
    dev_fill(net->dev, view_rows(all, p->tokens, rows - p->tokens), 0);
    return all;
}

void seq_reduce(struct net *net, const struct pass *p, view out, view partial, bool acc)
{
    if (net->layout.tp == 1 && !acc) {
        dev_copy(net->dev, out, partial);
        return;
    }
    int64_t mark = arena_mark(&net->arena);
    bool direct = !acc && out.type == partial.type;
    view mine = partial; /* [c, n] */
    if (net->layout.tp > 1) {
        mine = direct ? out : arena_scratch(&net->arena, partial.type, 1, p->rows, out.n[2]);
        group_reduce_scatter(tp(net), COMPUTE, mine, partial);
    }
    if (acc)
        dev_add(net->dev, out, mine);
    else if (!direct)
        dev_copy(net->dev, out, mine);
    arena_release(&net->arena, mark);
}

void residual(struct net *net, const struct pass *p, view x_out, view x)
{
    if (p->alone)
        dev_fill(net->dev, x_out, 0);
    else
        dev_copy(net->dev, x_out, x);
}

view keep(struct net *net, dtype type, int64_t n0, int64_t n1, int64_t n2)
{
    return arena_save(net->shape.recompute == RECOMPUTE_FULL ? &net->again : &net->arena, type, n0, n1, n2);
}

void times(struct net *net, view x, double by)
{
    if (by != 0)
        dev_scale(net->dev, x, (float)by);
}

dtype partial_type(const struct net *net, int ranks)
{
    return ranks > 1 ? F32 : net->shape.activation;
}

view tally(const struct net *net, int64_t from, int64_t n)
{
    return view_cols(net->tally, from, n);
}

view live(const struct pass *p, view gathered)
{
    return view_rows(gathered, 0, p->tokens);
}

view weight(const struct net *net, int layer, enum slot slot)
{
    return store_view(net->store, net->model->layer[layer].tensor[slot], WEIGHT);
}

view gradient(const struct net *net, int layer, enum slot slot)
{
    return store_view(net->store, net->model->layer[layer].tensor[slot], GRAD);
}

view norm_fwd(struct net *net, const struct pass *p, int layer, enum slot slot, view x, view *rstd)
{
    view r = arena_scratch(&net->arena, F32, 1, 1, p->rows);                        /* [c] */
    view h = arena_scratch(&net->arena, net->shape.activation, 1, p->rows, x.n[2]); /* [c, H] */
    dev_rmsnorm_fwd(net->dev, h, r, x, weight(net, layer, slot), (float)net->config->norm_eps);
    if (rstd)
        *rstd = r;
    return h;
}

void norm_bwd(struct net *net, const struct pass *p, int layer, enum slot slot, bool acc_dx, view d_x,
              view d_h, view x, view rstd)
{
    dev_rmsnorm_bwd(net->dev, acc_dx, d_x, p->acc, gradient(net, layer, slot), d_h, x, rstd,
                    weight(net, layer, slot));
}
