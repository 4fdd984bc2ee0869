/* Threads that work through the pieces 0 .. n-1 of something, in order, beside the caller. A piece may begin
 * when it was offered; after a failure no further one begins. Not collective. */
#ifndef BASE_CREW_H
#define BASE_CREW_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

struct crew;
/** Does piece i; fails with fail(), whose text is kept. It runs on several threads at once. */
typedef status crew_work(void *with, int64_t i);

/** `threads` are started; where the system refuses one, whoever waits does the work. No piece is offered
 *  yet. */
struct crew *crew_start(int threads, int64_t n, crew_work *, void *with);
/** The pieces below `ready` may begin. */
void crew_offer(struct crew *, int64_t ready);
/** Wait until piece i, which was offered, is done (or nothing more will be). */
void crew_wait(struct crew *, int64_t i);
/** Is there a thread at work, or a piece that was offered and not begun? */
bool crew_busy(struct crew *);
/** No further piece begins. */
void crew_stop(struct crew *);
/** Wait for all that was offered, working along, and free. The first failure by the order of pieces. NULL is
 *  fine. */
status crew_end(struct crew *);
/** All n pieces by so many threads, the caller's among them. */
status crew_do(int threads, int64_t n, crew_work *, void *with);

#endif
