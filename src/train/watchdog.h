/* The watchdog: a thread of each rank, which looks whether the working thread goes on (base/progress.h).
 *
 * Hang: no note for `limit` seconds. Until the first step of the leg is done three times as long, and never
 * shorter than ten of the longest steps so far, since a device may work through a whole step while its host
 * waits. Then hang_tell (train/hang.h), and the process ends with E_HANG; the launcher ends the others. Only
 * time in which the watchdog itself runs counts: a job that is suspended as a whole has not hung.
 *
 * Death: the kernel tells at once when the next rank of this node has gone without a word. status.json says
 * "died"; launchers then end the job, and if they do not, this rank does after some seconds (E_COMM). */
#ifndef TRAIN_WATCHDOG_H
#define TRAIN_WATCHDOG_H
#include "comm/comm.h"

struct watchdog;

/** COLLECTIVE. `dir`: the run folder, borrowed; limit in seconds, 0: nothing is a hang. The calling thread is
 *  the one that works. E_RESOURCE: no thread. */
status watchdog_open(struct watchdog **, struct comm *, const char *dir, double limit) MUST_USE;
/** A step took so long. Local; NULL is fine. */
void watchdog_pace(struct watchdog *, double seconds);
/** COLLECTIVE: from now on ranks may leave. Not called where a rank ends the job by itself. NULL is fine. */
void watchdog_close(struct watchdog *, struct comm *);

#endif
