#include "cmd/options.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

/* One row per option: where its value goes. */
static const struct {
    const char *name;
    enum { FLAG, TEXT, LIST } type;
    size_t at;
} table[] = {
    /* clang-format off */
    {"json", FLAG, offsetof(struct options, json)},
    {"quiet", FLAG, offsetof(struct options, quiet)},
    {"fresh", FLAG, offsetof(struct options, fresh)},
    {"curve", FLAG, offsetof(struct options, curve)},
    {"explain", FLAG, offsetof(struct options, explain)},
    {"out", TEXT, offsetof(struct options, out)},
    {"expect", TEXT, offsetof(struct options, expect)},
    {"dtype", TEXT, offsetof(struct options, dtype)},
    {"diff", TEXT, offsetof(struct options, diff)},
    {"format", TEXT, offsetof(struct options, format)},
    {"branch", TEXT, offsetof(struct options, branch)},
    {"set", LIST, offsetof(struct options, set)},
    /* clang-format on */
};

/* Is `name` one of the words of `list`? */
static bool listed(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = list; (at = strstr(at, name)); at += n)
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
            return true;
    return false;
}

static int find(const char *name, size_t n, const char *allowed)
{
    for (int i = 0; i < (int)(sizeof table / sizeof *table); i++)
        if (strlen(table[i].name) == n && !strncmp(table[i].name, name, n) &&
            (!strcmp(table[i].name, "quiet") || listed(allowed, table[i].name)))
            return i;
    return -1;
}

static status take(struct options *o, int row, char *value, const char *argument)
{
    char *base = (char *)o + table[row].at;
    bool flag = table[row].type == FLAG;
    if (flag != (value == NULL))
        return fail(E_DECK, "%s: %s", argument, flag ? "takes no value" : "needs a value");
    if (flag)
        *(bool *)base = true;
    else if (table[row].type == TEXT)
        *(char **)base = value;
    else
        o->set[o->n_set++] = value;
    return OK;
}

status options_parse(struct options *o, int argc, char **argv, const char *allowed)
{
    *o = (struct options){0};
    o->files = mem_new(argc, sizeof *o->files);
    o->set = mem_new(argc, sizeof *o->set);
    for (int i = 2; i < argc; i++) {
        if (strncmp(argv[i], "--", 2)) {
            o->files[o->n_files++] = argv[i];
            continue;
        }
        char *name = argv[i] + 2, *equals = strchr(name, '=');
        size_t n = equals ? (size_t)(equals - name) : strlen(name);
        int row = find(name, n, allowed);
        if (row < 0)
            return fail(E_DECK, "coppice %s: unknown option %s (it takes: %s%squiet)", argv[1], argv[i],
                        allowed, *allowed ? " " : "");
        char *value = equals ? equals + 1 : NULL;
        if (!value && table[row].type != FLAG && i + 1 < argc)
            value = argv[++i];
        TRY(take(o, row, value, argv[i]));
    }
    return OK;
}

void options_free(struct options *o)
{
    free(o->files);
    free(o->set);
}
