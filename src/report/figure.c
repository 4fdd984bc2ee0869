#include "report/chart_inside.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "report/html.h"

enum { COLOURS = 8 };

/* Okabe and Ito (2008), with a grey instead of the yellow, which is too pale on white. */
const char *chart_colour(int i)
{
    static const char *const colour[COLOURS] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                "#e69f00", "#56b4e9", "#1a1a1a", "#8c8c8c"};
    return colour[i % COLOURS];
}

const char *figure_dash(int i)
{
    static const char *const dash[] = {"", " stroke-dasharray=\"6 3\"", " stroke-dasharray=\"2 2\""};
    return dash[i / COLOURS % 3];
}

void figure_begin(FILE *f, const char *title, const char *note, double height, bool wide)
{
    fprintf(f, "<figure%s><figcaption>", wide ? " class=\"wide\"" : "");
    html_say(f, "%s", title);
    if (note) {
        fprintf(f, " <span>");
        html_say(f, "%s", note);
        fprintf(f, "</span>");
    }
    fprintf(f, "</figcaption>\n<svg viewBox=\"0 0 %d %.0f\"%s role=\"img\" aria-label=\"", CHART_WIDTH,
            height, wide ? " style=\"max-width:560px\"" : "");
    html_say(f, "%s", title);
    fprintf(f, "\" xmlns=\"http://www.w3.org/2000/svg\">\n");
}

void figure_end(FILE *f)
{
    fprintf(f, "</svg></figure>\n");
}

void figure_text(FILE *f, double x, double y, const char *anchor, const char *text)
{
    fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    html_say(f, "%s", text);
    fprintf(f, "</text>\n");
}

/* "speed (k tokens/s)". Caller frees. */
static char *axis_name(const struct axis *a, const char *prefix)
{
    const char *unit = a->unit ? a->unit : "";
    bool word = *prefix && strchr(unit, '/'); /* "k tokens/s", but "kB" and "PFLOP" */
    if (!*prefix && !*unit)
        return mem_text(a->name);
    return mem_format("%s (%s%s%s)", a->name, prefix, word ? " " : "", unit);
}

/* The labels' unit, and the smallest distance of two ticks in it. */
static double label_unit(const struct axis *a, const struct scale *s, const double *tick, int n,
                         const char **prefix, double *step)
{
    double unit = 1;
    *prefix = a->prefix ? scale_prefix(fmax(fabs(s->lo), fabs(s->hi)), &unit) : "";
    *step = n > 1 ? fabs(tick[1] - tick[0]) / unit : fabs(tick[0]) / unit;
    return unit;
}

/* A label of a logarithmic scale has the digits of its own number. */
static void label_of(char out[32], const struct scale *s, double value, double step)
{
    if (s->log)
        snprintf(out, 32, "%.3g", value);
    else
        scale_label(out, value, step);
}

void figure_x_axis(FILE *f, const struct axis *a, const struct scale *x, const struct scale *y)
{
    double tick[SCALE_TICKS], step;
    const char *prefix;
    char label[32];
    int n = scale_ticks(x, (int)((x->to - x->from) / 75), tick); /* labels have room */
    double unit = label_unit(a, x, tick, n, &prefix, &step);
    char *name = axis_name(a, prefix);
    for (int i = 0; i < n; i++) {
        double at = scale_at(x, tick[i]);
        fprintf(f, "<path d=\"M%.1f %.1fv5\" stroke=\"#1a1a1a\"/>\n", at, y->from);
        label_of(label, x, tick[i] / unit, step);
        figure_text(f, at, y->from + 18, "middle", label);
    }
    fprintf(f, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"#1a1a1a\"/>\n", x->from, y->from, x->to);
    figure_text(f, (x->from + x->to) / 2, y->from + 35, "middle", name);
    free(name);
}

void figure_y_axis(FILE *f, const struct axis *a, const struct scale *x, const struct scale *y)
{
    double tick[SCALE_TICKS], step;
    const char *prefix;
    char label[32];
    int n = scale_ticks(y, 5, tick);
    double unit = label_unit(a, y, tick, n, &prefix, &step), middle = (y->from + y->to) / 2;
    char *name = axis_name(a, prefix);
    for (int i = 0; i < n; i++) {
        double at = scale_at(y, tick[i]);
        fprintf(f, "<path d=\"M%.1f %.1fH%.1f\" stroke=\"#e3e3e3\"/>\n", x->from, at, x->to);
        label_of(label, y, tick[i] / unit, step);
        figure_text(f, x->from - 7, at + 4, "end", label);
    }
    fprintf(f, "<text x=\"14\" y=\"%.1f\" text-anchor=\"middle\" transform=\"rotate(-90 14 %.1f)\">", middle,
            middle);
    html_say(f, "%s", name);
    fprintf(f, "</text>\n");
    free(name);
}

double figure_legend(FILE *f, int n, const char *const name[], const int colour[], double y)
{
    enum { LINE = 17, SWATCH = 24, LONGEST = 40 };
    double x = CHART_LEFT, row = 0;
    for (int i = 0; i < n; i++) {
        char *text = mem_format("%.*s%s", LONGEST, name[i], strlen(name[i]) > LONGEST ? "..." : "");
        double width = SWATCH + 6.4 * (double)strlen(text) + 14;
        if (x > CHART_LEFT && x + width > CHART_WIDTH) {
            x = CHART_LEFT;
            row++;
        }
        if (f) {
            fprintf(f, "<path d=\"M%.1f %.1fh18\" stroke=\"%s\" stroke-width=\"4\"%s/>\n", x,
                    y + LINE * row + 8, chart_colour(colour[i]), figure_dash(colour[i]));
            figure_text(f, x + SWATCH, y + LINE * row + 12, "start", text);
        }
        x += width;
        free(text);
    }
    return n ? LINE * (row + 1) + 4 : 0;
}
