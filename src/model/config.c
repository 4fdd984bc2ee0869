/* The shape of a model: what it may be, how large it is, how two differ. */
#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/errors.h"

#include "base/mem.h"

int64_t config_experts(const struct config *c, int64_t l)
{
    return c->moe.experts > 0 && c->moe.layer[l] ? c->moe.experts : 0;
}

int64_t config_moe_layers(const struct config *c)
{
    int64_t n = 0;
    for (int64_t l = 0; l < c->layers; l++)
        n += config_experts(c, l) > 0;
    return n;
}

int64_t config_window(const struct config *c, int64_t l)
{
    return c->whole[l] ? 0 : c->window;
}

int64_t config_expert_ffn(const struct config *c)
{
    return c->ffn / (c->moe.granularity > 0 ? c->moe.granularity : 1);
}

struct layout_needs config_needs(const struct config *c)
{
    return (struct layout_needs){c->heads, c->kv_heads, config_moe_layers(c) ? c->moe.experts : 0};
}

/* Adds a mistake if the condition does not hold, and goes on. */
#define REQUIRE(good, ...)                      \
    do {                                        \
        if (!(good))                            \
            errors_say(e, E_DECK, __VA_ARGS__); \
    } while (0)

static void check_moe(const struct config *c, struct errors *e)
{
    const struct moe *m = &c->moe;
    REQUIRE(m->experts <= MAX_EXPERTS, "model.moe.experts: %lld: at most %d are supported",
            (long long)m->experts, MAX_EXPERTS);
    REQUIRE(m->top_k >= 1 && m->top_k <= m->experts, "model.moe.top_k: %lld: needs 1 to experts (%lld)",
            (long long)m->top_k, (long long)m->experts);
    REQUIRE(m->granularity >= 1 && c->ffn % m->granularity == 0,
            "model.moe.granularity: %lld does not divide the dense FFN width %lld", (long long)m->granularity,
            (long long)c->ffn);
    REQUIRE(m->granularity >= 1 && m->experts % m->granularity == 0,
            "model.moe.granularity: %lld does not divide experts: %lld", (long long)m->granularity,
            (long long)m->experts);
    REQUIRE(config_moe_layers(c) > 0, "model.moe.layers: no layer is a MoE layer");
    REQUIRE(m->bias_rate == 0 || m->top_k < m->experts,
            "model.moe.bias_update_rate: a bias decides the choice, and top_k: %lld chooses all experts",
            (long long)m->top_k);
}

static void check_sizes(const struct config *c, struct errors *e)
{
    const struct {
        const char *key;
        int64_t value;
    } sizes[] = {
        {"hidden", c->hidden},     {"ffn", c->ffn},           {"layers", c->layers}, {"heads", c->heads},
        {"kv_heads", c->kv_heads}, {"head_dim", c->head_dim}, {"vocab", c->vocab},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        REQUIRE(sizes[i].value > 0,
                "model.%s: not given (name a model with model.like, or spell the shape out)", sizes[i].key);
        REQUIRE(sizes[i].value < INT64_C(1) << 31, "model.%s: %lld is too large", sizes[i].key,
                (long long)sizes[i].value);
    }
    REQUIRE(c->layers <= MAX_LAYERS, "model.layers: %lld: at most %d are supported", (long long)c->layers,
            MAX_LAYERS);
}

static void check_numbers(const struct config *c, struct errors *e)
{
    REQUIRE(c->heads % c->kv_heads == 0, "model.kv_heads: %lld does not divide heads: %lld",
            (long long)c->kv_heads, (long long)c->heads);
    REQUIRE(c->head_dim % 2 == 0, "model.head_dim: %lld is odd; rotary positions need an even one",
            (long long)c->head_dim);
    REQUIRE(c->norm_eps > 0 && c->norm_eps < 1, "model.norm_eps: %g: needs a small positive number",
            c->norm_eps);
    REQUIRE(c->window >= 0, "model: a window of %lld", (long long)c->window);
    REQUIRE(c->rope.theta > 1, "model.rope_theta: %g: needs a number above 1", c->rope.theta);
}

