/* Regular expressions of tokenizer.json, by PCRE2. They are written for Oniguruma with the syntax of Ruby;
 * regex_onig.c says each part of a pattern in PCRE2's words and refuses what has no equal there. Text is
 * UTF-8 that was checked. Not collective. */
#ifndef TEXT_REGEX_H
#define TEXT_REGEX_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

struct regex;
struct regex_match; /* what one thread needs to search */

/** A pattern, or a literal text. `where` begins the message. E_DATA: it is not understood, or matches nothing
 *  at all (an empty text). */
status regex_open(struct regex **, const char *where, const char *pattern, int64_t n, bool literal) MUST_USE;
void regex_close(struct regex *);
struct regex_match *regex_match_open(void);
void regex_match_close(struct regex_match *);
/** The first match in text[0, n) from byte `from` on: text[*begin, *end). *begin = n if there is none.
 *  E_DATA: the search needs too much. */
status regex_next(const struct regex *, struct regex_match *, const char *text, int64_t n, int64_t from,
                  int64_t *begin, int64_t *end) MUST_USE;

/** Oniguruma's pattern in PCRE2's words (regex_onig.c). The caller frees *out. E_DATA. */
status regex_translate(char **out, const char *where, const char *pattern) MUST_USE;

#endif
