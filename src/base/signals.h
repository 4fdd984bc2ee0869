/* Signals of a training process. oneDNN before 3.11.2 keeps its stack pointer in the heap while it multiplies
 * (oneDNN issue 4845): a signal handler that runs on a computing thread then writes over memory. So no
 * handler runs there, ours or anybody's. All signals but those of faults are blocked in the thread that calls
 * signals_open, and every later thread inherits that; one thread of its own, the watcher, takes them. Not
 * collective. */
#ifndef BASE_SIGNALS_H
#define BASE_SIGNALS_H
#include "base/status.h"

/** Call it before any other thread is made (MPI_Init, OpenMP). From then on TERM, INT, HUP, QUIT, USR1, USR2
 *  and XCPU ask the run to stop; the watcher notes the last one. A HUP that was ignored (nohup) stays so. A
 *  second INT, at least half a second after the first, ends the process at once. Writing to a closed pipe is
 *  an error, not a signal. E_RESOURCE: no thread. */
status signals_open(void) MUST_USE;
/** The last signal that asked to stop, 0 = none. */
int signals_seen(void);
/** "TERM", "USR1" ... of those above; "?" for others. */
const char *signals_name(int signal);
/** E_STOP if a signal asked to stop: for work that can be given up, between two pieces of it. */
status signals_check(void) MUST_USE;

#endif
