/* The tokens of a vocabulary: text to id and id to text. Not collective. */
#ifndef TEXT_VOCAB_H
#define TEXT_VOCAB_H
#include <stdbool.h>
#include <stdint.h>
#include "text/buffer.h"

struct vocab {
    struct token {
        int64_t at;          /* where its text begins in `text` */
        int32_t n;           /* bytes; -1: no token has this id */
        bool special, added; /* added: not a token of the model, so no word becomes it */
    } * token;
    int64_t size, room; /* largest id + 1 */
    struct bytes text;
    int32_t *slot; /* [slots] ids by hash; -1 = free */
    int64_t slots, used;
};

/** Add a token. False if its id or text is already there, or the id is 2^22 or more. */
bool vocab_add(struct vocab *, const char *text, int64_t n, int64_t id);
/** The id of a text; -1 if there is no such token. */
int32_t vocab_find(const struct vocab *, const char *text, int64_t n);
/** The text of a token; NULL if no token has this id. */
const char *vocab_text(const struct vocab *, int64_t id, int64_t *n);
void vocab_free(struct vocab *);

#endif
