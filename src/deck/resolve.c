/* Values to text: the resolved deck, and its differences from an earlier one. */
#include "deck/inside.h"

#include "base/mem.h"
#include "base/printable.h"
#include <stdlib.h>
#include <string.h>

char *deck_value(const struct deck *d, int i)
{
    int n;
    const struct key *key = &deck_keys(&n)[i];
    const struct cell c = {.key = key, .slot = value_slot(d, i)};
    char *text = NULL;
    if (type_is_unset(key, c.slot))
        return mem_text("~");
    type_of(key)->write(&text, &c);
    return text;
}

/* Append the lines "a:", "  b:" for the sections of `path` that did not hold `previous`. Returns the indent.
 */
static int add_sections(char **text, const char *path, const char *previous)
{
    int level = 0;
    const char *part = path;
    for (const char *dot; (dot = strchr(part, '.')); part = dot + 1, level++)
        if (strncmp(path, previous, (size_t)(dot - path + 1)) != 0)
            mem_append(text, "%*s%.*s:\n", 2 * level, "", (int)(dot - part), part);
    return 2 * level;
}

/* File names in a comment may hold line breaks, which would end it. */
static void add_comment(char **text, const char *comment)
{
    char *copy = mem_text(comment);
    bool clean = text_clean(comment, strlen(comment));
    for (char *c = copy; *c && !clean; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    mem_append(text, "  # %s\n", copy);
    free(copy);
}

char *deck_resolved(const struct deck *d)
{
    int n;
    const struct key *key = deck_keys(&n);
    char *text = NULL;
    const char *previous = "";
    for (int i = 0; i < n; i++) {
        char *value = deck_value(d, i);
        int indent = add_sections(&text, key[i].path, previous);
        mem_append(&text, "%*s%s: %s", indent, "", strrchr(key[i].path, '.') + 1, value);
        add_comment(&text, value_origin(d, i));
        free(value);
        previous = key[i].path;
    }
    return text;
}

char *deck_restart_diff(const struct deck *now, const struct deck *then)
{
    int n;
    const struct key *key = deck_keys(&n);
    char *text = NULL;
    for (int i = 0; i < n; i++) {
        if (key[i].may_change_on_restart)
            continue;
        char *a = deck_value(then, i), *b = deck_value(now, i);
        if (strcmp(a, b) != 0)
            mem_append(&text, "%s%s: was %s, now %s (%s)", text ? "\n" : "", key[i].path, a, b,
                       value_origin(now, i));
        free(a);
        free(b);
    }
    return text;
}
