#include "weights/forms.h"

#include <string.h>

static bool is_moe(const struct config *c)
{
    return config_moe_layers(c) > 0;
}

/* Do the weights of a token's experts sum to 1? */
static bool normalised(const struct moe *m)
{
    return m->order == TOPK_SOFTMAX || m->renormalise || m->top_k == m->experts;
}

static const char *dense_only(const struct config *c)
{
    return is_moe(c) ? "model.moe.experts: this form has no experts" : NULL;
}

static const char *no_biases(const struct config *c)
{
    return c->qkv_bias ? "model.qkv_bias: this form has no biases on Q, K and V" : NULL;
}

static const char *not_mistral(const struct config *c)
{
    const char *why = dense_only(c);
    return why ? why : no_biases(c);
}

static const char *not_llama(const struct config *c)
{
    const char *why = not_mistral(c);
    return why                 ? why
           : c->carried.window ? "model.like: its attention has a sliding window, and this form has none"
                               : NULL;
}

static const char *not_qwen2_moe(const struct config *c)
{
    if (!is_moe(c))
        return "model.moe.experts: a dense model has none";
    if (c->moe.bias_rate > 0)
        return "model.moe.bias_update_rate: the balancing bias decides which experts are chosen, and no "
               "Hugging Face form has a bias on softmax routers";
    return NULL;
}

static const char *not_mixtral(const struct config *c)
{
    const char *why = not_qwen2_moe(c);
    if (why)
        return why;
    if (config_moe_layers(c) < c->layers)
        return "model.moe.layers: Mixtral has experts in every layer";
    if (!normalised(&c->moe))
        return "model.moe.renormalise: Mixtral's expert weights always sum to 1";
    if (c->moe.shared > 0)
        return "model.moe.shared: Mixtral has no shared experts";
    return no_biases(c);
}

/* In the order of choice. */
static const struct form forms[] = {
    {"llama", false, HF_OLD, not_llama},
    {"mistral", false, HF_OLD, not_mistral},
    {"qwen2", false, HF_QWEN2, dense_only},
    {"mixtral", true, HF_OLD, not_mixtral},
    {"qwen2_moe", true, HF_QWEN2_MOE, not_qwen2_moe},
};
enum { FORMS = sizeof forms / sizeof *forms };

static status find_wanted(const struct form **form, const struct config *c, const char *wanted)
{
    for (int i = 0; i < FORMS; i++)
        if (!strcmp(forms[i].type, wanted)) {
            const char *why = forms[i].refusal(c);
            *form = &forms[i];
            return why ? fail(E_DATA, "the model cannot be exported as %s: %s", wanted, why) : OK;
        }
    return fail(E_DECK, "--as %s: needs auto, llama, mistral, qwen2, mixtral or qwen2_moe", wanted);
}

status export_form(const struct form **form, const struct config *c, const char *wanted)
{
    const char *why = NULL;
    if (wanted && strcmp(wanted, "auto"))
        return find_wanted(form, c, wanted);
    for (int i = 0; i < FORMS; i++) {
        if (forms[i].moe != is_moe(c))
            continue;
        *form = &forms[i];
        why = forms[i].refusal(c);
        if (!why)
            return OK;
    }
    return fail(E_DATA, "the model cannot be exported as a Hugging Face directory: %s", why);
}
