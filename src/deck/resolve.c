/* Values to text: the resolved deck, and what differs from an earlier one. */
#include "deck/inside.h"

#include "base/mem.h"
#include "base/printable.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct text { /* grows at its end */
    char *at;
    int64_t length, room;
};

static PRINTF(2, 3) void add(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (text->length + n >= text->room) {
        text->room = 2 * text->room + n + 64;
        text->at = mem_grow(text->at, text->room, 1);
    }
    va_start(args, format);
    vsnprintf(text->at + text->length, (size_t)n + 1, format, args);
    va_end(args);
    text->length += n;
}

/* A number as short as it can be read back exactly. */
static void add_real(struct text *text, double x)
{
    char number[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(number, sizeof number, "%.*g", digits, x);
        if (strtod(number, NULL) == x)
            break;
    }
    add(text, "%s", number);
}

/* In the largest unit that leaves a whole number: 2h, not 7200s. */
static void add_seconds(struct text *text, double s)
{
    static const struct {
        const char *name;
        double seconds;
    } unit[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};
    for (size_t i = 0; i < sizeof unit / sizeof *unit; i++)
        if (s / unit[i].seconds == floor(s / unit[i].seconds)) {
            add(text, "%.0f%s", s / unit[i].seconds, unit[i].name);
            return;
        }
    add(text, "%.6fs", s);
}

/* Plain where YAML reads it back as it is, else quoted; ${ is kept from being replaced again. */
static void add_path(struct text *text, const char *path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+";
    if (strspn(path, plain) == strlen(path)) {
        add(text, "%s", path);
        return;
    }
    add(text, "\"");
    for (const char *c = path; *c; c++)
        add(text, *c == '"' || *c == '\\' ? "\\%c" : strncmp(c, "${", 2) == 0 ? "$%c" : "%c", *c);
    add(text, "\"");
}

/* ---- one writer per type of key; `slot` is where the value lies ---- */

static void write_int(struct text *text, const void *slot)
{
    add(text, "%lld", (long long)*(const int64_t *)slot);
}

static void write_real(struct text *text, const void *slot)
{
    add_real(text, *(const double *)slot);
}

static void write_bool(struct text *text, const void *slot)
{
    add(text, *(const bool *)slot ? "true" : "false");
}

static void write_maybe(struct text *text, const void *slot)
{
    add(text, *(const int *)slot ? "true" : "false");
}

static void write_word(struct text *text, const void *slot)
{
    add(text, "%s", *(char *const *)slot);
}

static void write_path(struct text *text, const void *slot)
{
    add_path(text, *(char *const *)slot);
}

static void write_paths(struct text *text, const void *slot)
{
    const struct paths *paths = slot;
    add(text, "[");
    for (int i = 0; i < paths->n; i++) {
        add(text, i ? ", " : "");
        add_path(text, paths->path[i]);
    }
    add(text, "]");
}

static void write_layers(struct text *text, const void *slot)
{
    const char *layers = *(char *const *)slot;
    add(text, *layers >= '0' && *layers <= '9' ? "[%s]" : "%s", layers);
}

static void write_items(struct text *text, const void *slot)
{
    const struct data_items *items = slot;
    add(text, "[");
    for (int i = 0; i < items->n; i++) {
        add(text, "%s{path: ", i ? ", " : "");
        add_path(text, items->item[i].path);
        add(text, ", weight: ");
        add_real(text, items->item[i].weight);
        add(text, "}");
    }
    add(text, "]");
}

static void write_reals(struct text *text, const void *slot)
{
    const struct reals *r = slot;
    for (int i = 0; i < r->n; i++) {
        add(text, i ? ", " : "[");
        add_real(text, r->x[i]);
    }
    add(text, "]");
}

static void write_every(struct text *text, const void *slot)
{
    const struct every *e = slot;
    if (e->steps)
        add(text, "%lld", (long long)e->steps);
    else if (e->seconds > 0)
        add_seconds(text, e->seconds);
    else
        add(text, "never");
}

