/* Rows travel from their tokens to their experts and back (D5): all-to-all over EP, then all-gather
 * over ETP, then into expert order (expert, source rank, local token); and the adjoint. Where EP and
 * ETP are 1 the source order is the expert order and nothing moves. */
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

static bool moves(const struct net *net)
{
    return net->layout.ep * net->layout.etp > 1;
}

/* In a dry run: the balanced number of rows times the planned imbalance, at most all there could be. */
static void assume_counts(const struct net *net, struct exchange *x)
{
    int64_t ep = net->layout.ep, etp = net->layout.etp, k = net->config->moe.top_k;
    int64_t here = net->config->moe.experts / ep;
    int64_t rows = layout_tokens(&net->layout, net->shape.micro * net->shape.sequence, net->at.t).n;
    int64_t balanced = rows * k, worst = ep * rows * (k < here ? k : here);
    double planned = ep == 1 ? (double)balanced : net->shape.imbalance * (double)balanced;
    x->middle = planned < (double)worst ? (int64_t)planned : worst;
    x->rows = x->middle * etp;
    x->kept = balanced;
    int64_t self = block(x->kept, ep, net->at.p).n, others = 0; /* what stays here goes out and comes in */
    for (int64_t i = 0; i < ep; i++) {
        x->send[i] = block(x->kept, ep, i).n;
        x->recv[i] = i == net->at.p ? self : block(x->middle - self, ep - 1, others++).n;
    }
    for (int64_t i = 0; i < etp; i++)
        x->shares[i] = x->middle;
    for (int64_t e = 0; e <= here; e++)
        x->offs[e] = x->rows * e / here;
}

/* cnt [ETP, EP, experts here]: rows of each expert from each source, in the order in which they lie in
 * the gathered buffer. Sets the sizes and writes where each expert-ordered row comes from. */
static void place_rows(struct net *net, struct exchange *x, const int32_t *cnt)
{
    int64_t ep = net->layout.ep, etp = net->layout.etp, here = net->config->moe.experts / ep;
    memset(x->offs, 0, (size_t)(here + 1) * sizeof *x->offs);
    x->rows = 0;
    for (int64_t q = 0; q < etp; q++) {
        x->shares[q] = 0;
        for (int64_t i = 0; i < ep * here; i++) {
            int64_t n = cnt[q * ep * here + i];
            x->shares[q] += n;
            x->offs[i % here + 1] += n;
        }
        x->rows += x->shares[q];
    }
    x->middle = x->shares[net->at.q];
    for (int64_t e = 0; e < here; e++)
        x->offs[e + 1] += x->offs[e];
}

/* Expert order is (expert, source rank, local token) and source ranks ascend as (p, q), while the
 * gathered buffer runs (q, p, expert, local token). */
static void write_order(struct net *net, struct exchange *x, const int32_t *cnt)
{
    int64_t ep = net->layout.ep, etp = net->layout.etp, here = net->config->moe.experts / ep;
    if (net->host_ids_n < 2 * x->rows) {
        net->host_ids_n = 2 * x->rows + x->rows / 2;
        net->host_ids = mem_grow(net->host_ids, net->host_ids_n, sizeof *net->host_ids);
    }
    int32_t *order = net->host_ids, *back = order + x->rows;
    int64_t *start = net->host_counts, at = 0; /* of each (q, p, expert) run in the gathered buffer */
    for (int64_t i = 0; i < etp * ep * here; i++) {
        start[i] = at;
        at += cnt[i];
    }
    int32_t r = 0;
    for (int64_t e = 0; e < here; e++)
        for (int64_t source = 0; source < ep * etp; source++) {
            int64_t run = (source % etp * ep + source / etp) * here + e;
            for (int32_t i = 0; i < cnt[run]; i++, r++) {
                order[r] = (int32_t)(start[run] + i);
                back[start[run] + i] = r;
            }
        }
    dev_upload(net->dev, region_view(&x->order, I32, 1, 1, x->rows), order);
    dev_upload(net->dev, region_view(&x->back, I32, 1, 1, x->rows), back);
}

