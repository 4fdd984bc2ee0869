/* The loads of experts over a run, in a fixed number of bins however long it is. Not collective. */
#ifndef REPORT_LOADS_H
#define REPORT_LOADS_H
#include "report/history.h"

/** A line of experts.jsonl, for jsonl_read; context: the struct history. */
void loads_take(void *history, json_t *line, const char *where);
void loads_free(struct loads *);
/** The load of an expert in a bin over the mean of its layer; NAN if the layer got nothing. */
double loads_ratio(const struct loads *, int64_t bin, int64_t layer, int64_t expert);
/** The ratio of the busiest expert. */
double loads_busiest(const struct loads *, int64_t bin, int64_t layer);

#endif
