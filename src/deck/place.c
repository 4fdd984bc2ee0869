/* The position in the decks of a mistake that a later check found, and which mistakes follow from earlier
 * ones. */
#include "deck/inside.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

/* ---- keys and paths in messages ---- */

static bool word_goes_on(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Where a text names the key `path`; NULL if it does not. With `below`, a key below it counts too. */
static const char *named(const char *text, const char *path, bool below)
{
    size_t n = strlen(path);
    for (const char *at = strstr(text, path); at; at = strstr(at + n, path)) {
        bool begins = at == text || (!word_goes_on(at[-1]) && at[-1] != '.' && at[-1] != '/');
        bool deeper = at[n] == '.' && isalnum((unsigned char)at[n + 1]);
        if (begins && !word_goes_on(at[n]) && (below || !deeper))
            return at;
    }
    return NULL;
}

const char *deck_where(const struct deck *d, const char *message)
{
    int n;
    const struct key *key = deck_keys(&n);
    const char *first = NULL, *where = NULL;
    for (int i = 0; i < n; i++) {
        const char *at = d->origin[i] ? named(message, key[i].path, false) : NULL;
        if (at && (!first || at < first)) {
            first = at;
            where = value_origin(d, i);
        }
    }
    return where;
}

/* The length of the path if the message names it, or a file whose name begins with it; else 0. */
static size_t names_path(const char *message, const char *path)
{
    size_t n = path ? strlen(path) : 0;
    const char *at = n > 1 ? strstr(message, path) : NULL;
    return at && !word_goes_on(at[n]) ? n : 0;
}

/* The same for all paths of key i: the longest that is named. *which: its number. */
static size_t names_value(const struct deck *d, const struct key *key, int i, const char *message, int *which)
{
    const char *path;
    size_t best = 0;
    for (int k = 0; type_of(key)->path && (path = type_of(key)->path(value_slot(d, i), k)); k++) {
        size_t n = names_path(message, path);
        if (n > best) {
            best = n;
            *which = k;
        }
    }
    return best;
}

/* The key that was given and whose path the message names; -1 if there is none. *which: the number of the
 * path. */
static int key_of_path(const struct deck *d, const char *message, int *which)
{
    int n, found = -1, k = 0;
    const struct key *key = deck_keys(&n);
    size_t best = 0;
    for (int i = 0; i < n; i++) {
        size_t length = d->origin[i] ? names_value(d, &key[i], i, message, &k) : 0;
        if (length > best) {
            best = length;
            *which = k;
            found = i;
        }
    }
    return found;
}

/* ---- positions in front of messages ---- */

/* Does the message begin with this position? NULL is none. */
static bool begins_with(const char *message, const char *where)
{
    size_t length = where ? strlen(where) : 0;
    return length && !strncmp(message, where, length) && message[length] == ':';
}

/* Does it begin with the position of some value or data set? */
static bool is_placed(const struct deck *d, const char *message)
{
    int n;
    const struct key *key = deck_keys(&n);
    bool placed = begins_with(message, d->file);
    for (int i = 0; i < n && !placed; i++) {
        const struct data_items *items = value_slot(d, i);
        placed = begins_with(message, d->origin[i]);
        for (int k = 0; key[i].type == K_ITEMS && k < items->n && !placed; k++)
            placed = begins_with(message, items->item[k].where);
    }
    return placed;
}

/* The message with position and name of key i, or of its k-th data set, in front. Caller frees. */
static char *behind_key(const struct deck *d, int i, int k, const char *message)
{
    int n;
    const struct key *key = &deck_keys(&n)[i];
    const struct data_items *items = value_slot(d, i);
    if (key->type != K_ITEMS || !items->item[k].where)
        return mem_format("%s: %s: %s", value_origin(d, i), key->path, message);
    return mem_format("%s: %s.%d.path: %s", items->item[k].where, key->path, k, message);
}

/* The message with a position in front, as deck_place says. Caller frees. */
static char *placed(const struct deck *d, const char *message, const char *otherwise)
{
    int which = 0;
    const char *where = deck_where(d, message);
    if (is_placed(d, message))
        return mem_text(message);
    if (!where && otherwise)
        where = deck_origin(d, otherwise);
    if (where)
        return mem_format("%s: %s", !strcmp(where, "default") && d->file ? d->file : where, message);
    int key = key_of_path(d, message, &which);
    return key < 0 ? mem_text(message) : behind_key(d, key, which, message);
}

status deck_place(const struct deck *d, status code, const char *otherwise)
{
    struct errors lines = {0};
    if (code == OK)
        return OK;
    char *text = mem_text(status_text());
    for (const char *at = text; *at;) {
        size_t n = strcspn(at, "\n");
        char *line = mem_format("%.*s", (int)n, at),
             *whole = placed(d, line, code == E_DECK ? otherwise : NULL);
        errors_say(&lines, code, "%s", whole);
        free(whole);
        free(line);
        at += n + (at[n] == '\n');
    }
    free(text);
    return errors_end(&lines);
}

/* ---- mistakes that follow from others ---- */

/* Does the message name, behind its position, a section that holds this key? */
static bool about_section(const char *message, const char *path)
{
    bool about = false;
    for (const char *dot = strchr(path, '.'); dot && !about; dot = strchr(dot + 1, '.')) {
        char *section = mem_format(": %.*s: ", (int)(dot - path), path);
        about = strstr(message, section) != NULL;
        free(section);
    }
    return about;
}

bool deck_names_key(const char *message)
{
    int n;
    const struct key *key = deck_keys(&n);
    for (int i = 0; i < n; i++)
        if (named(message, key[i].path, true) || about_section(message, key[i].path))
            return true;
    return strstr(message, ": unknown key") != NULL;
}

bool deck_follows(const char *message, const char *from)
{
    int n;
    const struct key *key = deck_keys(&n);
    for (int i = 0; i < n; i++)
        if (named(message, key[i].path, true) &&
            (named(from, key[i].path, true) || about_section(from, key[i].path)))
            return true;
    return false;
}
