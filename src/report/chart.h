/* Charts as inline SVG: lines over a number, bars, heat maps. The colours are those of Okabe and Ito, which
 * colour-blind readers tell apart. Values that are not finite leave a gap. Not collective. */
#ifndef REPORT_CHART_H
#define REPORT_CHART_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/** The colour of run or part i: they repeat after eight, and lines are dashed from then on. */
const char *chart_colour(int i);

struct axis {
    const char *name, *unit; /* "tokens", NULL; "speed", "tokens/s" */
    bool prefix;             /* show k, M, G, ... with the unit */
    bool log;                /* logarithmic where values above 0 span a factor of 30 */
    bool zero;               /* begins at 0 */
};

struct series {
    const char *name;
    int64_t n;
    const double *x, *y; /* [n] */
    int colour;
    bool dots; /* few values, each of which counts */
};

/* Something that happened at a place of x. */
struct mark {
    double x;
    const char *text; /* stands there when the reader points at it */
    bool bad;         /* a cross; else a dotted line */
};

struct chart {
    const char *title, *note; /* note: NULL or what must be said */
    struct axis x, y;
    int n, marks;
    const struct series *series;
    const struct mark *mark;
};

/** A figure with lines; nothing if no series has a finite point. Of more points than pixels it shows the mean
 * and the range of each pixel. */
void chart_lines(FILE *, const struct chart *);

/* Bars side by side: what was expected, and what came. */
struct bar {
    char *name;          /* borrowed */
    double value, other; /* other: NAN = none */
    const char *text;    /* behind the bar; borrowed */
};
struct bars {
    const char *title, *note, *axis, *unit;
    const char *value, *other; /* names of both in the legend; NULL: no legend */
    bool prefix;
    int n;
    const struct bar *bar;
};
void chart_bars(FILE *, const struct bars *);

/* A row of stacked parts for each run. */
struct stack {
    const char *title, *note, *unit;
    int rows, parts;
    const char *const *row, *const *part; /* names */
    const double *value;                  /* [rows][parts] */
};
void chart_stacks(FILE *, const struct stack *);

/* Cells in rows over a number. */
struct heat {
    const char *title, *note;
    int64_t rows, columns;
    const char *const *name; /* [rows]; NULL: no text there */
    const bool *gap;         /* [rows]: room above this row; may be NULL */
    const double *value;     /* [rows][columns] ratios; 1 is neutral */
    const double *x;         /* [columns + 1] borders of the columns */
    double height;           /* of a row, in pixels */
    struct axis axis;
};
void chart_heat(FILE *, const struct heat *);
/** The scale of colours of all heat maps. */
void chart_heat_scale(FILE *);

#endif
