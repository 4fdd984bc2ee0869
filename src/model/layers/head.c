/* Final norm, head and cross-entropy, with the vocabulary cut over TP. Forward and backward go chunk of
 * tokens by chunk, so that the logits of all tokens never exist at once. T is the number of tokens of a
 * chunk, V the vocabulary, Vl the part of it that this rank holds. */
#include <math.h>
#include <stdlib.h>
#include "base/mem.h"
#include "model/layers/layers.h"

static int head_layer(const struct net *net)
{
    return net->model->n_layers - 1;
}

static struct range rows_of_vocabulary(const struct net *net)
{
    return block(net->config->vocab, net->layout.tp, net->at.t);
}

/* Tokens of a chunk. All chunks are about as long, and all TP ranks get the same number. */
static int64_t chunk_rows(const struct net *net, int64_t tokens)
{
    int64_t widest = (net->config->vocab + net->layout.tp - 1) / net->layout.tp;
    int64_t most = dev_head_rows(net->dev, widest, net->shape.activation);
    int64_t chunks = (tokens + most - 1) / most;
    return chunks > 0 ? (tokens + chunks - 1) / chunks : most;
}

/* lse [T] and nll [T] of a chunk over the whole vocabulary, from the stats [3, T] of every rank's rows of it.
 * Returns the stats of all ranks [TP, 3, T]: scratch. COLLECTIVE over TP. */
static view chunk_stats(struct net *net, view lse, view nll, view mine, view target)
{
    int64_t t = view_size(target), tp = net->layout.tp;
    view all = mine; /* [TP, 3, T] */
    if (tp > 1) {
        all = arena_scratch(&net->arena, F32, 1, tp, 3 * t);
        group_all_gather(net->group[G_TP], COMPUTE, all, view_reshape(mine, 1, 1, 3 * t));
    }
    all = view_reshape(all, tp, 3, t);
    dev_ce_merge(net->dev, lse, nll, all, target);
    return all;
}

/* All ranks of a TP group hold the same nll. The first one reports it. */
static void report_nll(struct net *net, view nll)
{
    if (net->at.t == 0)
        dev_sum(net->dev, tally(net, TALLY_NLL, 1), nll);
}

/* Tokens [from, from + T) of a pass, and what forward makes of them. */
struct chunk {
    view h, w, target;     /* [T, H], [Vl, H], [T] */
    view logits, lse, nll; /* [T, Vl], [T], [T]: scratch */
    view stats;            /* [TP, 3, T] of all ranks: scratch */
};

static struct chunk chunk_fwd(struct net *net, const struct pass *p, int64_t from, int64_t rows, view h)
{
    struct range mine = rows_of_vocabulary(net);
    struct chunk c = {.h = view_rows(h, from, rows),
                      .w = weight(net, head_layer(net), T_HEAD),
                      .target = view_cols(p->targets, from, rows)};
    c.logits = arena_scratch_pitched(&net->arena, net->shape.activation, rows, mine.n);
    c.lse = arena_scratch(&net->arena, F32, 1, 1, rows);
    c.nll = arena_scratch(&net->arena, F32, 1, 1, rows);
    view stats = arena_scratch(&net->arena, F32, 1, 3, rows); /* [3, T] */
    dev_head_loss_fwd(net->dev, c.logits, stats, c.h, c.w, c.target, mine.lo);
    c.stats = chunk_stats(net, c.lse, c.nll, stats, c.target);
    report_nll(net, c.nll);
    return c;
}

static void chunk_train(struct net *net, struct pass *p, int64_t from, int64_t rows, view h, view d_h,
                        bool acc)
{
    int64_t mark = arena_mark(&net->arena);
    struct chunk c = chunk_fwd(net, p, from, rows, h);
    dev_head_loss_bwd(net->dev, view_rows(d_h, from, rows), acc, gradient(net, head_layer(net), T_HEAD),
                      c.logits, c.lse, c.target, rows_of_vocabulary(net).lo, (float)p->batch->inv_counted,
                      c.h, c.w);
    arena_release(&net->arena, mark);
}

/* What the model divides its logits by divides the head's input instead, which is smaller, and its gradient.
 */
static void divide(struct net *net, view x)
{
    double by = net->config->multiply.logits_scaling;
    times(net, x, by != 0 ? 1 / by : 0);
}

static view head_input(struct net *net, const struct pass *p, view x, view *rstd)
{
    view h = norm_fwd(net, p, head_layer(net), T_NORM, x, rstd); /* [c, H] */
    divide(net, h);
    return h;
}

