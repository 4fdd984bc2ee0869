/* The table of types of keys. A type does not need what its row leaves out. */
#include "deck/inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

/* ---- unset values, and freeing what a value owns ---- */

static const int64_t no_int = -1;
static const double no_real = -1;
static const int no_word = -1; /* of a choice or a truth value */
static const char nothing[sizeof(struct data_items)];

static void free_text(void *slot)
{
    free(*(char **)slot);
}

static void free_reals(void *slot)
{
    free(((struct reals *)slot)->x);
}

static void free_paths(void *slot)
{
    paths_free(slot);
}

static void free_items(void *slot)
{
    items_free(slot);
}

void type_clear(const struct key *key, void *slot)
{
    const struct type *t = type_of(key);
    if (t->release)
        t->release(slot);
    if (t->unset)
        memcpy(slot, t->unset, t->size);
}

bool type_is_unset(const struct key *key, const void *slot)
{
    const struct type *t = type_of(key);
    return t->unset && !key->fallback && memcmp(slot, t->unset, t->size) == 0;
}

/* ---- the i-th path of a value; NULL behind the last ---- */

static const char *path_of_one(const void *slot, int i)
{
    return i == 0 ? *(char *const *)slot : NULL;
}

static const char *path_of_paths(const void *slot, int i)
{
    const struct paths *paths = slot;
    return i < paths->n ? paths->path[i] : NULL;
}

static const char *path_of_items(const void *slot, int i)
{
    const struct data_items *items = slot;
    return i < items->n ? items->item[i].path : NULL;
}

/* Append a path, in quotes if YAML would not read it back unchanged. ${ is escaped, so that it is not
 * replaced. */
static void add_path(char **text, const char *path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+";
    if (strspn(path, plain) == strlen(path)) {
        mem_append(text, "%s", path);
        return;
    }
    char *quoted = mem_new(2 * (int64_t)strlen(path) + 1, 1), *to = quoted;
    for (const char *c = path; *c; *to++ = *c++)
        if (*c == '"' || *c == '\\' || strncmp(c, "${", 2) == 0)
            *to++ = *c == '$' ? '$' : '\\';
    mem_append(text, "\"%s\"", quoted);
    free(quoted);
}

/* ---- one writer per type of key ---- */

static void write_int(char **text, const struct cell *c)
{
    mem_append(text, "%lld", (long long)*(const int64_t *)c->slot);
}

static void write_real(char **text, const struct cell *c)
{
    number_add_real(text, *(const double *)c->slot);
}

static void write_bool(char **text, const struct cell *c)
{
    mem_append(text, *(const bool *)c->slot ? "true" : "false");
}

static void write_maybe(char **text, const struct cell *c)
{
    mem_append(text, *(const int *)c->slot ? "true" : "false");
}

static void write_choice(char **text, const struct cell *c)
{
    mem_append(text, "%s", choice_name(c->key->words, *(const int *)c->slot));
}

static void write_decimal(char **text, const struct cell *c)
{
    const struct decimal *d = c->slot;
    if (d->word >= 0)
        mem_append(text, "%s", choice_name(c->key->words, d->word));
    else
        mem_append(text, "%lld.%06lld", (long long)d->millionths / 1000000,
                   (long long)d->millionths % 1000000);
    if (d->word < 0)
        (*text)[strlen(*text) - (size_t)(d->places ? 6 - d->places : 7)] = '\0';
}

static void write_path(char **text, const struct cell *c)
{
    add_path(text, *(char *const *)c->slot);
}

static void write_paths(char **text, const struct cell *c)
{
    const struct paths *paths = c->slot;
    mem_append(text, "[");
    for (int i = 0; i < paths->n; i++) {
        mem_append(text, i ? ", " : "");
        add_path(text, paths->path[i]);
    }
    mem_append(text, "]");
}

static void write_layers(char **text, const struct cell *c)
{
    const char *layers = *(char *const *)c->slot;
    mem_append(text, *layers >= '0' && *layers <= '9' ? "[%s]" : "%s", layers);
}

static void write_items(char **text, const struct cell *c)
{
    const struct data_items *items = c->slot;
    mem_append(text, "[");
    for (int i = 0; i < items->n; i++) {
        mem_append(text, "%s{path: ", i ? ", " : "");
        add_path(text, items->item[i].path);
        mem_append(text, ", weight: ");
        number_add_real(text, items->item[i].weight);
        mem_append(text, "}");
    }
    mem_append(text, "]");
}

static void write_reals(char **text, const struct cell *c)
{
    const struct reals *r = c->slot;
    for (int i = 0; i < r->n; i++) {
        mem_append(text, i ? ", " : "[");
        number_add_real(text, r->x[i]);
    }
    mem_append(text, "]");
}

static void write_every(char **text, const struct cell *c)
{
    const struct every *e = c->slot;
    if (e->steps)
        mem_append(text, "%lld", (long long)e->steps);
    else if (e->seconds > 0)
        number_add_seconds(text, e->seconds);
    else
        mem_append(text, "never");
}

