/* One pass over the table of layers, the report that it adds up, and opening. */
#include "model/net.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/progress.h"
#include "model/layers/layers.h"

/* ---- one pass ---- */

static struct pass pass_begin(struct net *net, const struct micro_batch *batch)
{
    struct pass p = {.tokens = batch->tokens, .sequence = batch->sequence, .batch = batch};
    if (p.sequence == 0)
        p.sequence = net->shape.sequence;
    p.rows = (p.tokens + net->layout.tp - 1) / net->layout.tp;
    p.own = layout_tokens(&net->layout, p.tokens, net->at.t).n;
    arena_reset(&net->arena);
    rows_begin(net, &p);
    p.cached = batch->cached && p.tokens > 0;
    if (p.cached)
        cache_begin(net, &p);
    return p;
}

static view stream_save(struct net *net, const struct pass *p)
{
    return arena_save(&net->arena, net->shape.activation, 1, p->rows, net->config->hidden);
}

static struct saved *saved_of(struct net *net, const struct pass *p, int layer)
{
    return &net->saved[p->keep ? layer : 1]; /* a pass that keeps nothing uses one for all layers */
}

/* host [N, H] = the rows x [c, H] of all ranks of the TP group. */
static void download_stream(struct net *net, struct pass *p, view x, float *host)
{
    int64_t mark = arena_mark(&net->arena);
    view all = live(p, seq_gather(net, p, x)); /* [N, H] */
    view floats = all;                         /* F32 [N, H] */
    if (all.type != F32)
        dev_copy(net->dev, floats = arena_scratch(&net->arena, F32, 1, all.n[1], all.n[2]), all);
    dev_download(net->dev, host, floats);
    arena_release(&net->arena, mark);
}

static void give_stream(struct net *net, struct pass *p, int layer, view x, const struct logits_sink *sink)
{
    if (!sink || !sink->stream)
        return;
    float *host = mem_new(mem_mul(p->tokens, net->config->hidden), sizeof *host);
    download_stream(net, p, x, host);
    sink->stream(sink->with, layer, host);
    free(host);
}

/* ---- blocks: two sublayers, each of which adds to the residual stream ---- */

typedef void forward(struct net *, struct pass *, int layer, struct saved *, view x_out);
typedef void backward(struct net *, struct pass *, int layer, struct saved *, view d_x);

/* x_out = x + m f(x). Without a multiplier m the sublayer adds by itself. */
static void sublayer_fwd(struct net *net, struct pass *p, int layer, struct saved *s, view x, view x_out,
                         forward *f)
{
    double m = net->config->multiply.residual;
    bool alone = p->alone;
    p->alone = alone || m != 0;
    f(net, p, layer, s, x_out);
    p->alone = alone;
    times(net, x_out, m);
    if (m != 0 && !alone)
        dev_add(net->dev, x_out, x);
}

/* d_x becomes d_x + m f'(d_x). The sublayer's own backward gives m d_x + f'(m d_x). */
static void sublayer_bwd(struct net *net, struct pass *p, int layer, struct saved *s, view d_x, backward *f)
{
    double m = net->config->multiply.residual;
    int64_t mark = arena_mark(&net->arena);
    view d = m == 0 ? d_x : arena_scratch(&net->arena, d_x.type, 1, p->rows, d_x.n[2]); /* [c, H] */
    if (m != 0) {
        dev_copy(net->dev, d, d_x);
        times(net, d, m);
    }
    f(net, p, layer, s, d);
    if (m != 0) {
        dev_scale(net->dev, d_x, (float)(1 - m));
        dev_add(net->dev, d_x, d);
    }
    arena_release(&net->arena, mark);
}

static bool is_moe(const struct net *net, int layer)
{
    return net->model->layer[layer].type == MOE_BLOCK;
}

