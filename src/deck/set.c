/* One setter for each type of key. It reads a text into the value. */
#include "deck/inside.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

/* ---- messages ---- */

/* The numbers of "[a, b]"; *n is -1 if the text is no such list. Caller frees. */
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

/* A hint for a list of numbers in another form; "" if there is none. */
static char *reals_hint(char out[120], const struct key *key, const char *text)
{
    int n;
    bool bare = *text != '[';
    char *list = bare ? mem_format("[%s]", text) : mem_text(text);
    double *x = split_list(list, &n);
    *out = '\0';
    bool split = n > 0 && !strcmp(key->path, "data.split") && megatron_split(out, x, n);
    if (!split && bare && n > 1 && strlen(list) < 80)
        snprintf(out, 120, "; write %s", list);
    free(list);
    free(x);
    return out;
}

static bool wrong(const struct cell *c)
{
    char expected[160], list[120];
    const char *hint = "";
    if (c->key->type == K_REALS && *reals_hint(list, c->key, c->at->text))
        hint = list;
    else if (c->at->quoted && type_of(c->key)->unquoted)
        hint = "; remove the quotes";
    errors_add(c->errors, c->at->where, "%s: %s, not '%.60s'%s", c->key->path,
               type_expected(c->key, expected), c->at->text, hint);
    return false;
}

static bool in_range(const struct cell *c, double x)
{
    if (x >= c->key->min && x <= c->key->max)
        return true;
    const char *unit = c->key->type == K_EVERY || !c->key->unit ? "" : c->key->unit;
    char hint[120] = "";
    if (c->key->type == K_REALS)
        reals_hint(hint, c->key, c->at->text);
    errors_add(c->errors, c->at->where, "%s: %.60s is out of range (%.10g to %.10g%s%s)%s", c->key->path,
               c->at->text, c->key->min, c->key->max, *unit ? " " : "", unit, hint);
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

/* ---- one setter per type ---- */

bool set_int(const struct cell *c)
{
    int64_t x;
    if (c->at->quoted || !number_int(c->at->text, &x))
        return wrong(c);
    if (!in_range(c, (double)x))
        return false;
    *(int64_t *)c->slot = x;
    return true;
}

bool set_real(const struct cell *c)
{
    double x;
    if (c->at->quoted || !number_real(c->at->text, &x))
        return wrong(c);
    if (!in_range(c, x))
        return false;
    *(double *)c->slot = x;
    return true;
}

static bool set_truth(const struct cell *c, bool *yes)
{
    *yes = strcmp(c->at->text, "true") == 0;
    return (!c->at->quoted && (*yes || strcmp(c->at->text, "false") == 0)) || wrong(c);
}

bool set_bool(const struct cell *c)
{
    bool yes, good = set_truth(c, &yes);
    if (good)
        *(bool *)c->slot = yes;
    return good;
}

bool set_maybe(const struct cell *c)
{
    bool yes, good = set_truth(c, &yes);
    if (good)
        *(int *)c->slot = yes;
    return good;
}

bool set_choice(const struct cell *c)
{
    int value = choice_find(c->key->words, c->at->text);
    if (value < 0)
        return wrong(c);
    *(int *)c->slot = value;
    return true;
}

bool set_path(const struct cell *c)
{
    if (choice_find(c->key->words, c->at->text) >= 0)
        return set_owned(c, mem_text(c->at->text));
    return set_owned(c, path_resolve(c->key->path, c->at, c->errors));
}

bool set_reals(const struct cell *c)
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

/* A single path. */
bool set_paths(const struct cell *c)
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

bool set_items(const struct cell *c)
{
    struct data_items *slot = c->slot, items = {1, mem_new(1, sizeof *items.item)};
    items.item->weight = 1;
    if (!item_set_path(items.item, c->key->path, c->at, c->errors)) {
        items_free(&items);
        return false;
    }
    items_free(slot);
    *slot = items;
    return true;
}

bool set_every(const struct cell *c)
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

bool set_duration(const struct cell *c)
{
    double seconds = 0;
    if (choice_find(c->key->words, c->at->text) < 0) {
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
        mem_append(&text, i ? ",%.0f" : "%.0f", x[i]);
    }
    free(x);
    if (good)
        return set_owned(c, text);
    free(text);
    return false;
}

bool set_layers(const struct cell *c)
{
    int64_t n;
    const char *text = c->at->text;
    if (*text == '[')
        return set_layer_list(c);
    if (choice_find(c->key->words, text) >= 0)
        return set_owned(c, mem_text(text));
    if (strncmp(text, "every ", 6) != 0 || !number_int(text + 6, &n) || n < 1 || n > 1024)
        return wrong(c);
    return set_owned(c, mem_text(text));
}

bool set_decimal(const struct cell *c)
{
    struct decimal d;
    if (!decimal_read(&d, c->key->words, c->at->text))
        return wrong(c);
    if (d.word < 0 && !in_range(c, (double)d.millionths / 1e6))
        return false;
    *(struct decimal *)c->slot = d;
    return true;
}