static void write_duration(char **text, const struct cell *c)
{
    double seconds = *(const double *)c->slot;
    if (seconds > 0)
        number_add_seconds(text, seconds);
    else
        mem_append(text, "%s", choice_name(c->key->words, 0));
}

/* ---- the table ---- */

/* clang-format off */
static const struct type types[] = {
    [K_INT] = {.set = set_int, .unset = &no_int, .size = sizeof no_int, .write = write_int,
        .expected = "expected an integer", .domain = "integer", .unquoted = true, .ranged = true},
    [K_REAL] = {.set = set_real, .unset = &no_real, .size = sizeof no_real, .write = write_real,
        .expected = "expected a number", .domain = "number", .unquoted = true, .ranged = true},
    [K_BOOL] = {.set = set_bool, .write = write_bool, .expected = "expected true or false",
        .domain = "true, false", .unquoted = true},
    [K_MAYBE] = {.set = set_maybe, .unset = &no_word, .size = sizeof no_word, .write = write_maybe,
        .expected = "expected true or false", .domain = "true, false", .unquoted = true},
    [K_CHOICE] = {.set = set_choice, .unset = &no_word, .size = sizeof no_word, .write = write_choice},
    [K_PATH] = {.release = free_text, .set = set_path, .unset = nothing, .size = sizeof(char *), .write = write_path,
        .path = path_of_one, .expected = "expected a path", .domain = "path"},
    [K_REALS] = {.release = free_reals, .set = set_reals, .unset = nothing, .size = sizeof(struct reals), .write = write_reals,
        .list = LIST_NUMBERS, .expected = "expected a list of numbers such as [0.9, 0.1]",
        .domain = "list of numbers", .unquoted = true},
    [K_PATHS] = {.release = free_paths, .set = set_paths, .unset = nothing, .size = sizeof(struct paths), .write = write_paths,
        .list = LIST_PATHS, .path = path_of_paths, .expected = "expected a list of paths",
        .domain = "list of paths"},
    [K_NAMES] = {.release = free_paths, .set = set_paths, .unset = nothing, .size = sizeof(struct paths), .write = write_paths,
        .list = LIST_PATHS, .expected = "expected a list of names", .domain = "list of names"},
    [K_ITEMS] = {.release = free_items, .set = set_items, .unset = nothing, .size = sizeof(struct data_items), .write = write_items,
        .list = LIST_ITEMS, .path = path_of_items, .domain = "list of paths or {path, weight}",
        .expected = "expected a list of data sets, each a path or {path: ..., weight: ...}"},
    [K_EVERY] = {.set = set_every, .write = write_every, .domain = "steps, time, never",
        .expected = "expected a number of steps, a time such as 90s, 30min or 2h, or never"},
    [K_LAYERS] = {.release = free_text, .set = set_layers, .unset = nothing, .size = sizeof(char *), .write = write_layers,
        .list = LIST_NUMBERS, .expected = "expected all, every N, or a list of layers such as [0, 2, 5]",
        .domain = "all, every N, list of layers"},
    [K_DURATION] = {.set = set_duration, .write = write_duration, .also = ", time",
        .otherwise = " or a time with its unit: 90s, 30min, 2h, 1d"},
    [K_DECIMAL] = {.set = set_decimal, .write = write_decimal, .also = ", decimal",
        .otherwise = " or a decimal above 0 of at most six places"},
};
/* clang-format on */

const struct type *type_of(const struct key *key)
{
    return &types[key->type];
}

/* The words of a key with `between` between them: "a|b|c". Returns the length. */
static int join_words(char *out, size_t room, const struct key *key, const char *between)
{
    int n = 0;
    for (const struct choice *c = key->words; c->name; c++)
        n += snprintf(out + n, room - (size_t)n, "%s%s", n ? between : "", c->name);
    return n;
}

const char *type_expected(const struct key *key, char out[160])
{
    const struct type *t = &types[key->type];
    if (t->expected)
        return t->expected;
    int n = snprintf(out, 160, "expected ");
    n += join_words(out + n, 160 - (size_t)n, key, "|");
    snprintf(out + n, 160 - (size_t)n, "%s", t->otherwise ? t->otherwise : "");
    return out;
}

char *deck_domain(const struct key *key)
{
    const struct type *t = &types[key->type];
    char words[120] = "";
    if (key->words)
        join_words(words, sizeof words, key, ", ");
    if (!t->domain)
        return mem_format("%s%s", words, t->also ? t->also : "");
    if (!t->ranged)
        return mem_format("%s%s%s", t->domain, key->type == K_PATH && key->words ? ", or " : "",
                          key->type == K_PATH ? words : "");
    char *text =
        mem_format(key->max >= 1e6 ? "%s from %.10g" : "%s, %.10g to %.10g", t->domain, key->min, key->max);
    if (key->unit)
        mem_append(&text, " (%s)", key->unit);
    return text;
}
