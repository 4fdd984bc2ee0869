/* Final norm, vocabulary-parallel head and cross-entropy, forward and backward per token chunk: full
 * logits never exist in training. */
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

/* Tokens a chunk, about the same in all: equal on all TP ranks. */
static int64_t chunk_rows(const struct net *net, int64_t tokens)
{
    int64_t widest = (net->config->vocab + net->layout.tp - 1) / net->layout.tp;
    int64_t most = dev_head_rows(net->dev, widest, net->shape.activation);
    int64_t chunks = (tokens + most - 1) / most;
    return chunks > 0 ? (tokens + chunks - 1) / chunks : most;
}

/* lse [T] and nll [T] of a chunk over the whole vocabulary. COLLECTIVE over TP. */
static void chunk_stats(struct net *net, view lse, view nll, view logits, view target)
{
    int64_t t = logits.n[1], tp = net->layout.tp;
    view mine = arena_scratch(&net->arena, F32, 1, 3, t);
    dev_ce_stats(net->dev, mine, logits, target, rows_of_vocabulary(net).lo);
    view all = mine;
    if (tp > 1) {
        all = arena_scratch(&net->arena, F32, 1, tp, 3 * t);
        group_all_gather(net->group[G_TP], COMPUTE, all, view_reshape(mine, 1, 1, 3 * t));
    }
    dev_ce_merge(net->dev, lse, nll, view_reshape(all, tp, 3, t), target);
}

/* Every TP rank knows every nll; t = 0 reports it. */
static void report_nll(struct net *net, view nll)
{
    if (net->at.t == 0)
        dev_sum(net->dev, tally(net, TALLY_NLL, 1), nll);
}

static void chunk_train(struct net *net, struct pass *p, int64_t from, int64_t rows, view h, view d_h,
                        bool acc)
{
    int64_t mark = arena_mark(&net->arena);
    view w = weight(net, head_layer(net), T_HEAD), target = view_cols(p->targets, from, rows);
    view logits = arena_scratch_pitched(&net->arena, net->shape.activation, rows, rows_of_vocabulary(net).n);
    view lse = arena_scratch(&net->arena, F32, 1, 1, rows), nll = arena_scratch(&net->arena, F32, 1, 1, rows);
    dev_gemm(net->dev, false, true, view_rows(h, from, rows), w, false, logits);
    chunk_stats(net, lse, nll, logits, target);
    report_nll(net, nll);
    dev_ce_grad(net->dev, logits, lse, target, rows_of_vocabulary(net).lo, (float)p->batch->inv_counted);
    dev_gemm(net->dev, false, false, logits, w, false, view_rows(d_h, from, rows));
    dev_gemm(net->dev, true, false, logits, view_rows(h, from, rows), acc,
             gradient(net, head_layer(net), T_HEAD));
    arena_release(&net->arena, mark);
}

void head_train(struct net *net, struct pass *p, view x, view d_x)
{
    int64_t mark = arena_mark(&net->arena), step = chunk_rows(net, p->tokens);
    view rstd, mine = norm_fwd(net, p, head_layer(net), T_NORM, x, &rstd);
    view h = live(p, seq_gather(net, p, mine)), part = seq_partial(net, p, x.n[2]);
    int64_t from = 0;
    do { /* once even without tokens: gradients are written, not assumed zero */
        int64_t rows = p->tokens - from < step ? p->tokens - from : step;
        chunk_train(net, p, from, rows, h, live(p, part), p->acc || from > 0);
        from += rows;
    } while (from < p->tokens);
    view d_h = part;
    if (net->layout.tp > 1)
        seq_reduce(net, p, d_h = arena_scratch(&net->arena, F32, 1, p->rows, x.n[2]), part, false);
    norm_bwd(net, p, head_layer(net), T_NORM, false, d_x, d_h, x, rstd);
    arena_release(&net->arena, mark);
}

/* Logits of a chunk over the whole vocabulary: adding zeros is exact. COLLECTIVE over TP. */
static void give_logits(struct net *net, view logits, int64_t row, const struct logits_sink *sink)
{
    struct range mine = rows_of_vocabulary(net);
    int64_t rows = logits.n[1], v = net->config->vocab;
    view all = arena_scratch(&net->arena, F32, 1, rows, v);
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

static void chunk_eval(struct net *net, struct pass *p, int64_t from, int64_t rows, view h,
                       const struct logits_sink *sink)
{
    int64_t mark = arena_mark(&net->arena);
    view logits = arena_scratch_pitched(&net->arena, net->shape.activation, rows, rows_of_vocabulary(net).n);
    view lse = arena_scratch(&net->arena, F32, 1, 1, rows), nll = arena_scratch(&net->arena, F32, 1, 1, rows);
    dev_gemm(net->dev, false, true, view_rows(h, from, rows), weight(net, head_layer(net), T_HEAD), false,
             logits);
    chunk_stats(net, lse, nll, logits, view_cols(p->targets, from, rows));
    report_nll(net, nll);
    if (sink)
        give_logits(net, logits, from, sink);
    arena_release(&net->arena, mark);
}

void head_eval(struct net *net, struct pass *p, view x, const struct logits_sink *sink)
{
    int64_t mark = arena_mark(&net->arena), step = chunk_rows(net, p->tokens);
    view h = live(p, seq_gather(net, p, norm_fwd(net, p, head_layer(net), T_NORM, x, NULL)));
    for (int64_t from = 0; from < p->tokens; from += step)
        chunk_eval(net, p, from, p->tokens - from < step ? p->tokens - from : step, h, sink);
    arena_release(&net->arena, mark);
}
