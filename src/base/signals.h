/* Signals of a training process. While oneDNN before 3.11.2 multiplies, its stack pointer points into the
 * heap (oneDNN issue 4845); a signal handler on such a thread overwrites memory. So no handler may run on a
 * computing thread. signals_open blocks all signals but those of faults in the calling thread, and all later
 * threads inherit that. One thread more, the watcher, receives them. Not collective. */
#ifndef BASE_SIGNALS_H
#define BASE_SIGNALS_H
#include <stdbool.h>
#include "base/status.h"

/** Call it before any other thread exists (MPI_Init and OpenMP make threads). From then on TERM, INT, HUP,
 * QUIT, USR1, USR2 and XCPU ask the run to stop, and the watcher notes the last of them. If HUP was ignored
 * (nohup), it still is. A second INT at least half a second after the first ends the process at once; a
 * second one of another kind hurries the run. Writing to a closed pipe is an error, not a signal. E_RESOURCE:
 * the thread cannot be made. */
status signals_open(void) MUST_USE;
/** The last signal that asked to stop, 0 = none. */
int signals_seen(void);
/** Did a second signal follow, at least half a second after the first? Then work that can be done again is
 * left out. */
bool signals_hurry(void);
/** The name of a signal that asks to stop: "TERM", "USR1", ...; "?" for others. */
const char *signals_name(int signal);
/** E_STOP if a signal asked to stop. Long work that can be given up calls it now and then. */
status signals_check(void) MUST_USE;

#endif
