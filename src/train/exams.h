/* Tasks between steps (eval.tasks): what the model answers, in metrics.jsonl and on the console. */
#ifndef TRAIN_EXAMS_H
#define TRAIN_EXAMS_H
#include "train/loop.h"

/** COLLECTIVE: score the model as it is on all tasks, if there are any, and report it. E_STOP. */
status exams_take(struct trainer *) MUST_USE;

#endif
