/* Tasks that were scored between the steps (eval.tasks): a chart and a row for each measure of each task. */
#include "report/sections.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "report/html.h"

enum { MEASURES = 24 }; /* that are shown */

struct measure {
    const char *task, *name; /* borrowed from the lines */
};

/* Is it a figure of the task, and not about it? */
static bool is_measure(const char *key, const json_t *value)
{
    static const char *const about[] = {"step", "tokens", "items"};
    for (size_t i = 0; i < sizeof about / sizeof *about; i++)
        if (!strcmp(key, about[i]))
            return false;
    return json_is_number(value) && !strstr(key, "_stderr");
}

static int add_measure(struct measure all[MEASURES], int n, const char *task, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(all[i].task, task) && !strcmp(all[i].name, name))
            return n;
    if (n < MEASURES)
        all[n++] = (struct measure){task, name};
    return n;
}

/* The measures of all runs, in the order in which they come; returns how many. */
static int find_measures(struct measure all[MEASURES], const struct page *p)
{
    int n = 0;
    for (int r = 0; r < p->n; r++)
        for (size_t i = 0; i < json_array_size(p->run[r].scores); i++) {
            json_t *line = json_array_get(p->run[r].scores, i), *value;
            const char *key;
            json_object_foreach(line, key, value) {
                if (is_measure(key, value))
                    n = add_measure(all, n, json_word(line, "task"), key);
            }
        }
    return n;
}

/* The figures of a run: x and y [2 * lines], owned by the caller. */
static struct series figures_of(const struct history *h, const struct measure *m)
{
    size_t lines = json_array_size(h->scores);
    double *x = mem_new(2 * (int64_t)lines, sizeof *x), *y = x + lines;
    struct series s = {.name = h->name, .x = x, .y = y, .colour = h->colour, .dots = true};
    for (size_t i = 0; i < lines; i++) {
        const json_t *line = json_array_get(h->scores, i);
        if (strcmp(json_word(line, "task"), m->task) != 0)
            continue;
        x[s.n] = json_number(line, "tokens");
        y[s.n++] = json_number(line, m->name);
    }
    return s;
}

static void draw(FILE *f, const struct page *p, const struct measure *m)
{
    struct series *series = mem_new(p->n, sizeof *series);
    char *title = mem_format("%s, %s", m->task, m->name);
    for (int r = 0; r < p->n; r++)
        series[r] = figures_of(&p->run[r], m);
    chart_lines(f, &(struct chart){.title = title,
                                   .x = {"tokens", NULL, true, false, false},
                                   .y = {m->name, NULL, false, false, false},
                                   .n = p->n,
                                   .series = series});
    for (int r = 0; r < p->n; r++)
        free((void *)(uintptr_t)series[r].x);
    free(series);
    free(title);
}

/* "0.2800 ± 0.0500" */
static char *figure_text_of(const json_t *line, const struct measure *m)
{
    char *key = mem_format("%s_stderr", m->name);
    double error = json_number(line, key);
    char *text = isfinite(error) ? mem_format("%.4f \xc2\xb1 %.4f", json_number(line, m->name), error)
                                 : mem_format("%.4f", json_number(line, m->name));
    free(key);
    return text;
}

static void add_row(FILE *f, const char *heads, const struct history *h, const struct measure *m)
{
    const json_t *first = NULL, *last = NULL;
    for (size_t i = 0; i < json_array_size(h->scores); i++) {
        const json_t *line = json_array_get(h->scores, i);
        if (!strcmp(json_word(line, "task"), m->task) && json_is_number(json_object_get(line, m->name))) {
            first = first ? first : line;
            last = line;
        }
    }
    if (!first)
        return;
    char *text = figure_text_of(last, m);
    html_row(f, heads, "%s\t%s\t%s\t%.0f\t%.4f\t%s\t%.0f", h->name, m->task, m->name,
             json_number(last, "items"), json_number(first, m->name), text, json_number(last, "tokens"));
    free(text);
}

void section_scores(FILE *f, const struct page *p)
{
    static const char heads[] = "run|task|measure|#items|#first|#last|#at tokens";
    struct measure all[MEASURES];
    int n = find_measures(all, p);
    if (!n)
        return;
    fprintf(f, "<div class=\"charts\">\n");
    for (int i = 0; i < n; i++)
        draw(f, p, &all[i]);
    fprintf(f, "</div>\n");
    html_table(f, NULL, heads);
    for (int i = 0; i < n; i++)
        for (int r = 0; r < p->n; r++)
            add_row(f, heads, &p->run[r], &all[i]);
    html_table_end(f);
}
