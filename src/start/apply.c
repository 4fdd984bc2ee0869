/* The deck's model section on top of a shape. */
#include "start/apply.h"

#include <stdlib.h>
#include <string.h>

static void set_int(int64_t *to, int64_t value)
{
    if (value >= 0)
        *to = value;
}

/* Set the MoE layers by "all", "every 2" (as in Megatron: layers 0, 2, 4, ...), or "0,2,5". */
static status moe_layers(struct config *c, const char *text)
{
    memset(c->moe.layer, 0, sizeof c->moe.layer);
    long every = 1;
    if (!strncmp(text, "every ", 6))
        every = strtol(text + 6, NULL, 10);
    if (!strcmp(text, "all") || !strncmp(text, "every ", 6)) {
        for (int64_t l = 0; l < c->layers; l += every)
            c->moe.layer[l] = true;
        return OK;
    }
    for (char *at = (char *)(uintptr_t)text; *at; at += *at == ',') {
        long l = strtol(at, &at, 10);
        if (l < 0 || l >= c->layers)
            return fail(E_DECK, "model.moe.layers: there is no layer %ld (0 to %lld)", l,
                        (long long)c->layers - 1);
        c->moe.layer[l] = true;
    }
    return OK;
}

static status apply_moe(struct config *c, const struct deck *deck)
{
    const struct moe_section *d = &deck->model.moe;
    struct moe *m = &c->moe;
    bool was_moe = m->experts > 0;
    set_int(&m->experts, d->experts);
    if (m->experts == 0 && d->shared > 0)
        return fail(E_DECK,
                    "model.moe.shared: %lld: shared experts stand beside routed ones; give model.moe.experts",
                    (long long)d->shared);
    if (m->experts == 0)
        return OK;
    set_int(&m->top_k, d->top_k);
    set_int(&m->granularity, d->granularity);
    if (m->top_k <= 0)
        m->top_k = 2;
    if (m->granularity <= 0)
        m->granularity = 1;
    if (d->router >= 0)
        m->order = (enum router_order)d->router;
    if (d->renormalise >= 0)
        m->renormalise = d->renormalise;
    m->capacity_ppm = d->capacity.millionths;
    m->capacity_rule = d->capacity_rule;
    m->capacity_policy = d->capacity_policy;
    m->aux_coeff = d->aux_loss_coeff;
    m->z_coeff = d->z_loss_coeff;
    m->max_z_coeff = d->max_z_loss_coeff;
    m->aux_domain = d->aux_loss_domain;
    m->jitter = d->jitter;
    m->bias_rate = d->bias_update_rate;
    set_int(&m->shared, d->shared);
    if (d->shared_gate >= 0 || m->shared == 0)
        m->shared_gate = d->shared_gate == 1;
    if (m->shared_gate && m->shared == 0)
        return fail(E_DECK,
                    "model.moe.shared_gate: there are no shared experts to gate; give model.moe.shared");
    if (!was_moe || d->layers)
        TRY(moe_layers(c, d->layers ? d->layers : "all"));
    return OK;
}

status apply_deck(struct config *c, const struct deck *deck)
{
    const struct model_section *d = &deck->model;
    set_int(&c->hidden, d->hidden);
    set_int(&c->ffn, d->ffn);
    set_int(&c->layers, d->layers);
    set_int(&c->heads, d->heads);
    c->kv_heads = d->kv_heads >= 0 ? d->kv_heads : c->kv_heads ? c->kv_heads : c->heads;
    c->head_dim = d->head_dim >= 0           ? d->head_dim
                  : c->head_dim || !c->heads ? c->head_dim
                                             : c->hidden / c->heads;
    set_int(&c->vocab, d->vocab);
    set_int(&c->max_positions, d->max_positions);
    if (d->norm_eps >= 0)
        c->norm_eps = d->norm_eps;
    if (d->rope_theta >= 0)
        c->rope.theta = d->rope_theta;
    if (d->tied >= 0)
        c->tied = d->tied;
    if (d->qkv_bias >= 0)
        c->qkv_bias = d->qkv_bias;
    if (d->qk_norm >= 0)
        c->qk_norm = d->qk_norm;
    if (c->layers > MAX_LAYERS)
        return config_check(c);
    return apply_moe(c, deck);
}
