/* The tasks that a model is scored with, ready to be asked any number of times. Not collective. */
#ifndef EVAL_EXAM_H
#define EVAL_EXAM_H
#include "eval/score.h"

struct exam {
    struct task *task;         /* [n] */
    struct requests *requests; /* [n] */
    int n;
    int64_t longest; /* tokens that the net is fed of the longest request */
};
struct exam_ask {
    char *const *path; /* [n] files of tasks */
    int n;
    int64_t shots, limit; /* see task_read */
    int64_t most;         /* tokens of a sequence */
};

/** Read the tasks and encode their questions. Call exam_close also if it fails. E_DATA, E_DECK. */
status exam_open(struct exam *, const struct exam_ask *, const struct tokenizer *) MUST_USE;
void exam_close(struct exam *);
/** Places of a cache of about 256 MiB with room for the longest request, at least 8, for score's `places`; 0
 *  if no task has choices. */
int64_t exam_places(const struct exam *, int64_t bytes_a_token);

#endif
