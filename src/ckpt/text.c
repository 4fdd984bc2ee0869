/* The model's shape and the run's state as JSON text: one table of fields each, both ways. */
#include "ckpt/text.h"

#include "base/json.h"
#include "base/mem.h"
#include "deck/choices.h"
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct field {
    const char *name;
    size_t offset;
    enum { INTEGER, REAL, FLAG, CHOICE, TEXT, FIRST_CHOICE } type; /* FIRST_CHOICE: 0 or 1, as a flag */
    int longest;                                                   /* of texts */
    bool is_late;               /* older checkpoints lack it: it is zero then */
    bool is_past;               /* only they have it */
    const struct choice *words; /* of choices; older checkpoints have the number */
};

/* clang-format off */
#define CONFIG(type, name) {#name, offsetof(struct config, name), type, 0, false, false, NULL}
#define CHOOSE(name, words) {#name, offsetof(struct config, name), CHOICE, 0, false, false, words}
#define LATE(type, name, longest) {#name, offsetof(struct config, name), type, longest, true, false, NULL}
#define CHOOSE_LATE(name, words) {#name, offsetof(struct config, name), CHOICE, 0, true, false, words}
#define PAST(type, name, member) {name, offsetof(struct config, member), type, 0, true, true, NULL}
#define STATE(name) {#name, offsetof(struct ckpt_state, name), INTEGER, 0, false, false, NULL}
/* clang-format on */
static const struct choice rope_scalings[] = {{"default", ROPE_DEFAULT}, {"llama3", ROPE_LLAMA3},
                                              {"linear", ROPE_LINEAR},   {"dynamic", ROPE_DYNAMIC},
                                              {"yarn", ROPE_YARN},       {NULL, -1}};
static const struct field config_fields[] = {
    CONFIG(INTEGER, hidden),
    CONFIG(INTEGER, ffn),
    CONFIG(INTEGER, layers),
    CONFIG(INTEGER, heads),
    CONFIG(INTEGER, kv_heads),
    CONFIG(INTEGER, head_dim),
    CONFIG(INTEGER, vocab),
    CONFIG(REAL, norm_eps),
    CONFIG(REAL, rope.theta),
    PAST(FIRST_CHOICE, "rope.llama3", rope.scaling),
    CHOOSE_LATE(rope.scaling, rope_scalings),
    CONFIG(REAL, rope.factor),
    CONFIG(REAL, rope.low_freq),
    CONFIG(REAL, rope.high_freq),
    CONFIG(REAL, rope.original_positions),
    CONFIG(FLAG, tied),
    CONFIG(FLAG, qkv_bias),
    CONFIG(INTEGER, max_positions),
    CONFIG(INTEGER, moe.experts),
    CONFIG(INTEGER, moe.top_k),
    CONFIG(INTEGER, moe.granularity),
    CHOOSE(moe.order, router_orders),
    CONFIG(FLAG, moe.renormalise),
    CONFIG(INTEGER, moe.capacity_ppm),
    CHOOSE(moe.capacity_rule, capacity_rules),
    CHOOSE(moe.capacity_policy, capacity_policies),
    CONFIG(REAL, moe.aux_coeff),
    CONFIG(REAL, moe.z_coeff),
    CONFIG(REAL, moe.max_z_coeff),
    CHOOSE(moe.aux_domain, aux_domains),
    CONFIG(REAL, moe.jitter),
    CONFIG(REAL, moe.bias_rate),
    CONFIG(INTEGER, moe.shared),
    CONFIG(FLAG, moe.shared_gate),
    LATE(REAL, rope.attention_factor, 0),
    LATE(REAL, rope.beta_fast, 0),
    LATE(REAL, rope.beta_slow, 0),
    LATE(REAL, rope.mscale, 0),
    LATE(REAL, rope.mscale_all_dim, 0),
    LATE(FLAG, rope.exact_bounds, 0),
    LATE(FLAG, qk_norm, 0),
    LATE(REAL, multiply.embedding, 0),
    LATE(REAL, multiply.attention, 0),
    LATE(REAL, multiply.residual, 0),
    LATE(REAL, multiply.logits_scaling, 0),
    {"carried.window", offsetof(struct config, window), INTEGER, 0, true, false, NULL},
    LATE(TEXT, carried.keys, sizeof((struct carried *)0)->keys - 1),
    LATE(TEXT, carried.folder, sizeof((struct carried *)0)->folder - 1),
};
static const struct field state_fields[] = {
    STATE(step),   STATE(samples),
    STATE(tokens), STATE(horizon),
    STATE(leg),    {"run", offsetof(struct ckpt_state, run), TEXT, RUN_ID - 1, true, false, NULL},
};

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Lists of layers: those that are MoE, those without rotary positions, those without the window. */
static const struct {
    const char *name;
    size_t offset; /* bool [MAX_LAYERS] of struct config */
    bool is_late;
} lists[] = {{"moe.layer", offsetof(struct config, moe.layer), false},
             {"bare", offsetof(struct config, bare), true},
             {"whole", offsetof(struct config, whole), true}};

static json_t *get(const struct field *f, const char *from)
{
    const void *at = from + f->offset;
    switch (f->type) {
    case INTEGER: return json_integer(*(const int64_t *)at);
    case REAL: return json_real(*(const double *)at);
    case FLAG: return json_boolean(*(const bool *)at);
    case CHOICE: return json_string(choice_name(f->words, *(const int *)at));
    case TEXT: return json_string(at);
    case FIRST_CHOICE: break;
    }
    return NULL;
}

