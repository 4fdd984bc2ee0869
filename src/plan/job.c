#include "plan/job.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/errors.h"
#include "base/mem.h"

struct layer_parameters plan_parameters(const struct plan_shape *s)
{
    double q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    return (struct layer_parameters){.attention = s->hidden * (q + 2 * kv) + q * s->hidden,
                                     .expert = 3 * s->hidden * s->width,
                                     .shared = 3 * s->hidden * s->shared,
                                     .router = s->hidden * s->experts};
}

double plan_flops_megatron(const struct plan_shape *s, double sequence)
{
    struct layer_parameters p = plan_parameters(s);
    double attention = 6 * s->heads * s->head_dim * sequence;
    return s->layers * (6 * (p.attention + s->top_k * p.expert + p.shared) + attention) +
           6 * s->hidden * s->vocab;
}

double plan_flops_6n(const struct plan_shape *s)
{
    struct layer_parameters p = plan_parameters(s);
    double router = s->experts > 1 ? p.router : 0;
    double layer = p.attention + s->top_k * p.expert + p.shared + router + 2 * s->hidden;
    return 6 * (s->layers * layer + s->hidden + s->vocab * s->hidden * (s->tied ? 1 : 2));
}

status plan_shape_of(struct plan_shape *s, const struct config *c)
{
    int64_t moe = config_moe_layers(c);
    if (moe > 0 && moe < c->layers)
        return fail(E_DECK,
                    "model.moe.layers: the formulas for other programs want all layers alike: %lld of %lld "
                    "are MoE; leave --like out",
                    (long long)moe, (long long)c->layers);
    *s = (struct plan_shape){.layers = (double)c->layers,
                             .hidden = (double)c->hidden,
                             .heads = (double)c->heads,
                             .kv_heads = (double)c->kv_heads,
                             .head_dim = (double)c->head_dim,
                             .width = (double)(moe ? config_expert_ffn(c) : c->ffn),
                             .experts = moe ? (double)c->moe.experts : 1,
                             .top_k = moe ? (double)c->moe.top_k : 1,
                             .vocab = (double)c->vocab,
                             .shared = moe ? (double)(c->moe.shared * config_expert_ffn(c)) : 0,
                             .tied = c->tied};
    return OK;
}

struct plan_job plan_job_default(void)
{
    return (struct plan_job){.ranks = 1,
                             .tensor = 1,
                             .context = 1,
                             .pipeline = 1,
                             .stages = 1,
                             .expert = 1,
                             .expert_tensor = 1,
                             .sequences = 1,
                             .micro = 1,
                             .sequence = 4096,
                             .capacity = 1,
                             .load = 1};
}

struct plan_job plan_job_of(const struct deck *d, double ranks)
{
    enum { BALANCED_PERCENT = 110 };
    struct plan_job j = plan_job_default();
    int64_t capacity = d->model.moe.capacity.millionths;
    j.ranks = ranks;
    j.tensor = (double)d->parallel.tensor;
    j.expert = (double)d->parallel.expert;
    j.expert_tensor = (double)d->parallel.expert_tensor;
    j.sequences = (double)d->batch.sequences;
    j.micro = (double)d->batch.micro;
    j.sequence = (double)d->data.sequence;
    j.load = capacity == 1000000 ? 1 : BALANCED_PERCENT / 100.0;
    return j;
}

