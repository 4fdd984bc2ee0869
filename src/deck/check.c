/* Checks across keys that need no file. Each message says where the mistake is, what it is, and what would
 * fit. */
#include "deck/inside.h"

#include "base/log.h"
#include "base/mem.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct check {
    const struct deck *d;
    struct errors errors;
};

/* The position of a mistake in `key` and `other` (may be NULL): that of the first of them that was given,
 * else the deck as a whole. */
static const char *where(const struct deck *d, const char *key, const char *other)
{
    const char *at = deck_origin(d, key);
    if (strcmp(at, "default") == 0 && other)
        at = deck_origin(d, other);
    if (strcmp(at, "default") == 0)
        at = d->file ? d->file : "deck";
    return at;
}

static PRINTF(4, 5) void complain(struct check *c, const char *key, const char *other, const char *format,
                                  ...)
{
    char message[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    errors_add(&c->errors, where(c->d, key, other), "%s: %s", key, message);
}

static int64_t integer(const struct deck *d, const char *key)
{
    return *(const int64_t *)value_slot(d, key_find(key));
}

/* The first divisors of n in words: "1, 2, 4, 8, 16 do". */
static char *divisors(char out[120], int64_t n)
{
    int length = 0, shown = 0;
    for (int64_t i = 1; i <= n && shown < 12; i++)
        if (n % i == 0) {
            length += snprintf(out + length, 120 - (size_t)length, "%s%lld", shown ? ", " : "", (long long)i);
            shown++;
        }
    snprintf(out + length, 120 - (size_t)length, shown < 12 ? " do" : ", ... do");
    return out;
}

static void check_divisors(struct check *c)
{
    static const struct {
        const char *divisor, *of;
    } rule[] = {
        {"batch.micro", "batch.sequences"},
        {"model.kv_heads", "model.heads"},
        {"model.moe.granularity", "model.moe.experts"},
        {"model.moe.granularity", "model.ffn"},
        {"parallel.tensor", "model.heads"},
        {"parallel.expert", "model.moe.experts"},
    };
    for (size_t i = 0; i < sizeof rule / sizeof *rule; i++) {
        char fit[120];
        int64_t a = integer(c->d, rule[i].divisor), b = integer(c->d, rule[i].of);
        if (a > 0 && b > 0 && b % a)
            complain(c, rule[i].divisor, rule[i].of, "%lld does not divide %s: %lld (%s)", (long long)a,
                     rule[i].of, (long long)b, divisors(fit, b));
    }
}

static void check_length(struct check *c)
{
    const struct deck *d = c->d;
    bool steps = d->run.steps > 0, tokens = d->run.tokens > 0;
    if (!steps && !tokens)
        complain(c, "run.steps", "run.tokens", "say how long to train: run.steps or run.tokens");
    if (steps && tokens)
        complain(c, "run.steps", NULL, "give run.steps or run.tokens (%s), not both; ~ takes one back",
                 deck_origin(d, "run.tokens"));
    double all = (double)d->run.steps * (double)d->batch.sequences * (double)d->data.sequence;
    if (all > 0x1p62)
        complain(c, "run.steps", "batch.sequences",
                 "steps x sequences x sequence is %.3g tokens; at most %.3g can be "
                 "counted",
                 all, 0x1p62);
}

static void check_schedule(struct check *c)
{
    const struct optimizer_section *o = &c->d->optimizer;
    double horizon = (double)(o->horizon > 0 ? o->horizon : deck_steps(c->d));
    if (o->min_lr > o->lr)
        complain(c, "optimizer.min_lr", "optimizer.lr", "%g is above optimizer.lr: %g", o->min_lr, o->lr);
    if (horizon > 0 && (double)o->warmup > horizon)
        complain(c, "optimizer.warmup", "optimizer.horizon", "%lld steps are more than the schedule's %.0f",
                 (long long)o->warmup, horizon);
    if (o->betas.n != 2)
        complain(c, "optimizer.betas", NULL, "expected two numbers, not %d", o->betas.n);
}

static void check_shape(struct check *c)
{
    static const char *const needed[] = {"hidden", "ffn", "layers", "heads", "vocab"};
    const struct model_section *m = &c->d->model;
    char missing[80] = "";
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        char key[40];
        snprintf(key, sizeof key, "model.%s", needed[i]);
        if (integer(c->d, key) < 0)
            snprintf(missing + strlen(missing), sizeof missing - strlen(missing), "%s%s",
                     *missing ? ", " : "", needed[i]);
    }
    const char *from = c->d->start.from;
    bool from_path = from && strcmp(from, "random") != 0;
    if (!m->like && *missing && !from_path) /* else the directory or checkpoint gives the shape */
        complain(c, "model.like", NULL, "give it, or the shape spelled out (missing in model: %s)", missing);
    else if (!m->like && !from)
        complain(c, "start.from", NULL,
                 "say where the weights come from: a Hugging Face directory, or random");
    if (!m->like && !from_path && m->head_dim < 0 && m->hidden > 0 && m->heads > 0 && m->hidden % m->heads)
        complain(c, "model.heads", "model.hidden",
                 "%lld does not divide model.hidden: %lld; give model.head_dim", (long long)m->heads,
                 (long long)m->hidden);
    if (m->head_dim > 0 && m->head_dim % 2)
        complain(c, "model.head_dim", NULL, "%lld is odd; rotary embedding turns pairs",
                 (long long)m->head_dim);
    if (m->max_positions > 0 && c->d->data.sequence > m->max_positions)
        complain(c, "data.sequence", "model.max_positions", "%lld is more than model.max_positions: %lld",
                 (long long)c->d->data.sequence, (long long)m->max_positions);
}

