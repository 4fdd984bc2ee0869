/* The frame of charts with axes. Only for this room. */
#ifndef REPORT_CHART_INSIDE_H
#define REPORT_CHART_INSIDE_H
#include "report/chart.h"
#include "report/scale.h"

enum { CHART_WIDTH = 560, CHART_LEFT = 62, CHART_RIGHT = 12 };

/** Open a figure with its caption and its picture of this height; close it. */
void figure_begin(FILE *, const char *title, const char *note, double height, bool wide);
void figure_end(FILE *);
/** Text at a place; anchor: start, middle, end. */
void figure_text(FILE *, double x, double y, const char *anchor, const char *text);
/** Ticks, grid lines and the name of an axis. The plot lies between the ends of both scales. */
void figure_x_axis(FILE *, const struct axis *, const struct scale *x, const struct scale *y);
void figure_y_axis(FILE *, const struct axis *, const struct scale *x, const struct scale *y);
/** Swatches with names from `y` on; returns the height that they take. With out NULL only measures. */
double figure_legend(FILE *, int n, const char *const name[], const int colour[], double y);
/** " stroke-dasharray=..." of line i, or "". */
const char *figure_dash(int i);

#endif
