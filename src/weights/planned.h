/* A read plan as a source: arrays with the names and sizes of the target's tensors, computed from what the
 * plan reads when they are read, box by box. Export takes it as it takes a checkpoint. Local. */
#ifndef WEIGHTS_PLANNED_H
#define WEIGHTS_PLANNED_H
#include "weights/fill.h"

/** Takes the plan, which was made for `target`. */
struct source *source_open_plan(struct fill_plan, const struct model *target);
/** Say of every tensor, a line per term of its map, which array and indices it comes from and its scales. */
void plan_explain(const struct fill_plan *, const struct model *target);

#endif
