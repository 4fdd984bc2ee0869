/* Added tokens: words that are cut out of the text before anything else happens to it. Of those that match at
 * the leftmost place, the longest counts. Not collective. */
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

/** Add a token; takes ownership of its text. An empty text is left out. */
void added_add(struct added *, struct added_token);
/** To be called before the first search. */
void added_sort(struct added *);
/** The next added token in text[0, n) from *at on; NULL if there is none. Sets its place, with the white
 * space that it takes, and *at, from where to search on. `taken` is where the last one ended. */
const struct added_token *added_next(const struct added *, const char *text, int64_t n, int64_t taken,
                                     int64_t *at, int64_t *begin, int64_t *end);
void added_free(struct added *);

#endif
