/* The cache of keys and values, by which new tokens see those before them (net_shape.cached). Each layer has
 * a block of keys and one of values [cached * room, kv hd] in the type of activations, where token i of
 * sequence s has row s * room + i. A pass that uses it brings four numbers for each of its rows: position,
 * first row of the cache that it sees, without and with a window, and the last one, which is its own. */
#include <stdlib.h>
#include "base/mem.h"
#include "model/layers/layers.h"

static int64_t cache_rows(const struct net *net)
{
    return mem_mul(net->shape.cached, net->shape.room);
}

static int64_t cache_width(const struct config *c, const struct layout *l)
{
    return c->kv_heads / l->kv * c->head_dim;
}

int64_t net_token_bytes(const struct config *c, const struct layout *l, dtype activation)
{
    return mem_mul(2 * c->layers, mem_mul(cache_width(c, l), dtype_size(activation)));
}

int64_t cache_bytes(const struct net *net)
{
    return mem_mul(cache_rows(net), net_token_bytes(net->config, &net->layout, net->shape.activation));
}

status cache_open(struct net *net)
{
    return net->shape.cached == 0 ? OK
                                  : dev_alloc(net->dev, "the cache of keys and values", &net->cache,
                                              cache_bytes(net), FRESH_ZERO);
}

void cache_close(struct net *net)
{
    if (net->cache)
        dev_free(net->dev, net->cache, cache_bytes(net));
}

view cache_view(const struct net *net, int layer, enum cache_part part)
{
    int64_t rows = cache_rows(net), width = cache_width(net->config, &net->layout),
            block = 2 * (layer - 1) + part;
    char *at = net->cache;
    if (at)
        at += block * rows * width * dtype_size(net->shape.activation);
    return view_of(at, net->shape.activation, 1, rows, width);
}

/* place [4, N]: position, first, first in a window, last. Padding sees nothing and is kept nowhere. */
static void place_rows(const struct net *net, const struct pass *p, int32_t *place)
{
    const struct cached *c = p->batch->cached;
    for (int64_t i = 0; i < p->tokens; i++) {
        int64_t s = i / p->sequence, at = i % p->sequence, position = c->past[s] + at;
        bool padding = at >= c->length[s];
        if (!padding && (c->slot[s] >= net->shape.cached || position >= net->shape.room))
            bug("net: token %lld of place %d is beyond the cache", (long long)position, c->slot[s]);
        int64_t first = c->slot[s] * net->shape.room;
        place[i] = padding ? 0 : (int32_t)position;
        int64_t window = net->config->window, before = position + 1 - window;
        place[p->tokens + i] = (int32_t)first;
        place[2 * p->tokens + i] = (int32_t)(window > 0 && before > 0 ? first + before : first);
        place[3 * p->tokens + i] = padding ? -1 : (int32_t)(first + position);
    }
}

static void upload_places(struct net *net, const struct pass *p, view place)
{
    const struct cached *c = p->batch->cached;
    int64_t sequences = view_size(p->ends);
    int32_t *host = mem_new(view_size(place) + sequences, sizeof *host), *ends = host + view_size(place);
    place_rows(net, p, host);
    for (int64_t s = 0; s < sequences; s++)
        ends[s] = (int32_t)(s * p->sequence + c->length[s] - 1);
    dev_upload(net->dev, place, host);
    dev_upload(net->dev, p->ends, ends);
    free(host);
}

/* Do all sequences of the pass begin with it, so that they need nothing of the cache? */
static bool all_fresh(const struct pass *p)
{
    bool fresh = true;
    for (int64_t s = 0; s < view_size(p->ends); s++)
        fresh = fresh && p->batch->cached->past[s] == 0;
    return fresh;
}

void cache_begin(struct net *net, struct pass *p)
{
    view place = arena_save(&net->arena, I32, 1, 4, p->tokens); /* [4, N] */
    p->ends = arena_save(&net->arena, I32, 1, 1, p->tokens / p->sequence);
    p->positions = view_reshape(view_rows(place, 0, 1), 1, 1, p->tokens);
    for (int i = 0; i < 2; i++)
        p->from[i] = view_reshape(view_rows(place, 1 + i, 1), 1, 1, p->tokens);
    p->last = view_reshape(view_rows(place, 3, 1), 1, 1, p->tokens);
    if (!dev_is_dry(net->dev)) {
        upload_places(net, p, place);
        p->fresh = all_fresh(p);
    }
}

void cache_attend(struct net *net, const struct pass *p, int layer, struct attn_shape a, struct saved *s,
                  view q, view k, view v)
{
    view keys = cache_view(net, layer, KEYS), values = cache_view(net, layer, VALUES);
    dev_put_rows(net->dev, keys, k, p->last);
    dev_put_rows(net->dev, values, v, p->last);
    if (p->fresh)
        dev_attn_fwd(net->dev, a, s->o, s->lse, q, k, v);
    else
        dev_attn_cached(net->dev, a, s->o, q, keys, values,
                        p->from[config_window(net->config, layer - 1) > 0], p->last);
}

void net_cache_copy(struct net *net, int to, int from, int64_t tokens)
{
    for (int layer = 1; layer < net->model->n_layers - 1; layer++)
        for (int part = KEYS; part <= VALUES; part++) {
            view all = cache_view(net, layer, (enum cache_part)part);
            dev_copy(net->dev, view_rows(all, to * net->shape.room, tokens),
                     view_rows(all, from * net->shape.room, tokens));
        }
}
