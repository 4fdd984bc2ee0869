/* The run folder: lock, stop requests, files that people and scripts read. Rank 0 alone touches files
 * (local functions, the caller agrees); signals are caught on every rank. */
#ifndef TRAIN_FOLDER_H
#define TRAIN_FOLDER_H
#include <stdbool.h>
#include <stdint.h>
#include "base/json.h"
#include "base/status.h"

struct folder {
    char *dir;
    int lock;    /* open descriptor of run.lock, -1 = not held */
    double beat; /* when the lock was last touched */
};

/** Every rank: a name, nothing is touched. folder_close frees it. */
struct folder folder_at(const char *dir);
/** Rank 0: make RUN and RUN/ckpt; with `fresh` an old RUN is moved to RUN.<time> first. Takes run.lock:
 *  E_DECK naming the other job if it is alive; a stale one is taken over with a line. From then on what
 *  is said goes to RUN/run.log too. */
status folder_open(struct folder *, bool fresh) MUST_USE;
/** Every rank: remove the lock if this rank holds it. */
void folder_close(struct folder *);
/** Touch the lock now and then. */
void folder_heartbeat(struct folder *);
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

/** Catch TERM, USR1 and INT from now on: only a flag is set; a second INT ends at once. */
void signals_open(void);
/** The last signal seen, 0 = none. */
int signals_seen(void);

#endif
