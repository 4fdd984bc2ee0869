/* The tokens of a vocabulary: text to id and id to text. Not collective. */
#ifndef TEXT_VOCAB_H
#define TEXT_VOCAB_H
#include <stdbool.h>
#include <stdint.h>
#include "text/buffer.h"

struct vocab {
    struct token {
        int64_t at;          /* in text */
        int32_t n;           /* bytes; -1: no token has this id */
        bool special, added; /* added: not of the model, so that no word is it */
    } * token;
    int64_t size, room; /* largest id + 1 */
    struct bytes text;
    int32_t *slot; /* [slots] ids by hash, -1 = empty */
    int64_t slots, used;
};

/** false: the id or the text is there already, or an id from 2^22 on. */
bool vocab_add(struct vocab *, const char *text, int64_t n, int64_t id);
/** -1: there is no such token. */
int32_t vocab_find(const struct vocab *, const char *text, int64_t n);
/** Text of a token, NULL if there is none of this id. */
const char *vocab_text(const struct vocab *, int64_t id, int64_t *n);
void vocab_free(struct vocab *);

#endif
