/* Which assignments fit an expert's capacity (D5). The domain is the whole micro-batch, so every rank
 * of the TP group gathers all choices and makes the same selection; it is decided at the source,
 * before dispatch, and an expert's ranks know nothing of it. */
#include "model/layers/layers.h"

/* Rows of all TP ranks [TP*c, k], as in seq_gather. */
static view gather_choice(struct net *net, const struct pass *p, view x)
{
    view mine = arena_scratch(&net->arena, x.type, 1, p->rows, x.n[2]);
    view dead = view_rows(mine, p->own, p->rows - p->own);
    dead.type = F32; /* zero bits either way */
    dev_copy(net->dev, view_rows(mine, 0, p->own), x);
    dev_fill(net->dev, dead, 0);
    return seq_gather(net, p, mine);
}

void capacity_keep(struct net *net, struct pass *p, view kept, view idx, view gate)
{
    const struct config *c = net->config;
    int64_t mark = arena_mark(&net->arena);
    view all_idx = live(p, gather_choice(net, p, idx)), all_gate = live(p, gather_choice(net, p, gate));
    struct capacity capacity = {.experts = c->moe.experts,
                                .most = config_capacity(c, p->tokens),
                                .first = p->own > 0 ? p->rows * net->at.t : 0,
                                .by_gate = c->moe.capacity_policy == BY_PROBABILITY};
    dev_capacity(net->dev, capacity, kept, tally(net, TALLY_DROPPED, 1), tally(net, TALLY_MARGIN, 1), all_idx,
                 all_gate);
    arena_release(&net->arena, mark);
}
