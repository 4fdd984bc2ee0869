#include "weights/planned.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

struct planned {
    struct source source;
    struct fill_plan plan;
};

static status planned_read(struct source *s, int array, slab box, float *out, int64_t *bytes_read)
{
    const struct fill_plan *p = &((const struct planned *)s)->plan;
    struct map part = map_restrict(&p->map[array], box);
    status code = map_run(&part, p->source, box.n, out, bytes_read);
    map_free(&part);
    return code;
}

static void planned_close(struct source *s)
{
    plan_free(&((struct planned *)s)->plan);
}

struct source *source_open_plan(struct fill_plan plan, const struct model *target)
{
    static const struct source_ops ops = {.read = planned_read, .close = planned_close};
    struct planned *p = mem_new(1, sizeof *p);
    *p = (struct planned){.source = {.ops = &ops, .n = target->n_tensors}, .plan = plan};
    p->source.array = mem_new(target->n_tensors, sizeof *p->source.array);
    for (int i = 0; i < target->n_tensors; i++) {
        struct array *a = &p->source.array[i];
        snprintf(a->name, sizeof a->name, "%s", target->tensor[i].name);
        memcpy(a->dim, target->tensor[i].dim, sizeof a->dim);
        a->element_bytes = sizeof(float);
    }
    return &p->source;
}

/* ---- in words ---- */

enum { RUNS_SHOWN = 4 };

/* How many picks from i on count up in dst and src with one scale. */
static int64_t run_length(const struct axis *a, int64_t i)
{
    struct pick first = axis_at(a, i);
    int64_t n = 1;
    for (; i + n < a->n; n++) {
        struct pick p = axis_at(a, i + n);
        if (p.dst != first.dst + n || p.src != first.src + n || p.scale != first.scale)
            break;
    }
    return n;
}

static char *joined(char *text, char *more)
{
    char *both = mem_format("%s%s", text, more);
    free(text);
    free(more);
    return both;
}

/* An axis in words: "0-575 < 0-575, 576-1151 < 0-575 (x 0.5)"; NULL if it is copied whole. Caller frees. */
static char *axis_words(const struct axis *a, int64_t target, int64_t source)
{
    int runs = 0;
    if (!a->at && a->lo == 0 && a->from == 0 && a->n == target && a->n == source)
        return NULL;
    char *text = mem_text("");
    for (int64_t i = 0, n; i < a->n; i += n, runs++) {
        struct pick p = axis_at(a, i);
        n = run_length(a, i);
        if (runs >= RUNS_SHOWN)
            continue;
        text = joined(text, mem_format("%s%" PRId64, runs ? ", " : "", p.dst));
        if (n > 1)
            text = joined(text, mem_format("-%" PRId64, p.dst + n - 1));
        text = joined(text, mem_format(" < %" PRId64, p.src));
        if (n > 1)
            text = joined(text, mem_format("-%" PRId64, p.src + n - 1));
        if (p.scale != 1)
            text = joined(text, mem_format(" (x %.9g)", p.scale));
    }
    return runs > RUNS_SHOWN ? joined(text, mem_format(", ... %d runs", runs)) : text;
}

static void explain_term(const struct term *t, const struct array *from, const int64_t dim[3])
{
    static const char *const axis_name[] = {"part", "row", "column"}, *const does[] = {"=", "+", "over it"};
    log_say("  %s %s%s", does[t->does], from->element_bytes ? "" : "generated ", from->name);
    for (int a = 0; a < 3; a++) {
        char *words = axis_words(&t->axis[a], dim[a], from->dim[a]);
        if (words)
            log_say("      %-6s %s", axis_name[a], words);
        free(words);
    }
}

void plan_explain(const struct fill_plan *p, const struct model *target)
{
    for (int i = 0; i < target->n_tensors; i++) {
        const struct tensor *t = &target->tensor[i];
        log_say("%s [%" PRId64 ", %" PRId64 ", %" PRId64 "]", t->name, t->dim[0], t->dim[1], t->dim[2]);
        for (int k = 0; k < p->map[i].n; k++) {
            const struct term *term = &p->map[i].term[k];
            explain_term(term, &p->source[term->source]->array[term->array], t->dim);
        }
    }
}
