/* The text of tokens that come one at a time, in whole characters: a character may take several tokens. Not
 * collective. */
#ifndef TEXT_GROWING_H
#define TEXT_GROWING_H
#include "text/tokenizer.h"

struct growing {
    struct encoder *encoder; /* borrowed */
    struct ids ids;
    int64_t begin, told; /* the text of ids [begin, told) was given out */
    struct bytes text;   /* owned; see growing_add */
};

/** Begin behind these tokens, whose text counts as given out. */
void growing_open(struct growing *, struct encoder *, const int32_t *ids, int64_t n);
void growing_close(struct growing *);
/** g->text becomes what this token completes, often nothing: valid UTF-8; bytes that are no character are
 * U+FFFD, as Hugging Face's decoders have them. Special tokens have no text. E_DATA: no token has this id. */
status growing_add(struct growing *g, int32_t id) MUST_USE;
/** g->text becomes what is left, in the same form. */
status growing_end(struct growing *g) MUST_USE;

#endif
