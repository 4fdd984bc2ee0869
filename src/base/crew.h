/* Threads that work through pieces 0 .. n-1 in order, beside the caller. A piece may begin when it was
 * offered. After a failure no further piece begins. Not collective. */
#ifndef BASE_CREW_H
#define BASE_CREW_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

struct crew;
/** Does piece i. It runs on several threads at once. A failure's message is kept. */
typedef status crew_work(void *with, int64_t i);

/** Start `threads` threads, without an offer yet. If the system refuses them, the caller does the work while
 * it waits. */
struct crew *crew_start(int threads, int64_t n, crew_work *, void *with);
/** Offer the pieces below `ready`. */
void crew_offer(struct crew *, int64_t ready);
/** Wait until piece i, which was offered, is done, or will never be done because of a failure. */
void crew_wait(struct crew *, int64_t i);
/** Is there a thread at work, or a piece that was offered and not begun? */
bool crew_busy(struct crew *);
/** Let no further piece begin. */
void crew_stop(struct crew *);
/** Do and wait for all pieces that were offered, and free the crew, which may be NULL. Returns the failure of
 * the lowest piece. */
status crew_end(struct crew *);
/** Do all n pieces by so many threads, of which the caller's is one. */
status crew_do(int threads, int64_t n, crew_work *, void *with);

#endif
