/* The watchdog is a thread of each rank that looks whether the working thread goes on (base/progress.h).
 *
 * A rank hangs if it writes no note for `limit` seconds. The limit is three times as long until the first
 * step of the leg is done, and never shorter than ten of the longest steps so far, because a device may work
 * through a whole step while its host waits. Then the watchdog calls hang_tell (train/hang.h) and ends the
 * process with E_HANG; the launcher ends the others. Only time in which the watchdog runs counts, so a job
 * that is suspended as a whole does not hang.
 *
 * A rank dies if its process ends without closing the watchdog. The kernel tells the rank before it on its
 * node at once. status.json then says "died". The launcher should end the job; if it does not, this rank does
 * after some seconds (E_COMM). */
#ifndef TRAIN_WATCHDOG_H
#define TRAIN_WATCHDOG_H
#include "comm/comm.h"

struct watchdog;

/** COLLECTIVE: start the watchdog. The calling thread is the one that works. `dir` is the run folder,
 * borrowed; limit is in seconds, 0: never. E_RESOURCE: the thread cannot be made. */
status watchdog_open(struct watchdog **, struct comm *, const char *dir, double limit) MUST_USE;
/** Tell the watchdog how long a step took. Local; the watchdog may be NULL. */
void watchdog_pace(struct watchdog *, double seconds);
/** COLLECTIVE: end the watchdog; from now on ranks may leave. A rank that ends the job by itself does not
 * call it. The watchdog may be NULL. */
void watchdog_close(struct watchdog *, struct comm *);

#endif
