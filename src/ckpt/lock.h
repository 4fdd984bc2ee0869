/* The lock of a run folder: RUN/run.lock, one job at a time. A thread touches it every 20 seconds (wall time,
 * whatever the rest of the program does). Rank 0 only; not collective.
 *
 * Taking it is atomic, also on NFS. A lock is a private file with a random token that gets its name by
 * link(). A lock T of a dead job is followed, never removed: whoever first makes run.lock.T is its only
 * successor, checks that run.lock still leads to it, and renames run.lock.T to run.lock. */
#ifndef CKPT_LOCK_H
#define CKPT_LOCK_H
#include <stdbool.h>
#include "base/status.h"

struct lock;

/** Take the lock of the folder `dir`, which is there. If its holder may live, wait with a line until it
 *  shows (at most a minute); stop() != 0 ends the waiting. E_DECK: held by a living job, which is named;
 *  E_STOP instead if this job was requeued or follows another one, or if stop() ended the waiting; E_SPACE:
 *  cannot be written. */
status lock_take(struct lock **, const char *dir, int (*stop)(void)) MUST_USE;
/** Who held it and is gone, in words; NULL if nobody did. */
const char *lock_taken_from(const struct lock *);
/** Is it still ours? E_DECK if not: the folder is another job's and must be left alone. `now`: look at the
 * file even if the thread did so within the last beat. NULL is fine: nobody else knows the folder. */
status lock_check(struct lock *, bool now) MUST_USE;
/** Give it back, if it is still ours, and free. NULL is fine. */
void lock_release(struct lock *);

#endif