static void check_moe(struct check *c)
{
    const struct moe_section *moe = &c->d->model.moe;
    int64_t layers = c->d->model.layers;
    if (moe->experts > 0 && moe->top_k > moe->experts)
        complain(c, "model.moe.top_k", "model.moe.experts", "%lld is more than model.moe.experts: %lld",
                 (long long)moe->top_k, (long long)moe->experts);
    if (moe->renormalise == 1 && moe->router == TOPK_SOFTMAX)
        complain(c, "model.moe.renormalise", NULL,
                 "has no effect with router: topk-softmax, whose weights add up to 1; use softmax-topk");
    if (moe->shared_gate == 1 &&
        (moe->shared == 0 || (moe->shared < 0 && !c->d->model.like && !c->d->start.from)))
        complain(c, "model.moe.shared_gate", NULL,
                 "there are no shared experts to gate; give model.moe.shared");
    if (moe->aux_loss_domain != AUX_MICRO_BATCH && moe->aux_loss_coeff == 0)
        complain(c, "model.moe.aux_loss_domain", "model.moe.aux_loss_coeff",
                 "%s has no effect, because model.moe.aux_loss_coeff is 0; take one of them out",
                 choice_name(aux_domains, moe->aux_loss_domain));
    if (moe->bias_update_rate > 0 && !strcmp(deck_origin(c->d, "model.moe.aux_loss_coeff"), "default"))
        complain(c, "model.moe.bias_update_rate", NULL,
                 "balances without a loss, but model.moe.aux_loss_coeff is %g where it is not given: give it "
                 "too (0 for no loss)",
                 moe->aux_loss_coeff);
    if (moe->bias_update_rate > 0 && moe->experts > 0 && moe->top_k == moe->experts)
        complain(c, "model.moe.bias_update_rate", "model.moe.top_k",
                 "a bias decides the choice, and top_k: %lld chooses all experts", (long long)moe->top_k);
    const char *comma = moe->layers ? strrchr(moe->layers, ',') : NULL;
    long last = comma ? strtol(comma + 1, NULL, 10) : moe->layers ? strtol(moe->layers, NULL, 10) : 0;
    if (layers > 0 && last >= layers)
        complain(c, "model.moe.layers", "model.layers",
                 "there is no layer %ld; model.layers: %lld counts from 0", last, (long long)layers);
}

