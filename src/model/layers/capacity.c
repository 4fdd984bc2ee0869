/* Which assignments fit an expert's capacity (definitions D5). Capacity counts the whole micro-batch, so
 * every rank of the TP group gathers all choices and makes the same selection. The ranks of the tokens
 * decide, before the rows are sent; the ranks of the expert only receive what stays. */
#include "model/layers/layers.h"

/* x [own, k] of all TP ranks: [TP*c, k], where the rows without a token are zero. */
static view gather_choice(struct net *net, const struct pass *p, view x)
{
    view mine = arena_scratch(&net->arena, x.type, 1, p->rows, x.n[2]); /* [c, k] */
    view dead = view_rows(mine, p->own, p->rows - p->own);              /* [c - own, k] */
    dead.type = F32; /* zero has the same bits as F32 and as I32 */
    dev_copy(net->dev, view_rows(mine, 0, p->own), x);
    dev_fill(net->dev, dead, 0);
    return seq_gather(net, p, mine);
}

void capacity_keep(struct net *net, struct pass *p, view kept, view idx, view gate)
{
    const struct config *c = net->config;
    int64_t mark = arena_mark(&net->arena);
    view all_idx = live(p, gather_choice(net, p, idx));   /* I32 [N, k] */
    view all_gate = live(p, gather_choice(net, p, gate)); /* [N, k] */
    struct capacity capacity = {.experts = c->moe.experts,
                                .most = config_capacity(c, p->real),
                                .first = p->own > 0 ? p->rows * net->at.t : 0,
                                .by_gate = c->moe.capacity_policy == BY_PROBABILITY};
    dev_capacity(net->dev, capacity, kept, tally(net, TALLY_DROPPED, 1), tally(net, TALLY_MARGIN, 1), all_idx,
                 all_gate);
    arena_release(&net->arena, mark);
}