/* Exchange the counts of my assignments [X]: over EP, then over ETP. */
static void exchange_counts(struct net *net, struct exchange *x, view counts)
{
    int64_t ep = net->layout.ep, etp = net->layout.etp, experts = net->config->moe.experts,
            here = experts / ep;
    int64_t mark = arena_mark(&net->arena);
    view received = arena_scratch(&net->arena, I32, 1, ep, here);
    view all = arena_scratch(&net->arena, I32, 1, ep * etp, here);
    int32_t *cnt = (int32_t *)(net->host_counts + ep * etp * here); /* behind write_order's starts */
    for (int64_t i = 0; i < ep; i++)
        x->send[i] = x->recv[i] = 1;
    group_all_to_all(net->group[G_EP], COMPUTE, received, x->recv, view_shape(counts, 1, ep, here), x->send);
    group_all_gather(net->group[G_ETP], COMPUTE, all, received);
    if (!dev_is_dry(net->dev)) {
        dev_download(net->dev, cnt, counts);
        for (int64_t p = 0; p < ep; p++) {
            x->send[p] = 0;
            for (int64_t e = 0; e < here; e++)
                x->send[p] += cnt[p * here + e];
        }
        dev_download(net->dev, cnt, all);
        place_rows(net, x, cnt);
        for (int64_t p = 0; p < ep; p++) {
            x->recv[p] = 0;
            for (int64_t e = 0; e < here; e++)
                x->recv[p] += cnt[(net->at.q * ep + p) * here + e];
        }
        if (moves(net))
            write_order(net, x, cnt);
    }
    arena_release(&net->arena, mark);
}

void exchange_plan(struct net *net, struct pass *p, struct exchange *x, view kept)
{
    int64_t experts = net->config->moe.experts, k = net->config->moe.top_k;
    x->slot = arena_save(&net->arena, I32, 1, p->own, k);
    view pick = arena_save(&net->arena, I32, 1, 1, p->own * k);
    view counts = arena_scratch(&net->arena, I32, 1, 1, experts);
    dev_route_plan(net->dev, counts, x->slot, pick, kept);
    exchange_counts(net, x, counts);
    if (dev_is_dry(net->dev)) {
        assume_counts(net, x);
        if (moves(net)) {
            region_view(&x->order, I32, 1, 1, x->rows);
            region_view(&x->back, I32, 1, 1, x->rows);
        }
    } else {
        x->kept = 0;
        for (int64_t i = 0; i < net->layout.ep; i++)
            x->kept += x->send[i];
    }
    x->pick = view_cols(pick, 0, x->kept);
}

view exchange_send(struct net *net, struct exchange *x, struct region *out, view rows, int64_t per_row)
{
    int64_t n = rows.n[2], mark = arena_mark(&net->arena);
    view to = region_view(out, F32, 1, x->rows, n); /* rows = kept where nothing moves */
    view sorted = moves(net) ? arena_scratch(&net->arena, F32, 1, x->kept, n) : to;
    dev_gather_rows(net->dev, sorted, rows, x->pick, per_row);
    if (!moves(net))
        return to;
    view middle = region_view(&net->tmp[TMP_MIDDLE], F32, 1, x->middle, n);
    group_all_to_all(net->group[G_EP], COMPUTE, middle, x->recv, sorted, x->send);
    view all = middle;
    if (net->layout.etp > 1) {
        all = region_view(&net->tmp[TMP_GATHERED], F32, 1, x->rows, n);
        group_all_gather_v(net->group[G_ETP], COMPUTE, all, x->shares, middle);
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
    view all = region_view(&net->tmp[TMP_GATHERED], F32, 1, x->rows, n);
    dev_gather_rows(net->dev, all, rows, region_view(&x->back, I32, 1, 1, x->rows), 1);
    view middle = all;
    if (net->layout.etp > 1) {
        middle = region_view(&net->tmp[TMP_MIDDLE], F32, 1, x->middle, n);
        group_reduce_scatter_v(net->group[G_ETP], COMPUTE, middle, all, x->shares);
    }
    view home = arena_scratch(&net->arena, F32, 1, x->kept, n);
    group_all_to_all(net->group[G_EP], COMPUTE, home, x->send, middle, x->recv);
    return home;
}
