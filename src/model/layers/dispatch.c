/* Rows travel from their tokens to their experts and back (definitions D5). On the way there, an all-to-all
 * over EP brings them to the ranks of their experts, an all-gather over ETP gives them to all ranks of an
 * expert, and a gather puts them into expert order: by expert, then source rank, then token. The way back is
 * the adjoint. With EP = ETP = 1 nothing moves, because the rows are already in expert order. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "model/layers/layers.h"

void exchange_open(struct exchange *x, struct net *net)
{
    x->send = mem_new(net->layout.ep, sizeof *x->send);
    x->recv = mem_new(net->layout.ep, sizeof *x->recv);
    x->shares = mem_new(net->layout.etp, sizeof *x->shares);
    x->offs = mem_new(net->config->moe.experts / net->layout.ep + 1, sizeof *x->offs);
    x->order.dev = x->back.dev = net->dev;
}

void exchange_close(struct exchange *x)
{
    free(x->send);
    free(x->recv);
    free(x->shares);
    free(x->offs);
    region_close(&x->order);
    region_close(&x->back);
}

/* With a capacity a rank sends no expert more rows than that. Where the host would have to wait for the
 * routing's counts, it sends always so many, and those without a token are zero. Not where that makes half as
 * many again, as with several ranks of TP, each of which may hold all that an expert keeps of their
 * micro-batch. */
static int64_t room_of(const struct net *net, const struct pass *p)
{
    const struct moe *m = &net->config->moe;
    int64_t tokens = net->shape.micro * net->shape.sequence,
            mine = (tokens + net->layout.tp - 1) / net->layout.tp;
    if (!p->training || m->capacity_ppm == 0 || dev_at_once(net->dev))
        return 0;
    int64_t most = config_capacity(net->config, tokens), room = most < mine ? most : mine;
    return 2 * room * m->experts <= 3 * mine * m->top_k ? room : 0;
}

static bool moves(const struct net *net)
{
    return net->layout.ep * net->layout.etp > 1;
}

/* Every source sends every expert `room` rows. */
static void fixed_counts(const struct net *net, struct exchange *x)
{
    int64_t ep = net->layout.ep, etp = net->layout.etp, here = net->config->moe.experts / ep;
    x->kept = ep * here * x->room;
    x->received = x->kept;
    x->rows = etp * x->received;
    for (int64_t i = 0; i < ep; i++)
        x->send[i] = x->recv[i] = here * x->room;
    for (int64_t i = 0; i < etp; i++)
        x->shares[i] = x->received;
    for (int64_t e = 0; e <= here; e++)
        x->offs[e] = e * etp * ep * x->room;
}

/* Nothing is known of the routing. It is assumed to be balanced; a dry run, which measures memory, assumes
 * the balanced number of rows times the planned imbalance, and no more than there can be. */
static void assume_counts(const struct net *net, const struct pass *p, struct exchange *x)
{
    int64_t ep = net->layout.ep, etp = net->layout.etp, k = net->config->moe.top_k;
    int64_t here = net->config->moe.experts / ep;
    int64_t rows = layout_tokens(&net->layout, net->shape.micro * net->shape.sequence, net->at.t).n;
    int64_t balanced = rows * k, worst = ep * rows * (k < here ? k : here);
    double imbalance = ep > 1 && dev_is_dry(net->dev) ? net->shape.imbalance : 1;
    double planned = imbalance * (double)balanced;
    x->received = planned < (double)worst ? (int64_t)planned : worst;
    x->rows = x->received * etp;
    x->kept = p->own * k;
    int64_t self = block(x->kept, ep, net->at.p).n, others = 0; /* self: both sent and received */
    for (int64_t i = 0; i < ep; i++) {
        x->send[i] = block(x->kept, ep, i).n;
        x->recv[i] = i == net->at.p ? self : block(x->received - self, ep - 1, others++).n;
    }
    for (int64_t i = 0; i < etp; i++)
        x->shares[i] = x->received;
    for (int64_t e = 0; e <= here; e++)
        x->offs[e] = x->rows * e / here;
}

/* cnt [ETP, EP, experts here] holds the rows of each expert from each source, in the order of the gathered
 * buffer. Sets recv, shares, offs, received and rows. */
static void place_rows(struct net *net, struct exchange *x, const int32_t *cnt)
{
    int64_t ep = net->layout.ep, etp = net->layout.etp, here = net->config->moe.experts / ep;
    memset(x->offs, 0, (size_t)(here + 1) * sizeof *x->offs);
    memset(x->recv, 0, (size_t)ep * sizeof *x->recv);
    memset(x->shares, 0, (size_t)etp * sizeof *x->shares);
    for (int64_t i = 0; i < etp * ep * here; i++) {
        int64_t q = i / here / ep;
        x->shares[q] += cnt[i];
        x->offs[i % here + 1] += cnt[i];
        if (q == net->at.q)
            x->recv[i / here % ep] += cnt[i];
    }
    for (int64_t e = 0; e < here; e++)
        x->offs[e + 1] += x->offs[e];
    x->received = x->shares[net->at.q];
    x->rows = x->offs[here];
}