static void write_duration(struct text *text, const void *slot)
{
    double seconds = *(const double *)slot;
    if (seconds > 0)
        add_seconds(text, seconds);
    else
        add(text, "auto");
}

static void (*const writer[])(struct text *, const void *slot) = {
    [K_INT] = write_int,       [K_REAL] = write_real,         [K_BOOL] = write_bool,
    [K_MAYBE] = write_maybe,   [K_CHOICE] = write_word,       [K_PATH] = write_path,
    [K_REALS] = write_reals,   [K_ITEMS] = write_items,       [K_EVERY] = write_every,
    [K_LAYERS] = write_layers, [K_DURATION] = write_duration, [K_DECIMAL] = write_word,
    [K_PATHS] = write_paths,   [K_NAMES] = write_paths,
};

/* Is a value that has no default not given? */
static bool is_unset(const struct key *key, const void *slot)
{
    switch (key->type) {
    case K_INT: return !key->fallback && *(const int64_t *)slot == -1;
    case K_REAL: return !key->fallback && *(const double *)slot < 0;
    case K_MAYBE: return *(const int *)slot == -1;
    case K_PATHS:
    case K_NAMES: return ((const struct paths *)slot)->n == 0;
    case K_REALS: return ((const struct reals *)slot)->n == 0;
    case K_ITEMS: return ((const struct data_items *)slot)->n == 0;
    case K_CHOICE:
    case K_PATH:
    case K_LAYERS:
    case K_DECIMAL: return *(char *const *)slot == NULL;
    case K_BOOL:
    case K_EVERY:
    case K_DURATION: break;
    }
    return false;
}

char *deck_value(const struct deck *d, int i)
{
    int n;
    const struct key *key = &deck_keys(&n)[i];
    const void *slot = value_slot(d, i);
    struct text text = {0};
    if (is_unset(key, slot))
        return mem_text("~");
    writer[key->type](&text, slot);
    return text.at;
}

/* The lines "a:", "  b:" of the sections of `path` that `previous` was not in; returns the indent. */
static int add_sections(struct text *text, const char *path, const char *previous)
{
    int level = 0;
    const char *part = path;
    for (const char *dot; (dot = strchr(part, '.')); part = dot + 1, level++)
        if (strncmp(path, previous, (size_t)(dot - path + 1)) != 0)
            add(text, "%*s%.*s:\n", 2 * level, "", (int)(dot - part), part);
    return 2 * level;
}

/* A comment ends with its line, and file names may hold anything. */
static void add_comment(struct text *text, const char *comment)
{
    bool clean = text_clean(comment, strlen(comment));
    add(text, "  # ");
    for (const char *c = comment; *c; c++)
        add(text, "%c", clean || (*c >= ' ' && *c <= '~') ? *c : '?');
    add(text, "\n");
}

char *deck_resolved(const struct deck *d)
{
    int n;
    const struct key *key = deck_keys(&n);
    struct text text = {0};
    const char *previous = "";
    for (int i = 0; i < n; i++) {
        char *value = deck_value(d, i);
        int indent = add_sections(&text, key[i].path, previous);
        add(&text, "%*s%s: %s", indent, "", strrchr(key[i].path, '.') + 1, value);
        add_comment(&text, value_origin(d, i));
        free(value);
        previous = key[i].path;
    }
    return text.at;
}

char *deck_restart_diff(const struct deck *now, const struct deck *then)
{
    int n;
    const struct key *key = deck_keys(&n);
    struct text text = {0};
    for (int i = 0; i < n; i++) {
        if (key[i].may_change_on_restart)
            continue;
        char *a = deck_value(then, i), *b = deck_value(now, i);
        if (strcmp(a, b) != 0)
            add(&text, "%s%s: was %s, now %s (%s)", text.at ? "\n" : "", key[i].path, a, b,
                value_origin(now, i));
        free(a);
        free(b);
    }
    return text.at;
}
