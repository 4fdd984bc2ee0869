#include "report/chart_inside.h"

#include <math.h>
#include <stdlib.h>
#include "base/mem.h"
#include "report/html.h"

enum { PLOT_HEIGHT = 210, BELOW = 44, PIXELS = CHART_WIDTH - CHART_LEFT - CHART_RIGHT };

struct range {
    double lo, hi;
};

static void widen(struct range *r, double v)
{
    r->lo = fmin(r->lo, v);
    r->hi = fmax(r->hi, v);
}

static bool shown(double x, double y, bool log)
{
    return isfinite(x) && isfinite(y) && (!log || y > 0);
}

/* The ranges of all points that can be shown; *log stays where it is worth it. False if there are none. */
static bool find_ranges(const struct chart *c, struct range *x, struct range *y, bool *log)
{
    int64_t points = 0;
    *x = *y = (struct range){INFINITY, -INFINITY};
    for (int s = 0; s < c->n; s++)
        for (int64_t i = 0; i < c->series[s].n; i++)
            if (shown(c->series[s].x[i], c->series[s].y[i], *log)) {
                widen(x, c->series[s].x[i]);
                widen(y, c->series[s].y[i]);
                points++;
            }
    if (*log && !(points && y->hi > 30 * y->lo)) {
        *log = false;
        return find_ranges(c, x, y, log);
    }
    if (c->y.zero && points)
        widen(y, 0);
    return points > 0;
}

/* ---- few points: each of them ---- */

static void draw_points(FILE *f, const struct series *s, const struct scale *x, const struct scale *y)
{
    bool pen = false;
    fprintf(f, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"1.6\"%s d=\"", chart_colour(s->colour),
            figure_dash(s->colour));
    for (int64_t i = 0; i < s->n; i++) {
        bool good = shown(s->x[i], s->y[i], y->log);
        if (good)
            fprintf(f, "%c%.1f %.1f", pen ? 'L' : 'M', scale_at(x, s->x[i]), scale_at(y, s->y[i]));
        pen = good;
    }
    fprintf(f, "\"/>\n");
    for (int64_t i = 0; i < s->n && (s->dots || s->n <= 40); i++)
        if (shown(s->x[i], s->y[i], y->log))
            fprintf(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\" fill=\"%s\"><title>%.6g</title></circle>\n",
                    scale_at(x, s->x[i]), scale_at(y, s->y[i]), chart_colour(s->colour), s->y[i]);
}

/* ---- many points: what each pixel holds ---- */

struct pixel {
    double lo, hi, sum;
    int64_t n, missing;
};

static void gather(struct pixel pixel[PIXELS], const struct series *s, const struct scale *x, bool log)
{
    for (int i = 0; i < PIXELS; i++)
        pixel[i] = (struct pixel){.lo = INFINITY, .hi = -INFINITY};
    for (int64_t i = 0; i < s->n; i++) {
        if (!isfinite(s->x[i]))
            continue;
        int at = (int)(scale_at(x, s->x[i]) - x->from);
        struct pixel *p = &pixel[at < 0 ? 0 : at < PIXELS ? at : PIXELS - 1];
        if (!shown(s->x[i], s->y[i], log)) {
            p->missing++;
            continue;
        }
        p->lo = fmin(p->lo, s->y[i]);
        p->hi = fmax(p->hi, s->y[i]);
        p->sum += s->y[i];
        p->n++;
    }
}

/* The range as one thin bar a pixel, the mean as a line. A pixel with only missing values breaks the line. */
static void draw_pixels(FILE *f, const struct series *s, const struct scale *x, const struct scale *y)
{
    struct pixel *pixel = mem_new(PIXELS, sizeof *pixel);
    bool pen = false;
    gather(pixel, s, x, y->log);
    fprintf(f, "<path fill=\"none\" stroke=\"%s\" stroke-opacity=\"0.3\" d=\"", chart_colour(s->colour));
    for (int i = 0; i < PIXELS; i++)
        if (pixel[i].n > 1)
            fprintf(f, "M%.1f %.1fV%.1f", x->from + i + 0.5, scale_at(y, pixel[i].lo),
                    scale_at(y, pixel[i].hi));
    fprintf(f, "\"/>\n<path fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\"%s d=\"", chart_colour(s->colour),
            figure_dash(s->colour));
    for (int i = 0; i < PIXELS; i++) {
        if (pixel[i].n > 0)
            fprintf(f, "%c%.1f %.1f", pen ? 'L' : 'M', x->from + i + 0.5,
                    scale_at(y, pixel[i].sum / (double)pixel[i].n));
        pen = pixel[i].n > 0 || (pen && !pixel[i].missing);
    }
    fprintf(f, "\"/>\n");
    free(pixel);
}

/* ---- the chart ---- */

static void draw_marks(FILE *f, const struct chart *c, const struct scale *x, const struct scale *y)
{
    for (int i = 0; i < c->marks; i++) {
        const struct mark *m = &c->mark[i];
        if (!(m->x >= x->lo && m->x <= x->hi))
            continue;
        double at = scale_at(x, m->x);
        fprintf(f, "<g><title>");
        html_say(f, "%s", m->text);
        if (m->bad)
            fprintf(
                f,
                "</title><path d=\"M%.1f %.1fl8 8m0 -8l-8 8\" stroke=\"#a02800\" stroke-width=\"2\"/></g>\n",
                at - 4, y->to + 2);
        else
            fprintf(f, "</title><path d=\"M%.1f %.1fV%.1f\" stroke=\"#777\" stroke-dasharray=\"1 3\"/></g>\n",
                    at, y->from, y->to);
    }
}

static double legend(FILE *f, const struct chart *c, double y)
{
    const char **name = mem_new(c->n, sizeof *name);
    int *colour = mem_new(c->n, sizeof *colour), n = 0;
    for (int i = 0; i < c->n; i++)
        if (c->series[i].n > 0) {
            name[n] = c->series[i].name;
            colour[n++] = c->series[i].colour;
        }
    double height = c->n > 1 ? figure_legend(f, n, name, colour, y) : 0;
    free(name);
    free(colour);
    return height;
}

void chart_lines(FILE *f, const struct chart *c)
{
    struct range rx, ry;
    bool log = c->y.log;
    if (!find_ranges(c, &rx, &ry, &log))
        return;
    double top = legend(NULL, c, 0) + 6, bottom = top + PLOT_HEIGHT;
    struct scale x = scale_of(rx.lo, rx.hi, false, false, CHART_LEFT, CHART_WIDTH - CHART_RIGHT);
    struct scale y = scale_of(ry.lo, ry.hi, log, true, bottom, top);
    figure_begin(f, c->title, c->note, bottom + BELOW, false);
    legend(f, c, 0);
    figure_y_axis(f, &c->y, &x, &y);
    figure_x_axis(f, &c->x, &x, &y);
    draw_marks(f, c, &x, &y);
    for (int i = 0; i < c->n; i++)
        (c->series[i].n > PIXELS && !c->series[i].dots ? draw_pixels : draw_points)(f, &c->series[i], &x, &y);
    figure_end(f);
}