#define AT(member) offsetof(struct plan_job, member)
static const struct setting {
    const char *name;
    enum { NATURAL, REAL, FLAG, RECOMPUTE } type;
    size_t at;
    const char *help;
} setting[] = {
    {"tensor", NATURAL, AT(tensor), "ranks that a dense layer is cut over, with sequence parallelism"},
    {"context", NATURAL, AT(context), "ranks that a sequence is cut over"},
    {"pipeline", NATURAL, AT(pipeline), "ranks that the layers are dealt to"},
    {"virtual", NATURAL, AT(stages), "parts that a rank of the pipeline has, one after the other"},
    {"expert", NATURAL, AT(expert), "ranks that the experts are dealt to"},
    {"expert_tensor", NATURAL, AT(expert_tensor), "ranks that an expert is cut over"},
    {"sequences", NATURAL, AT(sequences), "of a step"},
    {"micro", NATURAL, AT(micro), "sequences of a micro-batch"},
    {"sequence", NATURAL, AT(sequence), "tokens of one"},
    {"capacity", REAL, AT(capacity), "experts are padded to this factor of the balanced rows"},
    {"load", REAL, AT(load), "rows of the slowest rank over the mean"},
    {"hide_tensor", REAL, AT(hide_tensor), "share of tensor-parallel traffic behind compute, 0 to 1"},
    {"hide_expert", REAL, AT(hide_expert), "share of the all-to-all behind compute, 0 to 1"},
    {"deduplicate", FLAG, AT(deduplicate), "0 or 1: a row crosses to a node once"},
    {"even_head", FLAG, AT(even_head), "0 or 1: the head's stage has fewer layers"},
    {"recompute", RECOMPUTE, AT(recompute), "0 nothing, 1 norms and activations, 2 the whole layer"},
};
enum { SETTINGS = sizeof setting / sizeof *setting };

static status unknown(const char *text)
{
    char *names = NULL;
    for (int i = 0; i < SETTINGS; i++)
        mem_append(&names, "%s%s", i ? ", " : "", setting[i].name);
    status code = fail(E_DECK, "--with %s: expected one of %s, as in --with pipeline=8", text, names);
    free(names);
    return code;
}

static bool in_range(const struct setting *s, double x)
{
    switch (s->type) {
    case NATURAL: return x >= 1 && x <= 1e9 && x == floor(x);
    case FLAG: return x == 0 || x == 1;
    case RECOMPUTE: return x == 0 || x == 1 || x == 2;
    case REAL: return strncmp(s->name, "hide", 4) != 0 ? x >= 1 && x <= 100 : x >= 0 && x <= 1;
    }
    return false;
}

status plan_job_set(struct plan_job *j, const char *text)
{
    size_t n = strcspn(text, "=");
    int i = 0;
    while (i < SETTINGS && (strlen(setting[i].name) != n || strncmp(setting[i].name, text, n) != 0))
        i++;
    if (i == SETTINGS || text[n] != '=')
        return unknown(text);
    char *end;
    double x = strtod(text + n + 1, &end);
    if (!text[n + 1] || *end || !in_range(&setting[i], x))
        return fail(E_DECK, "--with %s: %s: %s", text, setting[i].name, setting[i].help);
    char *to = (char *)j + setting[i].at;
    if (setting[i].type == FLAG)
        *(bool *)to = x != 0;
    else if (setting[i].type == RECOMPUTE)
        *(enum job_recompute *)(void *)to = (enum job_recompute)x;
    else
        *(double *)(void *)to = x;
    return OK;
}

static bool divides(double a, double b)
{
    return fmod(b, a) == 0;
}

status plan_job_check(const struct plan_job *j, const struct plan_shape *s)
{
    const struct {
        double part, whole;
        const char *name, *of;
    } need[] = {
        {j->tensor * j->context * j->pipeline, j->ranks, "tensor x context x pipeline", "ranks"},
        {j->expert * j->expert_tensor * j->pipeline, j->ranks, "expert x expert_tensor x pipeline", "ranks"},
        {j->tensor, s->heads, "tensor", "heads"},
        {j->expert, s->experts, "expert", "experts"},
        {j->pipeline * j->stages, s->layers, "pipeline x virtual", "layers"},
        {j->context, j->sequence, "context", "tokens of a sequence"},
        {j->ranks / (j->tensor * j->context * j->pipeline) * j->micro, j->sequences,
         "micro x data-parallel ranks", "sequences of a step"},
    };
    struct errors errors = {0};
    for (size_t i = 0; i < sizeof need / sizeof *need; i++)
        if (!divides(need[i].part, need[i].whole))
            errors_say(&errors, E_DECK, "plan: %s: %g does not divide %g %s", need[i].name, need[i].part,
                       need[i].whole, need[i].of);
    return errors_end(&errors);
}
