/* Embedding with the vocabulary cut over TP. Every rank looks up all N tokens in its own rows; the sum over
 * TP is scattered, so that each rank keeps its own tokens. */
#include "model/layers/layers.h"

static int64_t first_row(const struct net *net)
{
    return block(net->config->vocab, net->layout.tp, net->at.t).lo;
}

void embed_fwd(struct net *net, struct pass *p, view x_out)
{
    int64_t mark = arena_mark(&net->arena);
    view part = net->layout.tp == 1 ? x_out : seq_partial(net, p, net->config->hidden); /* [TP*c, H] */
    dev_embed_fwd(net->dev, live(p, part), p->ids, first_row(net), weight(net, 0, T_EMBED));
    if (net->layout.tp > 1)
        seq_reduce(net, p, x_out, part, false);
    times(net, x_out, net->config->multiply.embedding);
    arena_release(&net->arena, mark);
}

/* d_x is overwritten; nobody reads it afterwards. */
void embed_bwd(struct net *net, struct pass *p, view d_x)
{
    int64_t mark = arena_mark(&net->arena);
    times(net, d_x, net->config->multiply.embedding);
    view all = seq_gather(net, p, d_x);     /* [TP*c, H] */
    bool acc = p->acc || net->config->tied; /* a tied head has already written this gradient */
    dev_embed_bwd(net->dev, p->ids, live(p, all), first_row(net), acc, gradient(net, 0, T_EMBED));
    arena_release(&net->arena, mark);
}
