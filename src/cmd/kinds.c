/* The arrays of a model by kind: "layers 0-29  self_attn.q_proj.weight  BF16  576 x 576". */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "cmd/inspect.h"

enum { NUMBERS = 2 }; /* so many numbers of a name count: the layer and the expert */

struct entry {
    char *pattern; /* the name, with * in the place of these numbers */
    const struct array *array;
    int64_t number[NUMBERS]; /* -1 = none */
};

/* ---- names ---- */

/* Are the n characters at `at` a number? */
static bool is_number(const char *at, size_t n)
{
    size_t i = 0;
    while (i < n && isdigit((unsigned char)at[i]))
        i++;
    return n > 0 && n < 10 && i == n;
}

static struct entry entry_of(const struct array *a)
{
    struct entry e = {.array = a, .number = {-1, -1}};
    int found = 0;
    for (const char *at = a->name;; at++) {
        size_t n = strcspn(at, ".");
        bool number = found < NUMBERS && is_number(at, n);
        if (number)
            e.number[found++] = strtoll(at, NULL, 10);
        mem_append(&e.pattern, "%s%.*s", e.pattern ? "." : "", number ? 1 : (int)n, number ? "*" : at);
        at += n;
        if (!*at)
            return e;
    }
}

static int compare_kinds(const struct entry *a, const struct entry *b)
{
    int order = strcmp(a->pattern, b->pattern);
    if (!order)
        order = strcmp(type_text(a->array), type_text(b->array));
    return order ? order : memcmp(a->array->dim, b->array->dim, sizeof a->array->dim);
}

static int compare(const void *x, const void *y)
{
    const struct entry *a = x, *b = y;
    int order = compare_kinds(a, b);
    for (int i = 0; i < NUMBERS && !order; i++)
        order = (a->number[i] > b->number[i]) - (a->number[i] < b->number[i]);
    return order;
}

/* ---- lines ---- */

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The i-th numbers of n entries as "0-11,13-29". *distinct: how many different ones there are. Caller frees.
 */
static char *ranges(const struct entry *e, int n, int i, int64_t *distinct)
{
    int64_t *x = mem_new(n, sizeof *x), from = 0;
    char *text = NULL;
    *distinct = 0;
    for (int k = 0; k < n; k++)
        x[k] = e[k].number[i];
    qsort(x, (size_t)n, sizeof *x, ascending);
    for (int k = 0; k < n; k++) {
        bool last = k + 1 == n || x[k + 1] > x[k] + 1;
        *distinct += k == 0 || x[k] != x[k - 1];
        if (!last)
            continue;
        mem_append(&text, "%s%lld", text ? "," : "", (long long)x[from]);
        if (x[k] > x[from])
            mem_append(&text, "-%lld", (long long)x[k]);
        from = k + 1;
    }
    free(x);
    return text;
}

/* Print the line of a kind with n entries. The first number has a column of its own, with the word before it.
 */
static void show_kind(const struct entry *e, int n)
{
    char shape[96], *where = mem_text(""), *name = mem_text(e->pattern), *star = strchr(name, '*');
    int64_t layers = 1, experts = 1;
    if (star && star > name && star[1]) {
        char *list = ranges(e, n, 0, &layers);
        star[-1] = '\0';
        const char *dot = strrchr(name, '.');
        free(where);
        where = mem_format("%s %s", dot ? dot + 1 : name, list);
        free(list);
        char *rest = mem_text(star + 2), *second = strchr(rest, '*');
        free(name);
        name = rest;
        if (second) {
            list = ranges(e, n, 1, &experts);
            name = mem_format("%.*s%s%s", (int)(second - rest), rest, list, second + 1);
            free(list);
            free(rest);
        }
    }
    shape_text(shape, e->array);
    if (layers * experts == n)
        log_say("%-16s %-44s %-5s %s", where, name, type_text(e->array), shape);
    else
        log_say("%-16s %-44s %-5s %s (%d arrays)", where, name, type_text(e->array), shape, n);
    free(where);
    free(name);
}

void kinds_show(const struct source *s)
{
    struct entry *e = mem_new(s->n, sizeof *e);
    for (int i = 0; i < s->n; i++)
        e[i] = entry_of(&s->array[i]);
    qsort(e, (size_t)s->n, sizeof *e, compare);
    log_say("%-16s %-44s %-5s %s", "where", "tensor", "type", "shape");
    for (int i = 0, from = 0; i < s->n; i++)
        if (i + 1 == s->n || compare_kinds(&e[i], &e[i + 1]) != 0) {
            show_kind(&e[from], i + 1 - from);
            from = i + 1;
        }
    for (int i = 0; i < s->n; i++)
        free(e[i].pattern);
    free(e);
}