void head_train(struct net *net, struct pass *p, view x, view d_x)
{
    int64_t mark = arena_mark(&net->arena), step = chunk_rows(net, p->tokens);
    view rstd, mine = head_input(net, p, x, &rstd); /* [c], [c, H] */
    view h = live(p, seq_gather(net, p, mine));     /* [N, H] */
    view part = seq_partial(net, p, x.n[2]);        /* [TP*c, H] */
    int64_t from = 0;
    do { /* once even without tokens, because that writes zero gradients */
        int64_t rows = p->tokens - from < step ? p->tokens - from : step;
        chunk_train(net, p, from, rows, h, live(p, part), p->acc || from > 0);
        from += rows;
    } while (from < p->tokens);
    view d_h = part; /* [c, H] */
    if (net->layout.tp > 1)
        seq_reduce(net, p, d_h = arena_scratch(&net->arena, F32, 1, p->rows, x.n[2]), part, false);
    divide(net, d_h);
    norm_bwd(net, p, head_layer(net), T_NORM, false, d_x, d_h, x, rstd);
    arena_release(&net->arena, mark);
}

/* Give the sink logits over the whole vocabulary from this rank's logits [T, Vl], which start at token `row`.
 * The sum over TP is exact, because each rank adds zeros to the others' columns. COLLECTIVE over TP. */
static void give_logits(struct net *net, view logits, int64_t row, const struct logits_sink *sink)
{
    struct range mine = rows_of_vocabulary(net);
    int64_t rows = logits.n[1], v = net->config->vocab;
    view all = arena_scratch(&net->arena, F32, 1, rows, v); /* [T, V] */
    dev_fill(net->dev, all, 0);
    dev_copy(net->dev, view_cols(all, mine.lo, mine.n), logits);
    group_all_reduce(net->group[G_TP], COMPUTE, all);
    if (dev_is_dry(net->dev))
        return;
    float *host = mem_new(mem_mul(rows, v), sizeof *host);
    dev_download(net->dev, host, all);
    sink->take(sink->with, row, rows, host);
    free(host);
}

/* Give the sink the cross-entropies nll [T] of tokens from `row` on and, by the stats [TP, 3, T] of all ranks
 * (dev_ce_stats), how far the logits of their targets lie below the largest. */
static void give_scores(struct net *net, view nll, view stats, int64_t row, const struct logits_sink *sink)
{
    int64_t rows = view_size(nll), ranks = stats.n[0];
    if (dev_is_dry(net->dev))
        return;
    float *host = mem_new(mem_mul(mem_add(mem_mul(3, ranks), 2), rows), sizeof *host);
    float *loss = host + 3 * ranks * rows, *gap = loss + rows;
    dev_download(net->dev, host, stats);
    dev_download(net->dev, loss, nll);
    for (int64_t i = 0; i < rows; i++) {
        float most = host[i], target = 0;
        for (int64_t r = 0; r < ranks; r++) {
            most = fmaxf(most, host[3 * r * rows + i]);
            target += host[(3 * r + 2) * rows + i];
        }
        gap[i] = most - target;
    }
    sink->scores(sink->with, row, rows, loss, gap);
    free(host);
}

/* Tokens [from, from + rows) of h [N, H]. */
static void chunk_eval(struct net *net, struct pass *p, int64_t from, int64_t rows, view h,
                       const struct logits_sink *sink)
{
    int64_t mark = arena_mark(&net->arena);
    struct chunk c = chunk_fwd(net, p, from, rows, h);
    if (sink && sink->scores)
        give_scores(net, c.nll, c.stats, from, sink);
    if (sink && sink->take)
        give_logits(net, c.logits, from, sink);
    arena_release(&net->arena, mark);
}

/* The rows of h [N, H] whose logits are wanted: [rows, H]. */
static view wanted_rows(struct net *net, const struct pass *p, view h)
{
    if (!p->cached || !p->batch->cached->ends)
        return h;
    view ends = arena_scratch(&net->arena, h.type, 1, view_size(p->ends), h.n[2]);
    dev_gather_rows(net->dev, ends, h, p->ends, 1);
    return ends;
}

void head_eval(struct net *net, struct pass *p, view x, const struct logits_sink *sink)
{
    int64_t mark = arena_mark(&net->arena);
    view h = wanted_rows(net, p, live(p, seq_gather(net, p, head_input(net, p, x, NULL))));
    int64_t rows = h.n[1], step = chunk_rows(net, rows);
    for (int64_t from = 0; from < rows; from += step)
        chunk_eval(net, p, from, rows - from < step ? rows - from : step, h, sink);
    arena_release(&net->arena, mark);
}
