/* The run folder: its lock, the file `stop`, and files that people and scripts read. Only rank 0 touches
 * files. Local; the caller agrees. */
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

/** Every rank: set the name. Nothing is touched. folder_close frees it. */
struct folder folder_at(const char *dir);
/** Rank 0: make the folder RUN, take its lock (with the errors of lock_take), and make RUN/ckpt. With `fresh`
 * everything else in RUN is moved to a new folder RUN.<time>. From then on messages go to RUN/run.log too. */
status folder_open(struct folder *, bool fresh) MUST_USE;
/** Every rank: release the lock if this rank holds it. */
void folder_close(struct folder *);
/** Rank 0: E_DECK if another job has taken the folder; then run.log is not written any more either. The
 * functions below that write call it first. Cheap. */
status folder_check(const struct folder *) MUST_USE;
/** Does RUN/stop exist? folder_obeyed removes it. */
bool folder_stop_asked(const struct folder *);
void folder_obeyed(const struct folder *);
/** Append a JSON line to RUN/NAME. A new file begins with the line `schema`. Takes the reference. */
status folder_append(const struct folder *, const char *name, json_t *line, const char *schema) MUST_USE;
/** Write RUN/NAME as a temporary file that is renamed. Takes the reference. */
status folder_write_json(const struct folder *, const char *name, json_t *value) MUST_USE;
/** A number in the JSON object of RUN/NAME; NAN if there is no such file, member or number. */
double folder_recorded(const struct folder *, const char *name, const char *member);
status folder_write_text(const struct folder *, const char *name, const char *text) MUST_USE;
/** A number for JSON; null if it is not finite. */
json_t *folder_number(double);

#endif
