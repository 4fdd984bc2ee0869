/* Checkpoints of a run: begun at the end of a step, written beside the next ones or while all wait
 * (checkpoint.async), then read back, and only then older ones go. COLLECTIVE but for saving_busy. A
 * checkpoint that cannot be written does not end the run: the next one may succeed, and only if the last one
 * fails is the run not saved (report.unsaved). */
#ifndef TRAIN_SAVING_H
#define TRAIN_SAVING_H
#include "train/report.h"

/** Are saves to be written beside the steps, if copies fit into memory? Pure. */
bool saving_beside(const struct checkpoint_section *);
/** Make t->saver. E_RESOURCE: checkpoint.async: true, and there is no memory for it. */
status saving_open(struct trainer *) MUST_USE;
/** Local: does a save in flight still need time? */
bool saving_busy(const struct trainer *);
/** Some rank is `busy` or none: go on with what is in flight if it needs no waiting. E_NAN, E_DECK. */
status saving_go_on(struct trainer *, struct report *, bool busy) MUST_USE;
/** Save the state after this step. What is in flight is waited for first. */
status saving_begin(struct trainer *, struct report *) MUST_USE;
/** Wait until all that was begun is committed; and read back, unless the run must end soon. */
status saving_end(struct trainer *, struct report *, bool soon) MUST_USE;
/** After anything: what was begun is still committed, if it can be. */
void saving_close(struct trainer *, struct report *);

#endif