static void feed_forward(struct net *net, struct pass *p, int layer, struct saved *s, view x_out)
{
    sublayer_fwd(net, p, layer, s, s->x2, x_out, is_moe(net, layer) ? moe_fwd : ffn_fwd);
}

static void block_fwd(struct net *net, struct pass *p, int layer, view x, view x_out,
                      const struct logits_sink *sink)
{
    struct saved *s = saved_of(net, p, layer);
    progress_part("forward", layer - 1);
    arena_reset(&net->again);
    s->x = x;
    s->x2 = keep(net, x.type, 1, p->rows, x.n[2]);
    sublayer_fwd(net, p, layer, s, x, s->x2, attention_fwd);
    give_stream(net, p, layer, s->x2, sink);
    feed_forward(net, p, layer, s, x_out);
}

/* What backward wants and forward did not keep: the same ops on the same numbers give the same bits. */
static void block_again(struct net *net, struct pass *p, int layer, struct saved *s)
{
    bool full = net->shape.recompute == RECOMPUTE_FULL;
    if (full) {
        arena_reset(&net->again);
        s->x2 = keep(net, s->x.type, 1, p->rows, s->x.n[2]);
        sublayer_fwd(net, p, layer, s, s->x, s->x2, attention_fwd);
    }
    if (is_moe(net, layer))
        moe_again(net, p, layer, s);
    else if (full)
        ffn_fwd(net, p, layer, s, view_none());
}

static void block_bwd(struct net *net, struct pass *p, int layer, view d_x)
{
    struct saved *s = saved_of(net, p, layer);
    if (net->shape.recompute != RECOMPUTE_NONE)
        block_again(net, p, layer, s);
    sublayer_bwd(net, p, layer, s, d_x, is_moe(net, layer) ? moe_bwd : ffn_bwd);
    sublayer_bwd(net, p, layer, s, d_x, attention_bwd);
}

/* Forward without backward. Two buffers for the residual stream take turns, and what a layer saves is dropped
 * when the layer is done. */
static void forward_alone(struct net *net, struct pass *p, const struct logits_sink *sink)
{
    view x = stream_save(net, p), other = stream_save(net, p); /* [c, H] */
    embed_fwd(net, p, x);
    int64_t bottom = net->arena.saved;
    for (int l = 1; l < net->model->n_layers - 1; l++) {
        block_fwd(net, p, l, x, other, sink);
        view t = x;
        x = other;
        other = t;
        net->arena.saved = bottom;
    }
    head_eval(net, p, x, sink);
}

/* May work on COMM go on beside COMPUTE? Where an op is done when it returns, it would only be in the way. */
static bool beside(const struct net *net, bool wanted)
{
    return wanted && !dev_at_once(net->dev);
}

/* The gradients of a layer are complete. */
static void layer_done(struct net *net, int layer)
{
    if (net->reducing)
        store_reduce_layer(net->store, net->group, layer, COMM);
}

void net_reduce_grads(struct net *net)
{
    if (net->reducing)
        dev_wait(net->dev, COMPUTE, dev_mark(net->dev, COMM));
    else
        store_reduce_grads(net->store, net->group);
    net->reducing = false;
}

void net_gather_weights(struct net *net)
{
    store_gather_weights(net->store, net->group, beside(net, net->shape.overlap_weights) ? COMM : COMPUTE);
}

void net_train(struct net *net, const struct micro_batch *batch, bool acc, bool last)
{
    struct pass p = pass_begin(net, batch);
    p.keep = p.training = true;
    p.acc = acc;
    net->reducing = last && beside(net, net->shape.overlap_gradients);
    view x = stream_save(net, &p); /* [c, H] */
    embed_fwd(net, &p, x);
    for (int l = 1; l < net->model->n_layers - 1; l++) {
        view x_out = stream_save(net, &p); /* [c, H] */
        block_fwd(net, &p, l, x, x_out, NULL);
        x = x_out;
    }
    view d_x = stream_save(net, &p); /* [c, H] */
    head_train(net, &p, x, d_x);
    layer_done(net, net->model->n_layers - 1);
    for (int l = net->model->n_layers - 2; l >= 1; l--) {
        block_bwd(net, &p, l, d_x);
        layer_done(net, l);
    }
    embed_bwd(net, &p, d_x);
    layer_done(net, 0);
}