/* Refuse start options that another option makes ineffective. Defaults are allowed, because a resolved deck
 * lists every key. */
static void check_start(struct check *c)
{
    static const double std = 0.02;
    enum grow_method method = c->d->start.grow.method;
    enum grow_depth depth = c->d->start.grow.depth;
    bool aki = method == GROW_AKI || method == GROW_AKI_PRO, zero = c->d->start.upcycle.router == ROUTER_ZERO;
    const struct {
        bool bad;
        const char *key, *why;
    } rule[] = {
        {depth != DEPTH_UNSET && method == GROW_NONE, "start.grow.depth",
         "has no effect without start.grow.method"},
        {depth == DEPTH_STACK && method == GROW_AKI_PRO, "start.grow.depth",
         "stack: aki-pro is aki with depth: interpolate; use method: aki to stack"},
        {c->d->start.grow.scope != SCOPE_ALL && !aki, "start.grow.scope",
         "neurons: says what aki takes from the next layer; start.grow.method is neither aki nor aki-pro"},
        {c->d->start.upcycle.reinit == 0 && c->d->start.upcycle.reinit_std != std, "start.upcycle.reinit_std",
         "has no effect, because start.upcycle.reinit is 0; take one of them out"},
        {zero && c->d->start.upcycle.router_std != std, "start.upcycle.router_std",
         "has no effect, because start.upcycle.router is zero; take one of them out"},
    };
    for (size_t i = 0; i < sizeof rule / sizeof *rule; i++)
        if (rule[i].bad)
            complain(c, rule[i].key, NULL, "%s", rule[i].why);
}

static void check_parallel(struct check *c)
{
    int64_t t = c->d->parallel.tensor, kv = c->d->model.kv_heads;
    char fit[120];
    if (kv > 0 && kv % t && t % kv)
        complain(c, "parallel.tensor", "model.kv_heads",
                 "%lld and model.kv_heads: %lld: one must divide the other (%s)", (long long)t, (long long)kv,
                 divisors(fit, kv));
}

static void check_split(struct check *c)
{
    const struct data_section *data = &c->d->data;
    const struct reals *s = &data->split;
    if (s->n == 0)
        return;
    char hint[120] = "";
    megatron_split(hint, s->x, s->n);
    if (s->n != 2 || s->x[0] <= 0 || s->x[1] <= 0 || fabs(s->x[0] + s->x[1] - 1) > 1e-9)
        complain(c, "data.split", NULL, "expected two parts above 0 that add up to 1, such as [0.9, 0.1]%s",
                 hint);
    if (data->train.n > 1)
        complain(c, "data.split", NULL, "cuts one training set, and there are %d; give data.valid instead",
                 data->train.n);
    if (data->valid.n)
        complain(c, "data.split", NULL, "makes the validation set; data.valid (%s) cannot be given too",
                 deck_origin(c->d, "data.valid"));
    if (data->batches)
        complain(c, "data.split", NULL, "cuts data.train; data.batches are used as they are");
}

static void check_data(struct check *c)
{
    const struct data_section *data = &c->d->data;
    if (!data->train.n && !data->batches)
        complain(c, "data.train", NULL, "say what to train on: data.train or data.batches");
    if (data->train.n && data->batches)
        complain(c, "data.train", NULL, "give data.train or data.batches (%s), not both; ~ takes one back",
                 deck_origin(c->d, "data.batches"));
    check_split(c);
}

int64_t deck_steps(const struct deck *d)
{
    double a_step = (double)d->batch.sequences * (double)d->data.sequence;
    return d->run.steps > 0 ? d->run.steps : (int64_t)ceil(d->run.tokens / a_step);
}

status deck_check(const struct deck *d)
{
    static void (*const checks[])(struct check *) = {check_length, check_shape,    check_moe,
                                                     check_start,  check_divisors, check_parallel,
                                                     check_data,   check_schedule};
    struct check c = {.d = d};
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        checks[i](&c);
    return errors_end(&c.errors);
}
