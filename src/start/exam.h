/* From the deck's eval section to questions as tokens. Local: reads files. */
#ifndef START_EXAM_H
#define START_EXAM_H
#include "deck/deck.h"
#include "eval/exam.h"
#include "model/config.h"

/** The tasks of eval.tasks, none if it names none; sequences are as long as those of the data. Call
 * exam_close in any case. E_DECK, E_DATA: "eval.tasks: FILE: ...". */
status start_exam(struct exam *, const struct deck *, const struct config *target) MUST_USE;

#endif
