/* Where this rank stands in its work: notes that the working thread leaves behind it, and that a watchdog
 * reads from another thread (train/watchdog.h). A note costs a few nanoseconds. Only the thread that called
 * progress_begin leaves notes; all others' calls do nothing. Texts are borrowed and must stay. Not
 * collective. */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H
#include <stdbool.h>
#include <stdint.h>

struct progress {
    int64_t beats;     /* notes so far: while this stands still, so does the rank */
    int64_t all, some; /* collectives begun: of all ranks; of some ranks since then. Equal at equal places */
    int64_t step;      /* in progress; 0 before the first one */
    const char *task;  /* "start", "training", "validation", "save" */
    const char *part;  /* of it: "forward", "backward", ... */
    int layer;         /* of the model, -1: none */
    const char *op;    /* last op of the device or call on a file */
    const char *collective, *over; /* the last one: "exchange" over "ep" */
    bool inside;                   /* it has not ended */
};

/** The calling thread is the one that works. */
void progress_begin(void);
/** Another task, for this step. */
void progress_task(const char *task, int64_t step);
/** Another part of the task, in this layer (-1: none). */
void progress_part(const char *part, int layer);
/** An op or a call on a file begins. */
void progress_op(const char *op);
/** A collective begins, among the ranks of a group (NULL: all ranks), and ends. */
void progress_enter(const char *collective, const char *over);
void progress_leave(void);
/** From any thread: the notes as they are now. Members may be of two moments that follow each other. */
struct progress progress_look(void);
/** "step 17, training, forward, layer 3, last op gemm, in exchange 47.11 over ep"; returns out. */
char *progress_text(const struct progress *, char out[256]);

#endif
