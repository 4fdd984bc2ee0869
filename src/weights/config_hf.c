#include "weights/config_hf.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static status moe_from_hf(struct moe *moe, const struct hf_config *h)
{
    moe->experts = h->experts;
    moe->top_k = h->top_k;
    moe->granularity = 1;
    moe->order = h->expert_width == 0 || h->renormalise ? TOPK_SOFTMAX : SOFTMAX_TOPK;
    if (h->n_moe_layers < 0)
        for (long long l = 0; l < h->layers; l++)
            moe->layer[l] = true;
    for (int i = 0; i < h->n_moe_layers; i++) {
        if (h->moe_layers[i] < 0 || h->moe_layers[i] >= h->layers)
            return fail(E_DATA, "config.json: coppice_moe_layers: there is no layer %d among %lld",
                        h->moe_layers[i], h->layers);
        moe->layer[h->moe_layers[i]] = true;
    }
    return OK;
}

/* Experts with a width of their own. Ours are a whole part of the dense width, and shared experts are as wide
 * as others. */
static status widths_from_hf(struct config *c, const struct hf_config *h)
{
    long long width = h->expert_width;
    if (width == 0)
        return OK;
    if (h->n_moe_layers < 0)
        c->ffn = width;
    if (c->ffn % width)
        return fail(E_DATA,
                    "config.json: intermediate_size %lld of its dense layers is not a multiple of "
                    "moe_intermediate_size %lld, which is not supported",
                    (long long)c->ffn, width);
    c->moe.granularity = c->ffn / width;
    if (h->shared_width == 0 || h->no_shared)
        return OK;
    if (h->shared_width % width)
        return fail(E_DATA,
                    "config.json: shared_expert_intermediate_size %lld is not a multiple of "
                    "moe_intermediate_size %lld, which is not supported",
                    h->shared_width, width);
    c->moe.shared = h->shared_width / width;
    c->moe.shared_gate = true;
    return OK;
}

static status carried_from_hf(struct carried *to, const struct hf_config *h)
{
    const char *keys = h->carried ? h->carried : "";
    if (strlen(keys) >= sizeof to->keys)
        return fail(E_DATA, "config.json: its token ids need more than %zu bytes", sizeof to->keys - 1);
    strcpy(to->keys, keys);
    return OK;
}

status config_from_hf(struct config *c, const struct hf_config *h)
{
    if (h->layers > MAX_LAYERS)
        return fail(E_DATA, "config.json: num_hidden_layers: %lld: at most %d are supported", h->layers,
                    MAX_LAYERS);
    *c = (struct config){
        .hidden = h->hidden,
        .ffn = h->intermediate,
        .layers = h->layers,
        .heads = h->heads,
        .kv_heads = h->kv_heads,
        .head_dim = h->head_dim,
        .vocab = h->vocab,
        .norm_eps = h->norm_eps,
        .rope = h->rope,
        .tied = h->tied,
        .qkv_bias = h->qkv_bias,
        .qk_norm = h->qk_norm,
        .multiply = {.embedding = h->embedding_multiplier,
                     .residual = h->residual_multiplier,
                     .attention = h->attention_multiplier,
                     .logits_scaling = h->logits_scaling},
        .max_positions = h->max_positions,
        .window = h->sliding_window,
    };
    for (int i = 0; i < h->n_whole_layers; i++)
        c->whole[h->whole_layers[i]] = true;
    for (int i = 0; i < h->n_bare_layers; i++)
        c->bare[h->bare_layers[i]] = true;
    TRY(carried_from_hf(&c->carried, h));
    if (h->experts == 0)
        return OK;
    TRY(moe_from_hf(&c->moe, h));
    return widths_from_hf(c, h);
}

static void moe_to_hf(struct hf_config *h, const struct config *c, const struct form *form)
{
    h->experts = c->moe.experts;
    h->top_k = c->moe.top_k;
    int64_t width = config_expert_ffn(c), shared = c->moe.shared * width;
    *(form->one_width ? &h->intermediate : &h->expert_width) = width;
    h->no_shared = form->naming == HF_QWEN2_MOE && shared == 0;
    if (form->naming == HF_QWEN2_MOE)
        h->shared_width = shared ? shared : NO_SHARED_WIDTH;
    h->renormalise = c->moe.order == TOPK_SOFTMAX || c->moe.renormalise;
    if (config_moe_layers(c) == c->layers)
        return;
    h->moe_layers = mem_new(c->layers, sizeof *h->moe_layers);
    h->n_moe_layers = 0;
    for (int l = 0; l < c->layers; l++)
        if (config_experts(c, l))
            h->moe_layers[h->n_moe_layers++] = l;
}

/* The layers of `in`, as a list that hf_config_free frees. */
static void list_layers(int **list, int *n, const bool *in, int64_t layers)
{
    *list = mem_new(layers, sizeof **list);
    for (int l = 0; l < layers; l++)
        if (in[l])
            (*list)[(*n)++] = l;
}

void config_to_hf(struct hf_config *h, const struct config *c, const struct form *form)
{
    *h = (struct hf_config){
        .hidden = c->hidden,
        .intermediate = c->ffn,
        .layers = c->layers,
        .heads = c->heads,
        .kv_heads = c->kv_heads,
        .head_dim = c->head_dim,
        .vocab = c->vocab,
        .max_positions = c->max_positions,
        .norm_eps = c->norm_eps,
        .rope = c->rope,
        .tied = c->tied,
        .qkv_bias = form->naming == HF_QWEN2 || form->naming == HF_QWEN2_MOE,
        .qk_norm = c->qk_norm,
        .embedding_multiplier = c->multiply.embedding,
        .residual_multiplier = c->multiply.residual,
        .attention_multiplier = c->multiply.attention,
        .logits_scaling = c->multiply.logits_scaling,
        .sliding_window = c->window,
        .carried = *c->carried.keys ? mem_text(c->carried.keys) : NULL,
        .n_moe_layers = -1,
    };
    snprintf(h->model_type, sizeof h->model_type, "%s", form->type);
    if (form->says & SAYS_BARE)
        list_layers(&h->bare_layers, &h->n_bare_layers, c->bare, c->layers);
    if (c->window > 0)
        list_layers(&h->whole_layers, &h->n_whole_layers, c->whole, c->layers);
    if (form->moe)
        moe_to_hf(h, c, form);
}
