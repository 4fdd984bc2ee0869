/* One value of a deck: where it lies, setting it, resetting it, and where it came from. */
#include "deck/inside.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/printable.h"

void *value_slot(const struct deck *d, int i)
{
    int n;
    return (char *)(uintptr_t)d + deck_keys(&n)[i].offset;
}

void items_free(struct data_items *items)
{
    for (int i = 0; i < items->n; i++) {
        free(items->item[i].path);
        free(items->item[i].where);
    }
    free(items->item);
    *items = (struct data_items){0};
}

void paths_free(struct paths *paths)
{
    for (int i = 0; i < paths->n; i++)
        free(paths->path[i]);
    free(paths->path);
    *paths = (struct paths){0};
}

void value_reset(struct deck *d, int i)
{
    int n;
    const struct key *key = &deck_keys(&n)[i];
    struct errors errors = {0};
    type_clear(key, value_slot(d, i));
    if (key->fallback)
        value_set(d, i, &(struct scalar){.text = key->fallback, .where = key->path}, &errors);
    if (errors_end(&errors) != OK)
        bug("a default in the table of keys is not valid: %s", status_text());
    value_set_origin(d, i, NULL);
}

void value_set_items(struct deck *d, int i, struct data_items items, const char *where)
{
    struct data_items *slot = value_slot(d, i);
    items_free(slot);
    *slot = items;
    value_set_origin(d, i, where);
}

void value_set_paths(struct deck *d, int i, struct paths paths, const char *where)
{
    struct paths *slot = value_slot(d, i);
    paths_free(slot);
    *slot = paths;
    value_set_origin(d, i, where);
}

void value_set_origin(struct deck *d, int i, const char *where)
{
    char *copy = mem_text(where);
    free(d->origin[i]);
    d->origin[i] = copy;
}

const char *value_origin(const struct deck *d, int i)
{
    return d->origin[i] ? d->origin[i] : "default";
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

void value_set(struct deck *d, int i, const struct scalar *at, struct errors *errors)
{
    int n;
    const struct key *key = &deck_keys(&n)[i];
    struct cell c = {key, value_slot(d, i), at, errors};
    if (!at->quoted && (strcmp(at->text, "~") == 0 || strcmp(at->text, "null") == 0))
        value_reset(d, i);
    else if (!at->quoted && !*at->text)
        errors_add(errors, at->where, "%s: there is no value (~ stands for the default)", key->path);
    else if (type_of(key)->set(&c))
        value_set_origin(d, i, at->where);
}

/* A data path is kept without .bin or .idx. All such suffixes are removed, so that reading it again changes
 * nothing. */
static void drop_suffix(char *path)
{
    for (size_t n = strlen(path); n > 5 && !strchr("/.", path[n - 5]); n -= 4) {
        if (strcmp(path + n - 4, ".bin") != 0 && strcmp(path + n - 4, ".idx") != 0)
            return;
        path[n - 4] = '\0';
    }
}

bool item_set_path(struct data_item *item, const char *name, const struct scalar *at, struct errors *errors)
{
    char *whole = megatron_blend(name, at->text, at->where, errors) ? NULL : path_resolve(name, at, errors);
    if (!whole)
        return false;
    drop_suffix(whole);
    free(item->path);
    free(item->where);
    item->path = whole;
    item->where = mem_text(at->where);
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
