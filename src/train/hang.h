/* What is said when a job hangs. Every rank that still can tells where it stands: on stderr, and in
 * RUN/hang/rank_N.json, because MPI cannot be used any more. The lowest rank that told its place then judges:
 * it names those that said nothing, or whose progress lags, in status.json ("hung"), events.jsonl, run.log
 * and on stderr. Not collective. */
#ifndef TRAIN_HANG_H
#define TRAIN_HANG_H
#include <stdint.h>
#include "base/progress.h"

enum { CREW_TOKEN = 33 };

/* The ranks of the job, as they told each other at the start. */
struct crew {
    const char *dir;        /* the run folder, borrowed */
    char token[CREW_TOKEN]; /* of this leg: files of older ones do not count */
    int rank, size, next;   /* next: the rank on this node whose process this rank looks at; -1: none */
    struct mate {
        char host[64];
        int64_t pid, space; /* space: the namespace that pid is a number of; 0: unknown */
    } * mate;               /* [size] */
};

/** "rank 3 (process 4711 on n1)"; returns out. */
char *crew_text(const struct crew *, int rank, char out[128]);
/** The kernel's letter for the state of `next`: 'R', 'S', 'T' (stopped), 'Z' ...; '?': unknown. */
char crew_next_state(const struct crew *);
/** This rank has stood still for so many seconds: tell, wait up to `grace` seconds for the others to tell,
 * and judge if this is the lowest rank that did. The caller ends the process. */
void hang_tell(const struct crew *, const struct progress *, double still, double grace);

#endif
