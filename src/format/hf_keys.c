/* What can be done with a key of config.json. */
#include "format/hf_keys.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"

status refuse(const struct reader *r, const char *key, const char *format, ...)
{
    char reason[400];
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    return fail(E_DATA, "%s: key \"%s%s\": %s", r->path, r->inside, key, reason);
}

void note(struct hf_config *c, char *text)
{
    c->notes = mem_grow(c->notes, c->n_notes + 1, sizeof *c->notes);
    c->notes[c->n_notes++] = text;
}

static void *member(struct reader *r, const struct key *k)
{
    return (char *)r->config + k->at;
}

status agree(struct reader *r, const char *name, const void *to, double value)
{
    for (int i = 0; i < r->n_given; i++) {
        const struct given *g = &r->given[i];
        if (g->member == to && g->value != value)
            return refuse(r, name, "contradicts \"%s%s\"; which one counts? Take the wrong one out",
                          g->inside, g->name);
    }
    r->given[r->n_given++] = (struct given){to, r->inside, name, value};
    return OK;
}

/* A whole number from 1 on. check_present refuses files without it if its family has no default. */
status use_count(struct reader *r, const struct key *k, json_t *value)
{
    long long n = json_integer_value(value);
    if (!json_is_integer(value) || n < 1 || n > k->most)
        return refuse(r, k->name, "must be an integer from 1 to %lld", k->most);
    *(long long *)member(r, k) = n;
    return agree(r, k->name, member(r, k), (double)n);
}

status use_count_or_null(struct reader *r, const struct key *k, json_t *value)
{
    if (!json_is_null(value))
        return use_count(r, k, value);
    *(long long *)member(r, k) = 0;
    return OK;
}

status use_number(struct reader *r, const struct key *k, json_t *value)
{
    if (!json_is_number(value) || json_number_value(value) <= 0)
        return refuse(r, k->name, "must be a positive number");
    *(double *)member(r, k) = json_number_value(value);
    return agree(r, k->name, member(r, k), json_number_value(value));
}

status use_number_or_null(struct reader *r, const struct key *k, json_t *value)
{
    return json_is_null(value) ? OK : use_number(r, k, value);
}

status use_flag(struct reader *r, const struct key *k, json_t *value)
{
    if (!json_is_boolean(value))
        return refuse(r, k->name, "must be true or false");
    *(bool *)member(r, k) = json_is_true(value);
    return OK;
}

status use_nothing(struct reader *r, const struct key *k, json_t *value)
{
    (void)r, (void)k, (void)value;
    return OK;
}

status ignored(struct reader *r, const struct key *k, json_t *value)
{
    if (!json_is_number(value))
        return refuse(r, k->name, "must be a number");
    note(r->config, mem_format("%s: key \"%s\" is ignored: %s", r->path, k->name, k->text));
    return OK;
}

/* One of the words of k->text, which `|` separates. */
status only_text(struct reader *r, const struct key *k, json_t *value)
{
    const char *text = json_string_value(value), *word = k->text;
    for (size_t n; text; word += n + 1) {
        n = strcspn(word, "|");
        if (strlen(text) == n && strncmp(word, text, n) == 0)
            return OK;
        if (!word[n])
            break;
    }
    return refuse(r, k->name, "only \"%.*s\" is supported", (int)strcspn(k->text, "|"), k->text);
}

/* Only null, false, and an empty list or object are allowed. */
status only_off(struct reader *r, const struct key *k, json_t *value)
{
    bool empty = (json_is_object(value) || json_is_array(value)) &&
                 json_object_size(value) + json_array_size(value) == 0;
    return json_is_null(value) || json_is_false(value) || empty ? OK : refuse(r, k->name, "%s", k->text);
}

/* Only null and the number `most` are allowed. */
status only_number(struct reader *r, const struct key *k, json_t *value)
{
    bool right = json_is_number(value) && json_number_value(value) == (double)k->most;
    return json_is_null(value) || right ? OK : refuse(r, k->name, "only %lld is supported", k->most);
}

/* Conversions of Llama 1 have this name for max_position_embeddings. If both are given, transformers reads
 * that. */
status use_length(struct reader *r, const struct key *k, json_t *value)
{
    struct hf_config *c = r->config;
    if (!json_object_get(r->root, "max_position_embeddings"))
        return use_count(r, k, value);
    if (json_integer_value(value) != c->max_positions)
        note(c, mem_format("%s: key \"%s\" is ignored: max_position_embeddings counts", r->path, k->name));
    return OK;
}