void net_eval(struct net *net, const struct micro_batch *batch, const struct logits_sink *sink)
{
    struct pass p = pass_begin(net, batch);
    forward_alone(net, &p, sink);
}

void net_probe(struct net *net, const struct micro_batch *batch, const struct logits_sink *sink)
{
    struct pass p = pass_begin(net, batch);
    p.training = true;
    forward_alone(net, &p, sink);
}

void net_ffn(struct net *net, int layer, int64_t tokens, const float *x, float *y)
{
    struct micro_batch batch = {.tokens = tokens};
    struct pass p = pass_begin(net, &batch);
    struct saved *s = saved_of(net, &p, layer);
    view y_rows = stream_save(net, &p); /* [c, H] */
    p.alone = true;
    s->x2 = stream_save(net, &p);
    dev_fill(net->dev, s->x2, 0);
    dev_upload(net->dev, view_rows(s->x2, 0, p.own), x + p.rows * net->at.t * net->config->hidden);
    feed_forward(net, &p, layer, s, y_rows);
    download_stream(net, &p, y_rows, y);
}

/* ---- the report ---- */

void net_begin(struct net *net, bool margins)
{
    net->margins = margins;
    for (int i = 0; i < TELLS; i++)
        dev_wait(net->dev, COMPUTE, net->told[i]);
    dev_upload(net->dev, net->tally, net->fresh);
}

void net_sum(struct net *net)
{
    group_all_reduce(net->group[G_WORLD], COMPUTE, tally(net, 0, TALLY_SUMS));
    group_all_reduce(net->group[G_WORLD], COMPUTE, net_loads(net));
}

static double *told_at(const struct net *net, int64_t number)
{
    return net->host_tally + number % TELLS * view_size(net->tally);
}

void net_tell(struct net *net)
{
    if (net->tells - net->reads == TELLS)
        bug("net_tell: %d reports were told and not read", TELLS);
    dev_wait(net->dev, COPIES, dev_mark(net->dev, COMPUTE));
    net->told[net->tells % TELLS] = dev_download_async(net->dev, told_at(net, net->tells), net->tally);
    net->tells++;
}

struct net_report net_read(struct net *net)
{
    if (net->tells == net->reads)
        net_tell(net);
    double *t = told_at(net, net->reads);
    dev_wait_host(net->dev, net->told[net->reads++ % TELLS]);
    return (struct net_report){.nll = t[TALLY_NLL],
                               .aux = t[TALLY_LOSSES],
                               .z = t[TALLY_LOSSES + 1],
                               .max_z = t[TALLY_LOSSES + 2],
                               .dropped = t[TALLY_DROPPED],
                               .margin = t[TALLY_MARGIN],
                               .squares = t[TALLY_SQUARES],
                               .load = t + TALLY_LOADS};
}

view net_loss(const struct net *net)
{
    return tally(net, TALLY_NLL, 1);
}

view net_loads(const struct net *net)
{
    return tally(net, TALLY_LOADS, view_size(net->tally) - TALLY_LOADS);
}

view net_squares(const struct net *net)
{
    return tally(net, TALLY_SQUARES, 1);
}

/* ---- opening ---- */

static void open_rows(struct expert_rows *r, struct dev *dev)
{
    r->xe.dev = r->we.dev = r->gue.dev = dev;
}

static void close_rows(struct expert_rows *r)
{
    region_close(&r->xe);
    region_close(&r->we);
    region_close(&r->gue);
}

