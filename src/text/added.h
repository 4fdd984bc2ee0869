/* Added tokens: words that are cut out of the text before everything else. Of those that match at the
 * leftmost place the longest wins. Not collective. */
#ifndef TEXT_ADDED_H
#define TEXT_ADDED_H
#include <stdbool.h>
#include <stdint.h>

struct added {
    struct added_token {
        char *text; /* owned */
        int64_t n;
        int32_t id;
        bool single_word, strip_left, strip_right;
    } * token; /* sorted by text after added_sort */
    int64_t count;
    bool begins[256]; /* a token begins with this byte */
};

/** Takes the text. An empty one is left out. */
void added_add(struct added *, struct added_token);
/** Before the first search. */
void added_sort(struct added *);
/** The next added token in text[0, n) from *at on: its place with the white space that it takes, and where to
 *  search on (*at). `taken` is where the last one ended. NULL: there is none. */
const struct added_token *added_next(const struct added *, const char *text, int64_t n, int64_t taken,
                                     int64_t *at, int64_t *begin, int64_t *end);
void added_free(struct added *);

#endif
