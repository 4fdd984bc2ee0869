/* Which layers have rotary positions, a window, experts: what config.json says by lists, by steps, or not at
 * all. */
#include "format/hf_keys.h"

#include <stdbool.h>
#include "base/mem.h"

/* Families in which layer_types decides; in others a window is for all layers. */
enum { BY_LAYER = SWITCHED & ~QWEN3_MOE };

/* SmolLM3: where no list stands, every so many layers are without rotary positions. */
static void list_bare(const struct reader *r)
{
    struct hf_config *c = r->config;
    if (r->family != SMOLLM3 || r->bare_given)
        return;
    c->bare_layers = mem_new(c->layers, sizeof *c->bare_layers);
    for (int l = 0; l < c->layers; l++)
        if ((l + 1) % r->no_rope == 0)
            c->bare_layers[c->n_bare_layers++] = l;
}

/* Has a layer the window, where layer_types does not say it? transformers has a rule for each family. */
static bool windowed(const struct reader *r, int layer, bool bare)
{
    switch (r->family) {
    case SMOLLM3: return bare;
    case QWEN2_MOE: return layer % 2 == 0 && layer < r->max_window_layers;
    case QWEN2:
    case QWEN3: return layer >= r->max_window_layers;
    default: return true;
    }
}

static void list_whole(const struct reader *r)
{
    struct hf_config *c = r->config;
    c->whole_layers = mem_new(c->layers, sizeof *c->whole_layers);
    for (int l = 0, i = 0; l < c->layers; l++) {
        bool bare = i < c->n_bare_layers && c->bare_layers[i] == l;
        i += bare;
        if (!windowed(r, l, bare))
            c->whole_layers[c->n_whole_layers++] = l;
    }
}

static status complete_window(const struct reader *r)
{
    struct hf_config *c = r->config;
    if (r->family & SWITCHED && !r->use_window)
        c->sliding_window = 0;
    if (r->types_given && c->sliding_window == 0 && c->n_whole_layers < c->layers)
        return refuse(r, "layer_types", "a layer has sliding_attention, but the file gives no window%s",
                      r->family & SWITCHED ? " (sliding_window and use_sliding_window)" : "");
    if (r->types_given && c->sliding_window > 0 && c->n_whole_layers > 0 && !(r->family & BY_LAYER))
        return refuse(r, "layer_types",
                      "a layer has full_attention, but transformers uses the window of %s "
                      "models in all layers",
                      c->model_type);
    if (!r->types_given && c->sliding_window > 0)
        list_whole(r);
    if (c->n_whole_layers == c->layers)
        c->sliding_window = 0;
    if (c->sliding_window == 0)
        c->n_whole_layers = 0;
    return OK;
}

/* ---- experts ---- */

/* Qwen: every so many layers have experts, but those that are listed as dense. */
static status list_moe(const struct reader *r)
{
    struct hf_config *c = r->config;
    int n = 0;
    if (!(r->family & QWEN_MOE))
        return OK;
    c->moe_layers = mem_new(c->layers, sizeof *c->moe_layers);
    for (int l = 0; l < c->layers; l++)
        if (!r->dense[l] && (l + 1) % r->sparse_step == 0)
            c->moe_layers[n++] = l;
    if (n == 0)
        return refuse(r, "mlp_only_layers", "no layer has experts");
    c->n_moe_layers = n < c->layers ? n : -1;
    return OK;
}

status complete_layers(const struct reader *r)
{
    list_bare(r);
    TRY(complete_window(r));
    return list_moe(r);
}

status use_sparse_step(struct reader *r, const struct key *k, json_t *value)
{
    r->sparse_step = json_integer_value(value);
    return json_is_integer(value) && r->sparse_step >= 1 ? OK
                                                         : refuse(r, k->name, "must be a positive integer");
}

status use_dense_layers(struct reader *r, const struct key *k, json_t *value)
{
    size_t i;
    json_t *layer;
    if (json_is_null(value))
        return OK;
    if (!json_is_array(value))
        return refuse(r, k->name, "must be a list of layers");
    json_array_foreach(value, i, layer) {
        json_int_t l = json_integer_value(layer);
        if (!json_is_integer(layer) || l < 0 || l >= r->config->layers)
            return refuse(r, k->name, "must list layers from 0 to %lld", r->config->layers - 1);
        r->dense[l] = true;
    }
    return OK;
}