/* counts [X] holds this rank's assignments to each expert. Sets send, per member of the EP group, and kept.
 */
static void count_sends(const struct net *net, struct exchange *x, const int32_t *counts)
{
    int64_t ep = net->layout.ep, here = net->config->moe.experts / ep;
    x->kept = 0;
    memset(x->send, 0, (size_t)ep * sizeof *x->send);
    for (int64_t e = 0; e < ep * here; e++) {
        x->send[e / here] += counts[e];
        x->kept += counts[e];
    }
}

/* all [EP + ETP*EP, here]. Its first EP rows say how many rows this rank sends to each expert. The others are
 * filled here: what every source sends to this rank's experts, exchanged over EP, then gathered over ETP. The
 * host reads all of it at once, which is its only wait in a MoE layer; it reads nothing where the numbers are
 * fixed. */
static void exchange_counts(struct net *net, const struct pass *p, struct exchange *x, view all)
{
    int64_t ep = net->layout.ep, etp = net->layout.etp, here = net->config->moe.experts / ep;
    int64_t mark = arena_mark(&net->arena);
    view received = arena_scratch(&net->arena, I32, 1, ep, here); /* [EP, here] */
    for (int64_t i = 0; i < ep; i++)
        x->send[i] = x->recv[i] = 1;
    group_all_to_all(net->group[G_EP], COMPUTE, received, x->recv, view_rows(all, 0, ep), x->send);
    group_all_gather(net->group[G_ETP], COMPUTE, view_rows(all, ep, etp * ep), received);
    arena_release(&net->arena, mark);
    if (x->room > 0) {
        fixed_counts(net, x);
        return;
    }
    if (dev_is_blind(net->dev)) {
        assume_counts(net, p, x);
        return;
    }
    dev_download(net->dev, net->host_counts, all);
    count_sends(net, x, net->host_counts);
    place_rows(net, x, net->host_counts + ep * here);
}

void exchange_plan(struct net *net, struct pass *p, struct exchange *x, view kept)
{
    int64_t ep = net->layout.ep, here = net->config->moe.experts / ep, k = net->config->moe.top_k;
    x->slot = arena_save(&net->arena, I32, 1, p->own, k);
    x->room = room_of(net, p);
    int64_t places = x->room > 0 ? ep * here * x->room : p->own * k;
    view pick = arena_save(&net->arena, I32, 1, 1, places);                          /* [places] */
    view all = arena_scratch(&net->arena, I32, 1, ep * (1 + net->layout.etp), here); /* [EP + ETP*EP, here] */
    dev_route_plan(net->dev, view_rows(all, 0, ep), x->slot, pick, kept, x->room);
    exchange_counts(net, p, x, all);
    x->pick = view_cols(pick, 0, x->kept);
    if (moves(net))
        dev_expert_order(net->dev, region_take(&x->order, I32, 1, 1, x->rows),
                         region_take(&x->back, I32, 1, 1, x->rows), view_rows(all, ep, ep * net->layout.etp),
                         net->layout.etp);
}

view exchange_send(struct net *net, struct exchange *x, struct region *out, view rows, int64_t per_row)
{
    int64_t n = rows.n[2], mark = arena_mark(&net->arena);
    view to = region_take(out, rows.type, 1, x->rows, n); /* [R, n], with R = kept if nothing moves */
    view sorted = moves(net) ? arena_scratch(&net->arena, rows.type, 1, x->kept, n) : to; /* [kept, n] */
    dev_gather_rows(net->dev, sorted, rows, x->pick, per_row);
    if (!moves(net))
        return to;
    view received = region_take(&net->tmp[TMP_RECEIVED], rows.type, 1, x->received, n); /* [received, n] */
    group_all_to_all(net->group[G_EP], COMPUTE, received, x->recv, sorted, x->send);
    view all = received; /* [R, n] */
    if (net->layout.etp > 1) {
        all = region_take(&net->tmp[TMP_GATHERED], rows.type, 1, x->rows, n);
        group_all_gather_v(net->group[G_ETP], COMPUTE, all, x->shares, received);
    }
    dev_gather_rows(net->dev, to, all, region_view(&x->order, I32, 1, 1, x->rows), 1);
    arena_release(&net->arena, mark);
    return to;
}

view exchange_return(struct net *net, struct exchange *x, view rows)
{
    if (!moves(net))
        return rows;
    int64_t n = rows.n[2];
    view all = region_take(&net->tmp[TMP_GATHERED], rows.type, 1, x->rows, n); /* [R, n] */
    dev_gather_rows(net->dev, all, rows, region_view(&x->back, I32, 1, 1, x->rows), 1);
    view received = all; /* [received, n] */
    if (net->layout.etp > 1) {
        received = region_take(&net->tmp[TMP_RECEIVED], rows.type, 1, x->received, n);
        group_reduce_scatter_v(net->group[G_ETP], COMPUTE, received, all, x->shares);
    }
    view home = arena_scratch(&net->arena, rows.type, 1, x->kept, n); /* [kept, n] */
    group_all_to_all(net->group[G_EP], COMPUTE, home, x->send, received, x->recv);
    return home;
}
