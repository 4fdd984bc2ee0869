/* Reporting a job that hangs. MPI cannot be used any more, so every rank that still can reports what it is
 * doing on stderr and in RUN/hang/rank_N.json. Then the lowest rank that reported gives the verdict: it names
 * the ranks that are silent, or behind the others, in status.json ("hung"), events.jsonl, run.log and on
 * stderr. Not collective. */
#ifndef TRAIN_HANG_H
#define TRAIN_HANG_H
#include <stdint.h>
#include "base/progress.h"

enum { CREW_TOKEN = 33 };

/* What the ranks of the job told each other at the start. */
struct crew {
    const char *dir;        /* the run folder, borrowed */
    char token[CREW_TOKEN]; /* names this leg, so that files of older legs do not count */
    int rank, size, next;   /* next: the rank on this node whose process this rank watches; -1: none */
    struct mate {
        char host[64];
        int64_t pid, space; /* space: the namespace of pid; 0: unknown */
    } * mate;               /* [size] */
};

/** "rank 3 (process 4711 on n1)"; returns out. */
char *crew_text(const struct crew *, int rank, char out[128]);
/** The state of the process of `next` as the kernel's letter: 'R', 'S', 'T' (stopped), 'Z' ...; '?': unknown.
 */
char crew_next_state(const struct crew *);
/** This rank has stood still for `still` seconds: report, wait up to `grace` seconds for the others' reports,
 * and give the verdict if this is the lowest rank that reported. The caller then ends the process. */
void hang_tell(const struct crew *, const struct progress *, double still, double grace);

#endif
