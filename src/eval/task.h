/* Tasks to score a model with: files of questions, as texts. A task is a JSON-lines or CSV file whose fields
 * say what it is, or a description (.json) that names such a file and says how its fields become a prompt:
 *     {"kind": "choice", "data": "arc.jsonl", "prompt": "{query}\nAnswer:", "delimiter": " ",
 *      "choices": "choices", "gold": "gold", "shots": "dev.jsonl", "description": ""}
 * {field} stands for the field as it is, {trim field} for it without white space at its ends, {subject} for
 * the file's name in words. kind: choice (which of several continuations is likeliest), last_word (is the
 * continuation the likeliest text), text (how likely are whole texts). Prompts are those of
 * lm-evaluation-harness. Not collective. */
#ifndef EVAL_TASK_H
#define EVAL_TASK_H
#include <stdint.h>
#include "base/status.h"

enum task_kind { TASK_CHOICE, TASK_LAST_WORD, TASK_TEXT, TASK_KINDS };

/* One question: which continuation of `context`? For TASK_TEXT the only choice is the text. */
struct question {
    char *context;    /* with description and examples */
    char **choice;    /* [n] as they follow the context, delimiter included */
    int64_t *letters; /* [n] characters of each choice without the delimiter: acc_norm divides by them */
    int n, gold;
};

struct task {
    char *name;
    enum task_kind kind;
    struct question *item; /* [n] */
    int64_t n;
};

/** Read at most `limit` items (0: all). shots: so many examples with answers stand before each question; they
 *  come from the description's "shots" file, for .../test/X_test.csv from .../dev/X_dev.csv, else from the
 *  head of the file itself, whose first items are then not scored. E_DATA: "FILE:LINE: ...", E_DECK. */
status task_read(struct task *, const char *path, int64_t shots, int64_t limit) MUST_USE;
void task_free(struct task *);

#endif
