#include "report/settings.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

enum { DEPTH = 8, INDENT = 2 };

/* The sections that the current line stands in. */
struct sections {
    char *name[DEPTH];
};

static void set_section(struct sections *s, int level, const char *name, size_t n)
{
    free(s->name[level]);
    s->name[level] = mem_format("%.*s", (int)n, name);
}

static char *key_of(const struct sections *s, int level, const char *name, size_t n)
{
    char *key = NULL;
    for (int i = 0; i < level; i++)
        mem_append(&key, "%s.", s->name[i] ? s->name[i] : "?");
    mem_append(&key, "%.*s", (int)n, name);
    return key;
}

/* The comment begins at the last "  # ", because a text before it may hold one. */
static const char *comment_of(const char *value, const char *end)
{
    const char *found = end;
    for (const char *c = value; c + 4 <= end; c++)
        if (!memcmp(c, "  # ", 4))
            found = c;
    return found;
}

static void add(struct settings *s, char *key, const char *value, const char *end)
{
    const char *comment = comment_of(value, end), *origin = comment < end ? comment + 4 : end;
    s->setting = mem_grow(s->setting, s->n + 1, sizeof *s->setting);
    s->setting[s->n++] = (struct setting){key, mem_format("%.*s", (int)(comment - value), value),
                                          mem_format("%.*s", (int)(end - origin), origin)};
}

static void take_line(struct settings *s, struct sections *in, const char *line, const char *end)
{
    size_t indent = strspn(line, " "), level = indent / INDENT;
    const char *name = line + indent, *colon = memchr(name, ':', (size_t)(end - name));
    if (!colon || level >= DEPTH || *name == '#' || *name == '-')
        return;
    size_t n = (size_t)(colon - name);
    if (colon + 1 == end)
        set_section(in, (int)level, name, n);
    else if (colon[1] == ' ')
        add(s, key_of(in, (int)level, name, n), colon + 2, end);
}

void settings_parse(struct settings *s, const char *text)
{
    struct sections in = {0};
    *s = (struct settings){0};
    for (const char *end; *text; text = *end ? end + 1 : end) {
        end = text + strcspn(text, "\n");
        if (strspn(text, " ") < (size_t)(end - text))
            take_line(s, &in, text, end);
    }
    for (int i = 0; i < DEPTH; i++)
        free(in.name[i]);
}

void settings_free(struct settings *s)
{
    for (int i = 0; i < s->n; i++) {
        free(s->setting[i].key);
        free(s->setting[i].value);
        free(s->setting[i].origin);
    }
    free(s->setting);
    *s = (struct settings){0};
}

const char *settings_value(const struct settings *s, const char *key)
{
    for (int i = 0; i < s->n; i++)
        if (!strcmp(s->setting[i].key, key))
            return s->setting[i].value;
    return NULL;
}