status config_check(const struct config *c)
{
    struct errors e = {0};
    check_sizes(c, &e);
    if (e.n == 0)
        check_numbers(c, &e);
    if (e.n == 0 && c->moe.experts > 0)
        check_moe(c, &e);
    return errors_end(&e);
}

status config_learns(const struct config *c)
{
    const struct moe *m = &c->moe;
    struct errors errors = {0}, *e = &errors;
    bool one = config_moe_layers(c) > 0 && m->top_k == 1 && m->experts > 1;
    REQUIRE(config_moe_layers(c) == 0 || m->experts > 1,
            "model.moe.experts: 1: the weight is always 1, so the router never learns; give 2 or more, or 0: "
            "dense");
    REQUIRE(!one || m->order != TOPK_SOFTMAX, "model.moe.top_k: 1 with router: topk-softmax: all weights are "
                                              "1, its router never learns; use softmax-topk");
    REQUIRE(
        !one || m->order != SOFTMAX_TOPK || !m->renormalise,
        "model.moe.renormalise: true with top_k: 1: all weights are 1, its router never learns; use false");
    return errors_end(e);
}

bool config_same_trunk(const struct config *a, const struct config *b)
{
    return a->hidden == b->hidden && a->ffn == b->ffn && a->layers == b->layers && a->heads == b->heads &&
           a->kv_heads == b->kv_heads && a->head_dim == b->head_dim && a->vocab == b->vocab &&
           a->tied == b->tied && a->qkv_bias == b->qkv_bias && a->qk_norm == b->qk_norm;
}

/* A word or a number on both sides. */
static void add_change(char **text, const char *key, const char *there, const char *here)
{
    if (strcmp(there, here))
        mem_append(text, "%s%s %s there, %s here", *text ? "; " : "", key, there, here);
}

static void add_number(char **text, const char *key, double there, double here)
{
    char a[32], b[32];
    snprintf(a, sizeof a, "%.12g", there);
    snprintf(b, sizeof b, "%.12g", here);
    if (there != here)
        add_change(text, key, a, b);
}

static void add_rope_changes(char **text, const struct rope *a, const struct rope *b)
{
    static const char *const type[] = {"default", "llama3", "linear", "dynamic", "yarn"};
    add_number(text, "rope_theta", a->theta, b->theta);
    add_change(text, "rope_type", type[a->scaling], type[b->scaling]);
    if (a->scaling != b->scaling)
        return;
    add_number(text, "rope factor", a->factor, b->factor);
    add_number(text, "rope low_freq_factor", a->low_freq, b->low_freq);
    add_number(text, "rope high_freq_factor", a->high_freq, b->high_freq);
    add_number(text, "rope original_max_position_embeddings", a->original_positions, b->original_positions);
    add_number(text, "rope attention_factor", a->attention_factor, b->attention_factor);
    add_number(text, "rope beta_fast", a->beta_fast, b->beta_fast);
    add_number(text, "rope beta_slow", a->beta_slow, b->beta_slow);
}

static void add_moe_changes(char **text, const struct moe *a, const struct moe *b)
{
    static const char *const order[] = {"topk-softmax", "softmax-topk"},
                             *const rule[] = {"assignments", "tokens"},
                             *const policy[] = {"position", "probability"}, *const yes[] = {"false", "true"};
    if (a->experts == b->experts) /* a model that gets more experts may choose more of them */
        add_number(text, "top_k", (double)a->top_k, (double)b->top_k);
    add_change(text, "router", order[a->order], order[b->order]);
    add_change(text, "renormalise", yes[a->renormalise], yes[b->renormalise]);
    add_number(text, "capacity", 1e-6 * (double)a->capacity_ppm, 1e-6 * (double)b->capacity_ppm);
    if (a->capacity_ppm == 0 || b->capacity_ppm == 0)
        return;
    add_change(text, "capacity_rule", rule[a->capacity_rule], rule[b->capacity_rule]);
    add_change(text, "capacity_policy", policy[a->capacity_policy], policy[b->capacity_policy]);
}