/* -1: none of the words. */
static int choice_from(const struct field *f, const json_t *value)
{
    json_int_t number = json_integer_value(value);
    if (json_is_string(value))
        return choice_find(f->words, json_string_value(value));
    return json_is_integer(value) && number >= 0 && number <= INT_MAX && choice_name(f->words, (int)number)
               ? (int)number
               : -1;
}

static bool set(const struct field *f, char *to, const json_t *value)
{
    void *at = to + f->offset;
    switch (f->type) {
    case INTEGER: *(int64_t *)at = json_integer_value(value); return json_is_integer(value);
    case REAL: *(double *)at = json_real_value(value); return json_is_real(value);
    case FLAG: *(bool *)at = json_is_true(value); return json_is_boolean(value);
    case CHOICE: *(int *)at = choice_from(f, value); return *(int *)at >= 0;
    case FIRST_CHOICE: *(int *)at = json_is_true(value); return json_is_boolean(value);
    case TEXT:
        if (!json_is_string(value) || json_string_length(value) > (size_t)f->longest)
            return false;
        strcpy(at, json_string_value(value));
        return true;
    }
    return false;
}

static json_t *to_json(const struct field *f, size_t n, const void *from)
{
    json_t *object = json_object();
    for (size_t i = 0; i < n; i++)
        if (!f[i].is_past)
            json_object_set_new(object, f[i].name, get(&f[i], from));
    return object;
}

static status from_json(const struct field *f, size_t n, void *to, const char *where, const json_t *object)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_object_get(object, f[i].name);
        if ((value || !f[i].is_late) && !set(&f[i], to, value))
            return fail(E_DATA, "%s: %s is missing or makes no sense", where, f[i].name);
    }
    return OK;
}

/* Takes the object. */
static char *to_text(json_t *object)
{
    char *text = json_text(object, JSON_INDENT(2));
    json_decref(object);
    return text;
}

char *config_to_json(const struct config *c)
{
    json_t *object = to_json(config_fields, COUNT(config_fields), c);
    for (size_t i = 0; i < COUNT(lists); i++) {
        const bool *in = (const bool *)((const char *)c + lists[i].offset);
        json_t *list = json_array();
        for (int l = 0; l < MAX_LAYERS; l++)
            if (in[l])
                json_array_append_new(list, json_integer(l));
        json_object_set_new(object, lists[i].name, list);
    }
    return to_text(object);
}

char *state_to_json(const struct ckpt_state *s)
{
    return to_text(to_json(state_fields, COUNT(state_fields), s));
}

static status layers_from_json(bool *in, const char *where, const char *name, const json_t *list)
{
    if (!json_is_array(list))
        return fail(E_DATA, "%s: %s is missing", where, name);
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_int_t l = json_integer_value(json_array_get(list, i));
        if (l < 0 || l >= MAX_LAYERS)
            return fail(E_DATA, "%s: %s: there is no layer %lld", where, name, (long long)l);
        in[l] = true;
    }
    return OK;
}

static status lists_from_json(struct config *c, const char *where, const json_t *object)
{
    for (size_t i = 0; i < COUNT(lists); i++) {
        const json_t *list = json_object_get(object, lists[i].name);
        if (list || !lists[i].is_late)
            TRY(layers_from_json((bool *)((char *)c + lists[i].offset), where, lists[i].name, list));
    }
    return OK;
}

static bool is_list(const char *name)
{
    size_t i = 0;
    while (i < COUNT(lists) && strcmp(lists[i].name, name) != 0)
        i++;
    return i < COUNT(lists);
}

/* A field that this program does not know may change what all others mean. */
static status known(const char *where, json_t *object, const struct field *f, size_t n)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value) {
        bool found = f == config_fields && is_list(name);
        for (size_t i = 0; i < n && !found; i++)
            found = !strcmp(name, f[i].name);
        if (!found)
            return fail(E_DATA,
                        "%s: %s: written by another version of this program, this one does not know it",
                        where, name);
    }
    return OK;
}

status config_from_json(struct config *c, const char *where, const char *text)
{
    json_t *object;
    TRY(json_parse(&object, where, text, (int64_t)strlen(text)));
    *c = (struct config){0};
    status s = from_json(config_fields, COUNT(config_fields), c, where, object);
    if (s == OK)
        s = lists_from_json(c, where, object);
    if (s == OK)
        s = known(where, object, config_fields, COUNT(config_fields));
    json_decref(object);
    return s;
}

/* A step takes at least a sample, and a sample at least a token; beyond 2^53 a double cannot count them. */
static status check_state(const struct ckpt_state *s, const char *where)
{
    const int64_t most = (int64_t)1 << 53;
    bool good = s->step >= 0 && s->samples >= s->step && s->tokens >= s->samples && s->tokens <= most &&
                s->horizon >= 0 && s->horizon <= most && s->leg >= 0 && s->leg <= most;
    return good ? OK
                : fail(E_DATA,
                       "%s: step %lld, %lld samples, %lld tokens, horizon %lld, leg %lld make no sense",
                       where, (long long)s->step, (long long)s->samples, (long long)s->tokens,
                       (long long)s->horizon, (long long)s->leg);
}

status state_from_json(struct ckpt_state *state, const char *where, const char *text)
{
    json_t *object;
    TRY(json_parse(&object, where, text, (int64_t)strlen(text)));
    state->run[0] = '\0';
    status s = from_json(state_fields, COUNT(state_fields), state, where, object);
    if (s == OK)
        s = known(where, object, state_fields, COUNT(state_fields));
    if (s == OK)
        s = check_state(state, where);
    json_decref(object);
    return s;
}