static void open_layers(struct net *net)
{
    open_rows(&net->rows, net->dev);
    net->saved = mem_new(net->model->n_layers, sizeof *net->saved);
    for (int l = 0; l < net->model->n_layers; l++) {
        struct saved *s = &net->saved[l];
        open_rows(&s->own, net->dev);
        s->rows = net->shape.recompute == RECOMPUTE_NONE ? &s->own : &net->rows;
        if (config_moe_layers(net->config) > 0)
            exchange_open(&s->exchange, net);
    }
    for (int i = 0; i < TEMPORARIES; i++)
        net->tmp[i].dev = net->dev;
}

static status open_tally(struct net *net)
{
    int64_t x = net->config->moe.experts, n = TALLY_LOADS + config_moe_layers(net->config) * x;
    void *memory;
    net->host_counts = mem_new(mem_mul(net->layout.etp + 1, x), sizeof *net->host_counts);
    net->fresh = mem_new(n, sizeof *net->fresh);
    net->fresh[TALLY_MARGIN] = (double)INFINITY;
    net->host_tally = dev_host_alloc(net->dev, mem_mul(TELLS * n, sizeof *net->host_tally));
    int64_t tokens = mem_mul(net->shape.micro, net->shape.sequence);
    net->host_rows =
        dev_host_alloc(net->dev, mem_mul(mem_mul(rows_most(net), tokens), sizeof *net->host_rows));
    TRY(dev_alloc(net->dev, "the report", &memory, mem_mul(n, sizeof(double)), FRESH_ANY));
    net->tally = view_of(memory, F64, 1, 1, n);
    net_begin(net, false);
    return OK;
}

static status open_rope(struct net *net)
{
    int64_t s = net->shape.room > net->shape.sequence ? net->shape.room : net->shape.sequence;
    int64_t hd = net->config->head_dim;
    double scale = config_query_scale(net->config);
    int64_t tables = scale != 1 ? 2 : 1, n = mem_mul(s, hd);
    float *host = mem_new(mem_mul(tables, n), sizeof *host);
    config_rope_table(net->config, s, host);
    for (int64_t i = 0; tables > 1 && i < n; i++)
        host[n + i] = (float)(scale * (double)host[i]);
    status code = dev_alloc(net->dev, "the rotary table", (void **)&net->cos_sin_base,
                            mem_mul(mem_mul(tables, n), sizeof *host), FRESH_ANY);
    net->cos_sin = view_of(net->cos_sin_base, F32, tables, s, hd);
    if (code == OK)
        dev_upload(net->dev, net->cos_sin, host);
    free(host);
    return code;
}

static void drop_logits(void *with, int64_t row, int64_t rows, const float *logits)
{
    (void)with, (void)row, (void)rows, (void)logits;
}

/* Bytes of all regions: planned, or more where they grew; those of them that are taken. */
struct regions {
    int64_t planned, taken;
};

static void add_region(const struct region *r, struct regions *sum)
{
    sum->planned += r->bytes;
    sum->taken += r->data ? r->bytes : 0;
}

static void add_rows(const struct expert_rows *r, struct regions *sum)
{
    add_region(&r->xe, sum);
    add_region(&r->we, sum);
    add_region(&r->gue, sum);
}

static struct regions sum_regions(const struct net *net)
{
    struct regions sum = {0};
    add_rows(&net->rows, &sum);
    for (int l = 0; l < net->model->n_layers; l++) {
        const struct saved *s = &net->saved[l];
        add_rows(&s->own, &sum);
        add_region(&s->exchange.order, &sum);
        add_region(&s->exchange.back, &sum);
    }
    for (int i = 0; i < TEMPORARIES; i++)
        add_region(&net->tmp[i], &sum);
    return sum;
}

