/* The sections of the page. Each writes nothing if the runs tell nothing about it. Only for this room. */
#ifndef REPORT_SECTIONS_H
#define REPORT_SECTIONS_H
#include <stdio.h>
#include "report/chart.h"
#include "report/page.h"

void section_overview(FILE *, const struct page *);
void section_losses(FILE *, const struct page *);
void section_scores(FILE *, const struct page *);
void section_updates(FILE *, const struct page *);
void section_experts(FILE *, const struct page *);
void section_speed(FILE *, const struct page *);
void section_plan(FILE *, const struct page *);
void section_memory(FILE *, const struct page *);
void section_checkpoints(FILE *, const struct page *);
void section_legs(FILE *, const struct page *);
void section_settings(FILE *, const struct page *);
void section_certificate(FILE *, const struct page *);
void section_complaints(FILE *, const struct page *);

/* A column of all runs as a chart. */
struct curve {
    const char *title, *note;
    enum column column;
    struct axis y;
    double factor; /* 0: 1 */
    bool by_layer; /* a sum over MoE layers, shown as their mean */
    bool root;     /* the square root is shown */
};
/** Over tokens, or with `flops` over the model FLOPs of the run. */
void curve_draw(FILE *, const struct page *, const struct curve *, bool flops);
/** Series of other numbers over tokens; marks as for columns. */
void curve_lines(FILE *, const struct page *, struct chart *);
/** The runs that have experts, borrowed: the caller frees only `run`. */
struct page page_experts(const struct page *);
/** The middle of n numbers that are finite; NAN if there are none. */
double median_of(const double *x, int64_t n);

#endif
