/* The state in RUN/status.json, changed by whoever sees how the run goes on, from any rank and thread: the
 * rest of the file stays. Rank 0 writes the whole file while all is well (train/report.h). Not collective;
 * what cannot be written is left. */
#ifndef TRAIN_MARK_H
#define TRAIN_MARK_H
#include <stdbool.h>

/** A leg begins: the state is "starting". */
void mark_begin(const char *dir);
/** The leg has ended so: only where the state is still "starting" or "running". False: it was not. */
bool mark_end(const char *dir, const char *state, const char *error);
/** A line for people behind RUN/run.log, and an event with its text for RUN/events.jsonl. */
void mark_event(const char *dir, const char *event, long long step, const char *text);

#endif
