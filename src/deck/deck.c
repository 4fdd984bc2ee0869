/* Making and freeing a deck, and where its values came from. */
#include "deck/inside.h"

#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

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
        type_clear(&key[i], value_slot(d, i));
        free(d->origin[i]);
    }
    free(d->origin);
    free(d->name);
    free(d->file);
    *d = (struct deck){0};
}
