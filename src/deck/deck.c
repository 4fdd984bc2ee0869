/* A deck begins with its defaults, knows where each value came from, and ends. */
#include "deck/inside.h"

#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

void *value_slot(const struct deck *d, int i)
{
    int n;
    return (char *)(uintptr_t)d + deck_keys(&n)[i].offset;
}

void items_free(struct data_items *items)
{
    for (int i = 0; i < items->n; i++)
        free(items->item[i].path);
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

/* Free what a value owns and make it the "unset" of its type. */
static void value_clear(const struct key *key, void *slot)
{
    switch (key->type) {
    case K_INT: *(int64_t *)slot = -1; break;
    case K_REAL: *(double *)slot = -1; break;
    case K_MAYBE: *(int *)slot = -1; break;
    case K_ITEMS: items_free(slot); break;
    case K_PATHS:
    case K_NAMES: paths_free(slot); break;
    case K_REALS:
        free(((struct reals *)slot)->x);
        *(struct reals *)slot = (struct reals){0};
        break;
    case K_CHOICE:
    case K_PATH:
    case K_LAYERS:
    case K_DECIMAL:
        free(*(char **)slot);
        *(char **)slot = NULL;
        break;
    case K_BOOL:
    case K_EVERY:
    case K_DURATION: break; /* these always have a default */
    }
}

void value_reset(struct deck *d, int i)
{
    int n;
    const struct key *key = &deck_keys(&n)[i];
    struct errors errors = {0};
    value_clear(key, value_slot(d, i));
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

const char *deck_origin(const struct deck *d, const char *path)
{
    int i = key_find(path);
    if (i < 0)
        bug("no key '%s' in the deck", path);
    return value_origin(d, i);
}

void deck_init(struct deck *d)
{
    int n;
    deck_keys(&n);
    *d = (struct deck){.origin = mem_new(n, sizeof *d->origin)};
    for (int i = 0; i < n; i++)
        value_reset(d, i);
}

void deck_free(struct deck *d)
{
    int n;
    const struct key *key = deck_keys(&n);
    for (int i = 0; d->origin && i < n; i++) {
        value_clear(&key[i], value_slot(d, i));
        free(d->origin[i]);
    }
    free(d->origin);
    free(d->name);
    free(d->file);
    *d = (struct deck){0};
}
