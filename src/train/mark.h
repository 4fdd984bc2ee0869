/* Changes of the state in RUN/status.json, from any rank and thread; the rest of the file stays. While all is
 * well, rank 0 writes the whole file (train/report.h). A file that cannot be written is left as it is. Not
 * collective. */
#ifndef TRAIN_MARK_H
#define TRAIN_MARK_H
#include <stdbool.h>

/** A leg begins: set the state "starting". */
void mark_begin(const char *dir);
/** The leg has ended: set this state and error. False, and nothing is done, unless the state is "starting" or
 *  "running". */
bool mark_end(const char *dir, const char *state, const char *error);
/** Append a line to RUN/run.log, and an event with the same text to RUN/events.jsonl. */
void mark_event(const char *dir, const char *event, long long step, const char *text);

#endif
