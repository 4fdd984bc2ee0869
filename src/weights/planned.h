/* A read plan as a source: its arrays have the names and sizes of the target's tensors, and are computed box
 * by box when they are read. So a plan can be exported like a checkpoint. Local. */
#ifndef WEIGHTS_PLANNED_H
#define WEIGHTS_PLANNED_H
#include "weights/fill.h"

/** Open a plan that was made for `target`; takes ownership of it. */
struct source *source_open_plan(struct fill_plan, const struct model *target);
/** Print, for every term of the map of every tensor, the array and indices that it comes from, and its
 * scales. */
void plan_explain(const struct fill_plan *, const struct model *target);

#endif
