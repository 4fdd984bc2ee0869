/* Notes of what this rank is doing. The working thread writes them, and a watchdog reads them from another
 * thread (train/watchdog.h). A note costs a few nanoseconds. Only the thread that called progress_begin
 * writes notes; calls of other threads do nothing. Texts are borrowed and must stay. Not collective. */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H
#include <stdbool.h>
#include <stdint.h>

struct progress {
    int64_t beats;     /* number of notes so far; while it stands still, so does the rank */
    int64_t all, some; /* collectives begun: among all ranks; among some ranks since the last of these */
    int64_t step;      /* the step in progress; 0 before the first */
    const char *task;  /* "start", "training", "validation", "save" */
    const char *part;  /* part of the task: "forward", "backward", ... */
    int layer;         /* layer of the model; -1: none */
    const char *op;    /* the last op of the device or call on a file */
    const char *collective, *over; /* the last collective and its group: "exchange" over "ep" */
    bool inside;                   /* that collective has not ended */
};

/** Make the calling thread the one that writes notes. */
void progress_begin(void);
/** Note that a task begins, in this step. */
void progress_task(const char *task, int64_t step);
/** Note that a part of the task begins, in this layer (-1: none). */
void progress_part(const char *part, int layer);
/** Note that an op or a call on a file begins. */
void progress_op(const char *op);
/** Note that a collective begins among the ranks of a group (NULL: all ranks), and that it ends. */
void progress_enter(const char *collective, const char *over);
void progress_leave(void);
/** The notes as they are now; for any thread. Some members may be of the note before. */
struct progress progress_look(void);
/** "step 17, training, forward, layer 3, last op gemm, in exchange 47.11 over ep"; returns out. */
char *progress_text(const struct progress *, char out[256]);

#endif
