/* Who holds the lock of a run folder, as the JSON object that stands in it, and whether that process lives.
 *   {"token", "host", "boot", "pidns", "pid", "started", "cluster", "job", "restart", "flock", "since"}
 * boot (the kernel's boot id) and pidns (the namespace of process numbers) say when pid and started can be
 * looked up here. Members may be missing: older locks, other systems. Not collective. */
#ifndef CKPT_OWNER_H
#define CKPT_OWNER_H
#include <stdbool.h>
#include "base/json.h"

enum { TOKEN = 33 }; /* 32 hexadecimal digits and the end */

/** A name that nobody else takes. */
void owner_token(char out[TOKEN]);
/** This process; `flocked`: it holds the kernel's lock on the file too. The caller's reference. */
json_t *owner_self(const char *token, bool flocked);
/** "job 77, process 4711 on n1.a"; "an unreadable lock" for NULL. Caller frees. */
char *owner_about(const json_t *);
/** Its token; NULL if it has none that can stand in a file name. Borrowed. */
const char *owner_token_of(const json_t *);

enum verdict { GONE, LIVES, UNKNOWN };
/** What can be known at once. `file` is an open descriptor of the lock. UNKNOWN: only its heartbeat tells. */
enum verdict owner_verdict(const json_t *owner, const json_t *self, int file);
/** Was this job requeued, or does it follow another one? Then it must not end for good. */
bool owner_comes_again(void);

#endif
