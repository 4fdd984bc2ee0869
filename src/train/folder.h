/* The run folder: lock, the file `stop`, files that people and scripts read. Rank 0 alone touches files
 * (local functions, the caller agrees). */
#ifndef TRAIN_FOLDER_H
#define TRAIN_FOLDER_H
#include <stdbool.h>
#include <stdint.h>
#include "base/json.h"
#include "base/status.h"
#include "ckpt/lock.h"

struct folder {
    char *dir;
    struct lock *lock; /* rank 0's, NULL = not held */
};

/** Every rank: a name, nothing is touched. folder_close frees it. */
struct folder folder_at(const char *dir);
/** Rank 0: make RUN, take its lock (errors of lock_take), then make RUN/ckpt; with `fresh` everything in RUN
 * is moved to a new folder RUN.<time> while the lock stays. From then on what is said goes to RUN/run.log
 * too. */
status folder_open(struct folder *, bool fresh) MUST_USE;
/** Every rank: give the lock back if this rank holds it. */
void folder_close(struct folder *);
/** Rank 0: is the folder still this job's? E_DECK if another one took it; then run.log is left alone too. All
 * that write below ask it first. Cheap. */
status folder_check(const struct folder *) MUST_USE;
/** Is there RUN/stop? It is removed when the run obeys (folder_obeyed). */
bool folder_stop_asked(const struct folder *);
void folder_obeyed(const struct folder *);
/** Append one JSON line to RUN/NAME; the first line of a new file is `schema`. Takes both references. */
status folder_append(const struct folder *, const char *name, json_t *line, const char *schema) MUST_USE;
/** Write RUN/NAME whole, through a temporary name. Takes the reference. */
status folder_write_json(const struct folder *, const char *name, json_t *value) MUST_USE;
/** A number of RUN/NAME, a JSON object; NAN if there is no such file, member or number. */
double folder_recorded(const struct folder *, const char *name, const char *member);
status folder_write_text(const struct folder *, const char *name, const char *text) MUST_USE;
/** A number for JSON: null if it is not finite. */
json_t *folder_number(double);

#endif
