#include "report/chart_inside.h"

#include <math.h>
#include <stdlib.h>
#include "base/mem.h"

/* Ratios from a quarter to four, in quarters of a doubling: blue below 1, white at 1, orange above. */
enum { LEVELS = 17, NEUTRAL = 8, PER_DOUBLING = 4, BELOW = 44, GAP = 10, LEFT = 84 };
static const char *const shade[LEVELS] = {"#08306b", "#08519c", "#2171b5", "#4292c6", "#6baed6", "#9ecae1",
                                          "#c6dbef", "#e1ecf7", "#f7f7f7", "#fee6ce", "#fdd0a2", "#fdae6b",
                                          "#fd8d3c", "#f16913", "#d94801", "#a63603", "#7f2704"};

static int level_of(double ratio)
{
    double at = NEUTRAL + PER_DOUBLING * log2(ratio > 0 ? ratio : 1e-9);
    return at < 0 ? 0 : at > LEVELS - 1 ? LEVELS - 1 : (int)lround(at);
}

/* One path holds all cells of a level; neighbours in a row are one rectangle. */
static void draw_level(FILE *f, const struct heat *h, const struct scale *x, const double *top, int level)
{
    fprintf(f, "<path fill=\"%s\" d=\"", shade[level]);
    for (int64_t r = 0; r < h->rows; r++)
        for (int64_t c = 0, end; c < h->columns; c = end) {
            const double *row = h->value + r * h->columns;
            bool here = isfinite(row[c]) && level_of(row[c]) == level;
            for (end = c + 1; end < h->columns; end++)
                if ((isfinite(row[end]) && level_of(row[end]) == level) != here)
                    break;
            if (here)
                fprintf(f, "M%.1f %.1fH%.1fv%.1fH%.1fz", scale_at(x, h->x[c]), top[r], scale_at(x, h->x[end]),
                        h->height, scale_at(x, h->x[c]));
        }
    fprintf(f, "\"/>\n");
}

static double place_rows(const struct heat *h, double *top)
{
    double at = 4;
    for (int64_t r = 0; r < h->rows; r++) {
        at += h->gap && h->gap[r] && r > 0 ? GAP : 0;
        top[r] = at;
        at += h->height;
    }
    return at;
}

void chart_heat(FILE *f, const struct heat *h)
{
    if (h->rows == 0 || h->columns == 0)
        return;
    double *top = mem_new(h->rows, sizeof *top), bottom = place_rows(h, top);
    struct scale x = scale_of(h->x[0], h->x[h->columns], false, false, LEFT, CHART_WIDTH - CHART_RIGHT);
    struct scale y = {0, 1, false, bottom + 2, 4};
    figure_begin(f, h->title, h->note, bottom + BELOW, false);
    for (int level = 0; level < LEVELS; level++)
        draw_level(f, h, &x, top, level);
    for (int64_t r = 0; r < h->rows; r++)
        if (h->name[r])
            figure_text(f, LEFT - 7, top[r] + fmax(h->height / 2, 4) + 4, "end", h->name[r]);
    figure_x_axis(f, &h->axis, &x, &y);
    figure_end(f);
    free(top);
}

void chart_heat_scale(FILE *f)
{
    enum { BOX = 20 };
    static const char *const label[] = {"1/4", "1/2", "1", "2", "4"};
    figure_begin(f, "Scale of colours", "load of an expert over the mean of its layer; white: balanced", 40,
                 true);
    for (int i = 0; i < LEVELS; i++)
        fprintf(f,
                "<rect x=\"%d\" y=\"2\" width=\"%d\" height=\"14\" fill=\"%s\" stroke=\"#bbb\" "
                "stroke-width=\"0.5\"/>\n",
                10 + BOX * i, BOX, shade[i]);
    for (int i = 0; i < LEVELS; i += PER_DOUBLING)
        figure_text(f, 10 + BOX * (i + 0.5), 31, "middle", label[i / PER_DOUBLING]);
    figure_end(f);
}
