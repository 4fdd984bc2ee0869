/* What follows a step whose loss or gradient is not finite, or spikes: guard.policy. Such a step has changed
 * nothing: the device itself decided so (dev_clip). It is computed once more, which tells the tensor at
 * fault, and whether the fault comes again: if not, some hardware erred, and the step is simply done again.
 */
#ifndef TRAIN_GUARD_H
#define TRAIN_GUARD_H
#include "device/dev.h"
#include "base/status.h"

struct trainer;
struct report;
struct ckpt_state;

/* Means over the last good steps of this leg, and how many bad ones came in a row. */
struct guard {
    double loss, norm;
    int64_t good, bad, since; /* since: bad ones count until this step is good */
};

/** What a step with so many counted targets may reach: known from the good steps before it, on all ranks
 *  alike. */
struct clip guard_limits(const struct trainer *, int64_t counted);
/** The last step that was read was good. */
void guard_good(struct trainer *, int64_t step);
/** COLLECTIVE: the last step that was read was bad; t->state is the one before it, `after` the one if it had
 *  been good. OK: t->state says where to go on. E_NAN: stopped, and the state before the step is saved. */
status guard_bad(struct trainer *, struct report *, const struct ckpt_state *after) MUST_USE;
/** COLLECTIVE: compare the replicas of weights if it is due. A difference ends the run unsaved (E_NAN), or,
 *  with the policy rewind, takes it back to its last checkpoint. */
status guard_replicas(struct trainer *, struct report *) MUST_USE;

#endif
