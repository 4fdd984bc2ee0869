/* One value of a deck from text: one setter per type of key. */
#include "deck/inside.h"

#include "base/mem.h"
#include "base/printable.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cell { /* a value that is being set */
    const struct key *key;
    void *slot;
    const struct scalar *at;
    struct errors *errors;
};

/* ---- numbers, strictly ---- */

static bool number_int(const char *text, int64_t *out)
{
    const char *digits = text + (*text == '-');
    size_t n = strspn(digits, "0123456789");
    if (n == 0 || digits[n] || (digits[0] == '0' && n > 1)) /* no octal guessing */
        return false;
    errno = 0;
    *out = strtoll(text, NULL, 10);
    return errno == 0;
}

bool number_real(const char *text, double *out)
{
    char *end;
    if (strspn(text, "0123456789+-.eE") != strlen(text) || *text == '+' || *text == '\0')
        return false; /* no hexadecimal, inf, nan or blanks */
    errno = 0;
    double x = strtod(text, &end);
    if (*end || errno || !isfinite(x))
        return false;
    *out = x;
    return true;
}

/* "90s", "30min", "1.5h", "1d" in seconds. */
static bool number_seconds(const char *text, double *out)
{
    static const struct {
        const char *name;
        double seconds;
    } unit[] = {{"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}};
    char number[32];
    size_t n = strspn(text, "0123456789.");
    if (n >= sizeof number)
        return false;
    memcpy(number, text, n);
    number[n] = '\0';
    for (size_t i = 0; i < sizeof unit / sizeof *unit; i++)
        if (strcmp(text + n, unit[i].name) == 0 && number_real(number, out)) {
            *out *= unit[i].seconds;
            return true;
        }
    return false;
}

/* ---- messages ---- */

const char *value_expected(const struct key *key)
{
    static _Thread_local char text[160];
    switch (key->type) {
    case K_INT: return "expected an integer";
    case K_REAL: return "expected a number";
    case K_BOOL:
    case K_MAYBE: return "expected true or false";
    case K_PATH: return "expected a path";
    case K_PATHS: return "expected a list of paths";
    case K_NAMES: return "expected a list of names";
    case K_REALS: return "expected a list of numbers such as [0.9, 0.1]";
    case K_ITEMS: return "expected a list of data sets, each a path or {path: ..., weight: ...}";
    case K_EVERY: return "expected a number of steps, a time such as 90s, 30min or 2h, or never";
    case K_LAYERS: return "expected all, every N, or a list of layers such as [0, 2, 5]";
    case K_DURATION: return "expected auto or a time with its unit: 90s, 30min, 2h, 1d";
    case K_CHOICE:
    case K_DECIMAL: break;
    }
    snprintf(text, sizeof text, "expected %s%s", key->choices,
             key->type == K_DECIMAL ? " or a decimal above 0 of at most six places" : "");
    return text;
}

static bool wrong(const struct cell *c)
{
    const char *hint = "";
    if (c->at->quoted && (c->key->type <= K_MAYBE || c->key->type == K_REALS))
        hint = "; remove the quotes";
    errors_add(c->errors, c->at->where, "%s: %s, not '%.60s'%s", c->key->path, value_expected(c->key),
               c->at->text, hint);
    return false;
}

static bool in_range(const struct cell *c, double x)
{
    if (x >= c->key->min && x <= c->key->max)
        return true;
    const char *unit = c->key->type == K_EVERY || !c->key->unit ? "" : c->key->unit;
    errors_add(c->errors, c->at->where, "%s: %.60s is out of range (%.10g to %.10g%s%s)", c->key->path,
               c->at->text, c->key->min, c->key->max, *unit ? " " : "", unit);
    return false;
}

static bool is_word(const char *words, const char *text)
{
    size_t n = strlen(text);
    for (const char *w = words; w && n; w = strchr(w, '|') ? strchr(w, '|') + 1 : NULL)
        if (strcspn(w, "|") == n && strncmp(w, text, n) == 0)
            return true;
    return false;
}

static bool set_owned(const struct cell *c, char *text)
{
    char **slot = c->slot;
    if (text) {
        free(*slot);
        *slot = text;
    }
    return text != NULL;
}

/* ---- one setter per type: false with an error added, or the value is set ---- */

static bool set_int(const struct cell *c)
{
    int64_t x;
    if (c->at->quoted || !number_int(c->at->text, &x))
        return wrong(c);
    if (!in_range(c, (double)x))
        return false;
    *(int64_t *)c->slot = x;
    return true;
}

static bool set_real(const struct cell *c)
{
    double x;
    if (c->at->quoted || !number_real(c->at->text, &x))
        return wrong(c);
    if (!in_range(c, x))
        return false;
    *(double *)c->slot = x;
    return true;
}

static bool set_bool(const struct cell *c)
{
    bool yes = strcmp(c->at->text, "true") == 0;
    if (c->at->quoted || (!yes && strcmp(c->at->text, "false") != 0))
        return wrong(c);
    if (c->key->type == K_MAYBE)
        *(int *)c->slot = yes;
    else
        *(bool *)c->slot = yes;
    return true;
}

static bool set_choice(const struct cell *c)
{
    return is_word(c->key->choices, c->at->text) ? set_owned(c, mem_text(c->at->text)) : wrong(c);
}

static bool set_path(const struct cell *c)
{
    if (is_word(c->key->choices, c->at->text))
        return set_owned(c, mem_text(c->at->text));
    return set_owned(c, path_resolve(c->key->path, c->at, c->errors));
}

/* "[a, b]" into numbers. *n is -1 if the text is no such list. Caller frees. */
static double *split_list(const char *text, int *n)
{
    size_t length = strlen(text);
    *n = -1;
    if (length < 3 || text[0] != '[' || text[length - 1] != ']')
        return NULL;
    char *inside = mem_format("%.*s", (int)(length - 2), text + 1), *at = inside, *part;
    double *x = NULL;
    int count = 0;
    bool good = true;
    while (good && (part = strsep(&at, ","))) {
        part += strspn(part, " ");
        part[strcspn(part, " ")] = '\0';
        x = mem_grow(x, count + 1, sizeof *x);
        good = number_real(part, &x[count++]);
    }
    free(inside);
    if (good)
        *n = count;
    return x;
}

static bool set_reals(const struct cell *c)
{
    int n;
    struct reals *slot = c->slot;
    double *x = split_list(c->at->text, &n);
    bool good = n > 0 && !c->at->quoted ? true : wrong(c);
    for (int i = 0; good && i < n; i++)
        good = in_range(c, x[i]);
    if (!good) {
        free(x);
        return false;
    }
    free(slot->x);
    *slot = (struct reals){n, x};
    return true;
}

char *value_text(const struct key *key, const char *name, const struct scalar *at, struct errors *errors)
{
    size_t n = strlen(at->text);
    if (key->type == K_PATHS)
        return path_resolve(name, at, errors);
    if (n > 0 && n <= 200 && strcspn(at->text, " $,[]{}") == n && text_clean(at->text, n))
        return mem_text(at->text);
    errors_add(errors, at->where, "%s: expected a name, not '%.60s'", name, at->text);
    return NULL;
}

/* One alone. */
static bool set_paths(const struct cell *c)
{
    char *path = value_text(c->key, c->key->path, c->at, c->errors);
    if (!path)
        return false;
    struct paths *slot = c->slot;
    paths_free(slot);
    *slot = (struct paths){1, mem_new(1, sizeof *slot->path)};
    slot->path[0] = path;
    return true;
}

static bool set_items(const struct cell *c)
{
    struct data_items *slot = c->slot, items = {1, mem_new(1, sizeof *items.item)};
    items.item->weight = 1;
    if (!item_set_path(&items.item->path, c->key->path, c->at, c->errors)) {
        items_free(&items);
        return false;
    }
    items_free(slot);
    *slot = items;
    return true;
}

static bool set_every(const struct cell *c)
{
    struct every e = {0};
    if (strcmp(c->at->text, "never") != 0 && !number_int(c->at->text, &e.steps) &&
        !(number_seconds(c->at->text, &e.seconds) && e.seconds >= 1e-3))
        return wrong(c);
    if (!in_range(c, (double)e.steps) || !in_range(c, e.seconds))
        return false;
    *(struct every *)c->slot = e;
    return true;
}

static bool set_duration(const struct cell *c)
{
    double seconds = 0;
    if (!is_word(c->key->choices, c->at->text)) {
        if (!number_seconds(c->at->text, &seconds))
            return wrong(c);
        if (!in_range(c, seconds))
            return false;
    }
    *(double *)c->slot = seconds;
    return true;
}

static bool set_layer_list(const struct cell *c)
{
    int n;
    double *x = split_list(c->at->text, &n);
    char *text = mem_text("");
    bool good = n > 0 ? true : wrong(c);
    for (int i = 0; good && i < n; i++) {
        good = in_range(c, x[i]);
        if (good && (x[i] != floor(x[i]) || (i && x[i] <= x[i - 1]))) {
            errors_add(c->errors, c->at->where, "%s: layers must be whole numbers in ascending order",
                       c->key->path);
            good = false;
        }
        char *longer = mem_format("%s%s%.0f", text, i ? "," : "", x[i]);
        free(text);
        text = longer;
    }
    free(x);
    if (good)
        return set_owned(c, text);
    free(text);
    return false;
}

static bool set_layers(const struct cell *c)
{
    int64_t n;
    const char *text = c->at->text;
    if (*text == '[')
        return set_layer_list(c);
    if (is_word(c->key->choices, text))
        return set_owned(c, mem_text(text));
    if (strncmp(text, "every ", 6) != 0 || !number_int(text + 6, &n) || n < 1 || n > 1024)
        return wrong(c);
    return set_owned(c, mem_text(text));
}

static bool set_decimal(const struct cell *c)
{
    double x;
    const char *text = c->at->text;
    if (is_word(c->key->choices, text))
        return set_owned(c, mem_text(text));
    const char *dot = strchr(text, '.');
    bool decimal = strspn(text, "0123456789.") == strlen(text) && (!dot || strlen(dot + 1) <= 6);
    if (!decimal || !number_real(text, &x) || x <= 0)
        return wrong(c);
    return in_range(c, x) && set_owned(c, mem_text(text));
}

static bool (*const setter[])(const struct cell *) = {
    [K_INT] = set_int,       [K_REAL] = set_real,     [K_BOOL] = set_bool,       [K_MAYBE] = set_bool,
    [K_CHOICE] = set_choice, [K_PATH] = set_path,     [K_REALS] = set_reals,     [K_ITEMS] = set_items,
    [K_EVERY] = set_every,   [K_LAYERS] = set_layers, [K_DECIMAL] = set_decimal, [K_DURATION] = set_duration,
    [K_PATHS] = set_paths,   [K_NAMES] = set_paths,
};

void value_set(struct deck *d, int i, const struct scalar *at, struct errors *errors)
{
    int n;
    const struct key *key = &deck_keys(&n)[i];
    struct cell c = {key, value_slot(d, i), at, errors};
    if (!at->quoted && (strcmp(at->text, "~") == 0 || strcmp(at->text, "null") == 0))
        value_reset(d, i);
    else if (!at->quoted && !*at->text)
        errors_add(errors, at->where, "%s: there is no value (~ stands for the default)", key->path);
    else if (setter[key->type](&c))
        value_set_origin(d, i, at->where);
}

/* A data path is kept without suffix; all of them go, so that a path read again stays what it is. */
static void drop_suffix(char *path)
{
    for (size_t n = strlen(path); n > 5 && !strchr("/.", path[n - 5]); n -= 4) {
        if (strcmp(path + n - 4, ".bin") != 0 && strcmp(path + n - 4, ".idx") != 0)
            return;
        path[n - 4] = '\0';
    }
}

bool item_set_path(char **path, const char *name, const struct scalar *at, struct errors *errors)
{
    char *whole = path_resolve(name, at, errors);
    if (!whole)
        return false;
    drop_suffix(whole);
    free(*path);
    *path = whole;
    return true;
}

bool item_set_weight(double *weight, const char *name, const struct scalar *at, struct errors *errors)
{
    double w;
    if (at->quoted || !number_real(at->text, &w) || w <= 0 || w > 1e12) {
        errors_add(errors, at->where, "%s: expected a weight above 0, not '%.60s'", name, at->text);
        return false;
    }
    *weight = w;
    return true;
}
