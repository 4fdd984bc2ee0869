#include "report/chart_inside.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "report/html.h"

enum { NAMES = 150, TEXTS = 185, ROW = 22, THICK = 13, BELOW = 44 };

static void draw_bar(FILE *f, double x, double y, double width, double height, int colour)
{
    fprintf(f, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", x, y,
            fmax(width, 0.5), height, chart_colour(colour));
}

static double most_of(const struct bars *b)
{
    double most = 0;
    for (int i = 0; i < b->n; i++) {
        most = isfinite(b->bar[i].value) ? fmax(most, b->bar[i].value) : most;
        most = isfinite(b->bar[i].other) ? fmax(most, b->bar[i].other) : most;
    }
    return most;
}

/* What was expected is a bar; what came is a thinner one in it. */
static void draw_row(FILE *f, const struct bar *b, const struct scale *x, double y)
{
    const double both[] = {b->other, b->value};
    char *name = mem_format("%.22s%s", b->name, strlen(b->name) > 22 ? "..." : "");
    double end = x->from;
    figure_text(f, x->from - 7, y + THICK - 2, "end", name);
    for (int i = 0; i < 2; i++)
        if (isfinite(both[i])) {
            double inset = i && isfinite(b->other) ? 3.5 : 0;
            draw_bar(f, x->from, y + inset, scale_at(x, both[i]) - x->from, THICK - 2 * inset,
                     isfinite(b->other) && !i ? 5 : 0);
            end = fmax(end, scale_at(x, both[i]));
        }
    if (b->text)
        figure_text(f, end + 6, y + THICK - 2, "start", b->text);
    free(name);
}

void chart_bars(FILE *f, const struct bars *b)
{
    static const int colour[] = {5, 0};
    const char *const names[] = {b->other, b->value};
    double most = most_of(b), legend = b->other ? figure_legend(NULL, 2, names, colour, 0) : 0;
    double top = legend + 4, bottom = top + ROW * b->n;
    struct axis axis = {b->axis, b->unit, b->prefix, false, true};
    struct scale x = scale_of(0, most, false, false, NAMES, CHART_WIDTH - TEXTS);
    struct scale y = {0, 1, false, bottom, top};
    if (b->n == 0 || most <= 0)
        return;
    figure_begin(f, b->title, b->note, bottom + BELOW, false);
    if (b->other)
        figure_legend(f, 2, names, colour, 0);
    for (int i = 0; i < b->n; i++)
        draw_row(f, &b->bar[i], &x, top + ROW * i + 4);
    figure_x_axis(f, &axis, &x, &y);
    figure_end(f);
}

/* ---- stacks ---- */

static double row_sum(const struct stack *s, int row)
{
    double sum = 0;
    for (int p = 0; p < s->parts; p++)
        sum += fmax(s->value[row * s->parts + p], 0);
    return sum;
}

static void draw_stack(FILE *f, const struct stack *s, int row, const struct scale *x, double y)
{
    double sum = 0, all = row_sum(s, row);
    char *name = mem_format("%.22s%s", s->row[row], strlen(s->row[row]) > 22 ? "..." : "");
    figure_text(f, x->from - 7, y + 15, "end", name);
    for (int p = 0; p < s->parts; p++) {
        double value = fmax(s->value[row * s->parts + p], 0), from = scale_at(x, sum);
        sum += value;
        fprintf(f, "<g><title>");
        html_say(f, "%s: %.4g %s, %.1f %%", s->part[p], value, s->unit, 100 * value / all);
        fprintf(f, "</title>");
        draw_bar(f, from, y, scale_at(x, sum) - from, 20, p);
        fprintf(f, "</g>\n");
    }
    free(name);
}

void chart_stacks(FILE *f, const struct stack *s)
{
    double most = 0;
    int *colour = mem_new(s->parts, sizeof *colour);
    for (int i = 0; i < s->rows; i++)
        most = fmax(most, row_sum(s, i));
    for (int i = 0; i < s->parts; i++)
        colour[i] = i;
    double legend = figure_legend(NULL, s->parts, s->part, colour, 0), top = legend + 4;
    struct axis axis = {"of a step", s->unit, false, false, true};
    struct scale x = scale_of(0, most, false, false, NAMES, CHART_WIDTH - CHART_RIGHT);
    struct scale y = {0, 1, false, top + 28 * s->rows, top};
    if (most > 0) {
        figure_begin(f, s->title, s->note, y.from + BELOW, false);
        figure_legend(f, s->parts, s->part, colour, 0);
        for (int i = 0; i < s->rows; i++)
            draw_stack(f, s, i, &x, top + 28 * i + 3);
        figure_x_axis(f, &axis, &x, &y);
        figure_end(f);
    }
    free(colour);
}
