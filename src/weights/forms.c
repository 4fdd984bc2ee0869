#include "weights/forms.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

static bool is_moe(const struct config *c)
{
    return config_moe_layers(c) > 0;
}

/* Do the weights of a token's experts sum to 1? */
static bool normalised(const struct moe *m)
{
    return m->order == TOPK_SOFTMAX || m->renormalise || m->top_k == m->experts;
}

static bool has_bare_layer(const struct config *c)
{
    for (int64_t l = 0; l < c->layers; l++)
        if (c->bare[l])
            return true;
    return false;
}

/* Have only some layers the window? */
static bool has_whole_layer(const struct config *c)
{
    for (int64_t l = 0; l < c->layers; l++)
        if (c->window > 0 && c->whole[l])
            return true;
    return false;
}

static bool has_multipliers(const struct config *c)
{
    const struct multipliers *m = &c->multiply;
    return m->embedding != 0 || m->attention != 0 || m->residual != 0 || m->logits_scaling != 0;
}

/* What the model has, as SAYS_... */
static int features_of(const struct config *c)
{
    bool moe = is_moe(c);
    return (c->window ? SAYS_WINDOW : 0) | (has_whole_layer(c) ? SAYS_WHOLE : 0) |
           (c->qkv_bias ? SAYS_BIASES : 0) | (c->qk_norm ? SAYS_NORMS : 0) |
           (has_bare_layer(c) ? SAYS_BARE : 0) | (has_multipliers(c) ? SAYS_MULTIPLIERS : 0) |
           (moe && config_moe_layers(c) < c->layers ? SAYS_SOME : 0) |
           (moe && !normalised(&c->moe) ? SAYS_WEIGHTS : 0) | (moe && c->moe.shared > 0 ? SAYS_SHARED : 0) |
           (moe && c->moe.bias_rate > 0 ? SAYS_BALANCING : 0);
}

static const struct {
    int feature;
    const char *why; /* a form that has no such thing cannot say the model */
} reasons[] = {
    {SAYS_BALANCING,
     "model.moe.bias_update_rate: the balancing bias decides which experts are chosen, and no "
     "Hugging Face form has a bias on softmax routers"},
    {SAYS_SOME, "model.moe.layers: this form has experts in every layer"},
    {SAYS_WEIGHTS, "model.moe.renormalise: this form's expert weights always sum to 1"},
    {SAYS_SHARED, "model.moe.shared: this form has no shared experts"},
    {SAYS_BIASES, "model.qkv_bias: this form has no biases on Q, K and V"},
    {SAYS_NORMS, "model.qk_norm: this form has no norms of Q and K"},
    {SAYS_BARE, "model.like: some of its layers have no rotary positions, and this form has them in all"},
    {SAYS_MULTIPLIERS,
     "model.like: its multipliers (embedding, attention, residual, logits) have no place in "
     "this form"},
    {SAYS_WINDOW, "model.like: its attention has a sliding window, and this form has none"},
    {SAYS_WHOLE, "model.like: only some of its layers have the sliding window, and this form has it in all"},
};

/* In the order of choice. */
static const struct form forms[] = {
    {"llama", false, false, HF_OLD, 0, 0},
    {"mistral", false, false, HF_OLD, SAYS_WINDOW, 0},
    {"qwen2", false, false, HF_QWEN2, SAYS_WINDOW | SAYS_WHOLE | SAYS_BIASES, 0},
    {"qwen3", false, false, HF_OLD, SAYS_WINDOW | SAYS_WHOLE | SAYS_NORMS, SAYS_NORMS},
    {"smollm3", false, false, HF_OLD, SAYS_WINDOW | SAYS_WHOLE | SAYS_BARE, 0},
    {"granite", false, false, HF_OLD, SAYS_MULTIPLIERS, SAYS_MULTIPLIERS},
    {"mixtral", true, true, HF_OLD, SAYS_WINDOW, 0},
    {"qwen2_moe", true, false, HF_QWEN2_MOE,
     SAYS_WINDOW | SAYS_WHOLE | SAYS_BIASES | SAYS_SOME | SAYS_WEIGHTS | SAYS_SHARED, 0},
    {"qwen3_moe", true, false, HF_QWEN3_MOE, SAYS_WINDOW | SAYS_NORMS | SAYS_SOME | SAYS_WEIGHTS, SAYS_NORMS},
    {"granitemoe", true, true, HF_GRANITE_MOE, SAYS_MULTIPLIERS, SAYS_MULTIPLIERS},
};
enum { FORMS = sizeof forms / sizeof *forms };

/* SAYS_... that the model has and the form has not. */
static int missing(const struct form *f, const struct config *c)
{
    return features_of(c) & ~f->says;
}

static int count(int features)
{
    int n = 0;
    for (; features; features &= features - 1)
        n++;
    return n;
}

/* Why the form cannot say the model, as text that the caller frees; NULL: it can. */
static char *refusal(const struct form *f, const struct config *c)
{
    char *text = NULL;
    int lacks = missing(f, c), absent = f->needs & ~features_of(c);
    if (f->moe != is_moe(c))
        return mem_text(f->moe ? "model.moe.experts: a dense model has none"
                               : "model.moe.experts: this form has no experts");
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (lacks & reasons[i].feature)
            mem_append(&text, "%s%s", text ? "; " : "", reasons[i].why);
    if (!text && absent)
        text = mem_text(absent & SAYS_NORMS ? "model.qk_norm: this form always has norms of Q and K"
                                            : "model.like: this form always has multipliers");
    return text;
}

static status find_wanted(const struct form **form, const struct config *c, const char *wanted)
{
    char *names = NULL;
    for (int i = 0; i < FORMS; i++) {
        if (!strcmp(forms[i].type, wanted)) {
            char *why = refusal(&forms[i], c);
            *form = &forms[i];
            status s = why ? fail(E_DATA, "the model cannot be exported as %s: %s", wanted, why) : OK;
            free(why);
            free(names);
            return s;
        }
        mem_append(&names, "%s%s", i == FORMS - 1 ? " or " : ", ", forms[i].type);
    }
    status s = fail(E_DECK, "--as %s: needs auto%s", wanted, names);
    free(names);
    return s;
}

/* Of the forms that cannot say the model, the one that lacks least. */
static const struct form *nearest(const struct config *c)
{
    const struct form *best = NULL;
    for (int i = 0; i < FORMS; i++)
        if (forms[i].moe == is_moe(c) && (!best || count(missing(&forms[i], c)) < count(missing(best, c))))
            best = &forms[i];
    return best;
}

status export_form(const struct form **form, const struct config *c, const char *wanted)
{
    if (wanted && strcmp(wanted, "auto"))
        return find_wanted(form, c, wanted);
    for (int i = 0; i < FORMS; i++) {
        char *why = refusal(*form = &forms[i], c);
        free(why);
        if (!why)
            return OK;
    }
    *form = nearest(c);
    char *why = refusal(*form, c);
    status s =
        fail(E_DATA, "the model cannot be exported as a Hugging Face directory: %s: %s", (*form)->type, why);
    free(why);
    return s;
}