/* A dry pass through every path finds out how large the arena must be and what groups and regions need. */
static status measure_and_open(struct net *net)
{
    struct micro_batch full = {.tokens = mem_mul(net->shape.micro, net->shape.sequence), .micros = 1};
    struct micro_batch next = {
        .tokens = full.tokens, .sequence = 1, .cached = &(struct cached){.ends = true}};
    struct logits_sink all = {.take = drop_logits};
    dev_set_dry(net->dev, true);
    net->arena = net->again = (struct arena){.dev = net->dev};
    net_probe(net, &full, &all);
    if (net->shape.cached > 0)
        net_eval(net, &next, &all);
    if (net->shape.training) {
        net_train(net, &full, false, false);
        net_sum(net);
        net_reduce_grads(net);
        store_gather_weights(net->store, net->group, COMPUTE);
    }
    dev_set_dry(net->dev, false);
    int64_t peak = net->arena.peak;
    net->kept = net->arena.peak_saved;
    net->routed = sum_regions(net).planned;
    TRY(arena_open(&net->arena, net->dev, peak));
    if (net->again.peak > 0)
        TRY(arena_open(&net->again, net->dev, net->again.peak));
    for (int g = 0; g < GROUPS; g++)
        TRY(group_reserve(net->group[g]));
    return OK;
}

status net_open(struct net **out, const struct store *store, struct group *const group[GROUPS],
                const struct net_shape *shape)
{
    struct net *net = mem_new(1, sizeof *net);
    *out = net;
    net->store = store;
    net->model = store->model;
    net->config = &store->model->config;
    net->layout = store->layout;
    net->at = layout_coords(&store->layout, store->rank);
    net->group = group;
    net->dev = store->dev;
    net->shape = *shape;
    open_layers(net);
    TRY(open_tally(net));
    TRY(open_rope(net));
    TRY(cache_open(net));
    return measure_and_open(net);
}

void net_close(struct net *net)
{
    if (!net)
        return;
    for (int i = 0; i < TELLS; i++)
        dev_wait_host(net->dev, net->told[i]);
    for (int l = 0; l < net->model->n_layers; l++) {
        struct saved *s = &net->saved[l];
        close_rows(&s->own);
        exchange_close(&s->exchange);
    }
    for (int i = 0; i < TEMPORARIES; i++)
        region_close(&net->tmp[i]);
    close_rows(&net->rows);
    arena_close(&net->arena);
    arena_close(&net->again);
    cache_close(net);
    if (net->cos_sin_base)
        dev_free(net->dev, net->cos_sin_base, mem_mul(view_size(net->cos_sin), sizeof(float)));
    if (net->tally.data)
        dev_free(net->dev, net->tally.data, mem_mul(view_size(net->tally), sizeof(double)));
    free(net->saved);
    free(net->host_counts);
    free(net->fresh);
    dev_host_free(net->dev, net->host_tally);
    dev_host_free(net->dev, net->host_rows);
    free(net);
}

static int64_t beyond_plan(const struct net *net, int64_t planned)
{
    return net->layout.ep > 1 ? planned / 2 : 0;
}

int64_t net_pending(const struct net *net)
{
    struct regions sum = sum_regions(net);
    return sum.planned - sum.taken + beyond_plan(net, sum.planned);
}

double net_load(const struct net *net)
{
    double balanced = (double)net->routed / (net->layout.ep > 1 ? net->shape.imbalance : 1);
    return balanced > 0 ? (double)sum_regions(net).taken / balanced : 1;
}

struct net_memory net_memory(const struct net *net)
{
    int64_t tokens = net->shape.micro * net->shape.sequence;
    struct net_memory m = {.saved = net->kept + net->again.size, .routed = sum_regions(net).planned};
    m.beyond = beyond_plan(net, m.routed);
    m.scratch = net->arena.size - net->kept;
    m.cache = cache_bytes(net);
    m.small = view_size(net->cos_sin) * (int64_t)sizeof(float) +
              2 * view_size(net->tally) * (int64_t)sizeof(double) +
              rows_most(net) * tokens * (int64_t)sizeof(int32_t);
    return m;
}
