#include "deck/choices.h"

#include <stddef.h>
#include <string.h>

#define END      \
    {            \
        NULL, -1 \
    }

const struct choice router_orders[] = {{"topk-softmax", TOPK_SOFTMAX}, {"softmax-topk", SOFTMAX_TOPK}, END};
const struct choice capacity_rules[] = {{"assignments", CAP_ASSIGNMENTS}, {"tokens", CAP_TOKENS}, END};
const struct choice capacity_policies[] = {{"position", BY_POSITION}, {"probability", BY_PROBABILITY}, END};
const struct choice aux_domains[] = {
    {"micro-batch", AUX_MICRO_BATCH}, {"sequence", AUX_SEQUENCE}, {"global", AUX_GLOBAL}, END};
const struct choice grow_methods[] = {
    {"none", GROW_NONE}, {"fpi", GROW_FPI}, {"aki", GROW_AKI}, {"aki-pro", GROW_AKI_PRO}, END};
const struct choice grow_depths[] = {{"stack", DEPTH_STACK}, {"interpolate", DEPTH_INTERPOLATE}, END};
const struct choice grow_scopes[] = {{"all", SCOPE_ALL}, {"neurons", SCOPE_NEURONS}, END};
const struct choice router_inits[] = {
    {"copy", ROUTER_COPY}, {"normal", ROUTER_NORMAL}, {"zero", ROUTER_ZERO}, END};
const struct choice weight_scales[] = {{"auto", SCALE_AUTO}, {"down", SCALE_DOWN}, {"none", SCALE_NONE}, END};
const struct choice guard_policies[] = {
    {"stop", GUARD_STOP}, {"skip", GUARD_SKIP}, {"rewind", GUARD_REWIND}, END};
const struct choice schedules[] = {
    {"cosine", SCHEDULE_COSINE}, {"linear", SCHEDULE_LINEAR}, {"constant", SCHEDULE_CONSTANT}, END};
const struct choice device_types[] = {{"cpu", DEVICE_CPU}, {"cuda", DEVICE_CUDA}, END};
const struct choice dev_transports[] = {
    {"auto", TRANSPORT_AUTO}, {"nccl", TRANSPORT_NCCL}, {"mpi", TRANSPORT_MPI}, END};
const struct choice dev_checks[] = {
    {"false", CHECK_NONE}, {"true", CHECK_VALUES}, {"hidden", CHECK_HIDDEN}, END};
const struct choice recomputes[] = {
    {"none", RECOMPUTE_NONE}, {"moe", RECOMPUTE_MOE}, {"full", RECOMPUTE_FULL}, END};
const struct choice save_asyncs[] = {{"auto", ASYNC_AUTO}, {"true", ASYNC_YES}, {"false", ASYNC_NO}, END};
const struct choice precisions[] = {{"fp32", F32}, {"bf16", BF16}, END};

int choice_find(const struct choice *c, const char *name)
{
    while (c && c->name && name && strcmp(c->name, name) != 0)
        c++;
    return c && name ? c->value : -1;
}

const char *choice_name(const struct choice *c, int value)
{
    while (c->name && c->value != value)
        c++;
    return c->name;
}

bool decimal_read(struct decimal *d, const struct choice *words, const char *text)
{
    const char *dot = strchr(text, '.');
    struct decimal number = {.word = -1, .places = dot ? (int)strnlen(dot + 1, 7) : 0};
    *d = (struct decimal){.word = choice_find(words, text)};
    if (d->word >= 0)
        return true;
    for (const char *at = text; *at; at++) {
        if ((*at < '0' || *at > '9') && at != dot)
            return false;
        if (at != dot && (__builtin_mul_overflow(number.millionths, 10, &number.millionths) ||
                          __builtin_add_overflow(number.millionths, *at - '0', &number.millionths)))
            return false;
    }
    for (int i = number.places; i < 6; i++)
        if (__builtin_mul_overflow(number.millionths, 10, &number.millionths))
            return false;
    *d = number;
    return number.places <= 6 && number.millionths > 0;
}