char *config_changes(const struct config *there, const struct config *here)
{
    char *text = NULL;
    add_number(&text, "rms_norm_eps", there->norm_eps, here->norm_eps);
    add_rope_changes(&text, &there->rope, &here->rope);
    add_number(&text, "sliding_window", (double)there->window, (double)here->window);
    add_number(&text, "embedding_multiplier", there->multiply.embedding, here->multiply.embedding);
    add_number(&text, "attention_multiplier", there->multiply.attention, here->multiply.attention);
    add_number(&text, "residual_multiplier", there->multiply.residual, here->multiply.residual);
    add_number(&text, "logits_scaling", there->multiply.logits_scaling, here->multiply.logits_scaling);
    if (there->moe.experts > 0 && here->moe.experts > 0)
        add_moe_changes(&text, &there->moe, &here->moe);
    return text;
}

char *config_text(const struct config *c, char out[96])
{
    int n = snprintf(out, 96, "%lld layers x %lld", (long long)c->layers, (long long)c->hidden);
    if (config_moe_layers(c) == 0)
        return out;
    int64_t g = c->moe.granularity;
    if (g > 1)
        n += snprintf(out + n, 96 - (size_t)n, " -> E%lldG%lldT%lld", (long long)(c->moe.experts / g),
                      (long long)g, (long long)c->moe.top_k);
    else
        n += snprintf(out + n, 96 - (size_t)n, " -> E%lldT%lld", (long long)c->moe.experts,
                      (long long)c->moe.top_k);
    if (c->moe.shared > 0)
        n += snprintf(out + n, 96 - (size_t)n, " + %lld shared", (long long)c->moe.shared);
    if (config_moe_layers(c) < c->layers)
        snprintf(out + n, 96 - (size_t)n, " in %lld layer%s", (long long)config_moe_layers(c),
                 config_moe_layers(c) == 1 ? "" : "s");
    return out;
}

/* Parameters when each MoE layer counts `experts` of its experts. */
static int64_t parameters(const struct config *c, bool active)
{
    int64_t h = c->hidden, q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    int64_t n = c->vocab * h * (c->tied ? 1 : 2) + h;
    for (int64_t l = 0; l < c->layers; l++) {
        int64_t x = config_experts(c, l);
        n += 2 * h + h * (q + 2 * kv) + q * h + (c->qkv_bias ? q + 2 * kv : 0) +
             (c->qk_norm ? 2 * c->head_dim : 0);
        int64_t experts = (active ? c->moe.top_k : x) + c->moe.shared;
        n += x ? x * h + 3 * experts * h * config_expert_ffn(c) + (c->moe.shared_gate ? h : 0)
               : 3 * h * c->ffn;
    }
    return n;
}

int64_t config_parameters(const struct config *c)
{
    return parameters(c, false);
}

int64_t config_active_parameters(const struct config *c)
{
    return parameters(c, true);
}

double config_flops_per_token(const struct config *c, int64_t sequence)
{
    double h = (double)c->hidden, q = (double)(c->heads * c->head_dim),
           kv = (double)(c->kv_heads * c->head_dim);
    double sum = 6 * h * (double)c->vocab;
    for (int64_t l = 0; l < c->layers; l++) {
        int64_t experts = c->moe.top_k + c->moe.shared;
        double width = (double)(config_experts(c, l) ? experts * config_expert_ffn(c) : c->ffn);
        sum += 6 * (h * (q + 2 * kv) + q * h + 3 * width * h) + 6 * q * (double)sequence;
    }
    return sum;
}

int64_t config_capacity(const struct config *c, int64_t tokens)
{
    if (c->moe.capacity_ppm == 0)
        return INT64_MAX;
    /* ceil(N*k*CF/X) in integers: 110, not 111, for 400*2/8*1.1. */
    int64_t k = c->moe.capacity_rule == CAP_ASSIGNMENTS ? c->moe.top_k : 1;
    __int128 top = (__int128)tokens * k * c->moe.capacity_ppm;
    __int128 bottom = (__int128)c->moe.experts * 1000000;
    return (int64_t)((top + bottom - 1) / bottom);
}

double config_query_scale(const struct config *c)
{
    return c->multiply.attention != 0 ? c->multiply.attention * sqrt((double)c->head_dim) : 1;
}