status use_window(struct reader *r, const struct key *k, json_t *value)
{
    struct hf_config *c = r->config;
    bool none = r->family & SWITCHED && json_is_integer(value) && json_integer_value(value) == 0;
    if (none) /* so transformers writes it where the switch is off */
        return OK;
    TRY(use_count_or_null(r, k, value));
    if (!(r->family & (LLAMA | SEED_OSS | GRANITE | GRANITE_MOE)) || c->sliding_window == 0)
        return OK;
    c->sliding_window = 0;
    note(c, mem_format("%s: key \"%s\" is ignored: transformers knows no window in %s models", r->path,
                       k->name, c->model_type));
    return OK;
}

status use_window_flag(struct reader *r, const struct key *k, json_t *value)
{
    r->use_window = json_is_true(value);
    return json_is_boolean(value) || json_is_null(value) ? OK : refuse(r, k->name, "must be true or false");
}

/* The first layer with a window, where layer_types does not say it. */
status use_window_from(struct reader *r, const struct key *k, json_t *value)
{
    r->max_window_layers = json_integer_value(value);
    return json_is_integer(value) && r->max_window_layers >= 0
               ? OK
               : refuse(r, k->name, "must be an integer from 0");
}

status use_layer_types(struct reader *r, const struct key *k, json_t *value)
{
    struct hf_config *c = r->config;
    size_t i;
    json_t *type;
    if (json_is_null(value))
        return OK;
    if (!json_is_array(value) || (long long)json_array_size(value) != r->config->layers)
        return refuse(r, k->name, "must be a list of %lld types", r->config->layers);
    r->types_given = true;
    c->whole_layers = mem_new(c->layers, sizeof *c->whole_layers);
    json_array_foreach(value, i, type) {
        const char *name = json_is_string(type) ? json_string_value(type) : "";
        if (!strcmp(name, "full_attention"))
            c->whole_layers[c->n_whole_layers++] = (int)i;
        else if (strcmp(name, "sliding_attention") != 0)
            return refuse(r, k->name, "layer %zu: only full_attention and sliding_attention are supported",
                          i);
    }
    return OK;
}

status use_moe_layers(struct reader *r, const struct key *k, json_t *value)
{
    struct hf_config *c = r->config;
    long long last = -1;
    if (!json_is_array(value) || (long long)json_array_size(value) > c->layers)
        return refuse(r, k->name, "must be a list of layers");
    c->n_moe_layers = (int)json_array_size(value);
    c->moe_layers = mem_new(c->n_moe_layers, sizeof *c->moe_layers);
    for (int i = 0; i < c->n_moe_layers; i++) {
        const json_t *layer = json_array_get(value, (size_t)i);
        if (!json_is_integer(layer) || json_integer_value(layer) <= last ||
            json_integer_value(layer) >= c->layers)
            return refuse(r, k->name, "must list layers from 0 to %lld, ascending", c->layers - 1);
        last = json_integer_value(layer);
        c->moe_layers[i] = (int)last;
    }
    return OK;
}

status use_no_rope_interval(struct reader *r, const struct key *k, json_t *value)
{
    r->no_rope = json_integer_value(value);
    return json_is_integer(value) && r->no_rope >= 1 ? OK : refuse(r, k->name, "must be a positive integer");
}

/* A 1 for each layer that has rotary positions. */
status use_no_rope_layers(struct reader *r, const struct key *k, json_t *value)
{
    struct hf_config *c = r->config;
    size_t i;
    json_t *has;
    if (json_is_null(value))
        return OK;
    if (!json_is_array(value) || (long long)json_array_size(value) != c->layers)
        return refuse(r, k->name, "must be a list of %lld numbers, 0 or 1", c->layers);
    r->bare_given = true;
    c->bare_layers = mem_new(c->layers, sizeof *c->bare_layers);
    json_array_foreach(value, i, has) {
        json_int_t n = json_integer_value(has);
        if (!json_is_integer(has) || n < 0 || n > 1)
            return refuse(r, k->name, "layer %zu: must be 0 or 1", i);
        if (n == 0)
            c->bare_layers[c->n_bare_layers++] = (int)i;
    }
    return OK;
}
