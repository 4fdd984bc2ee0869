/* Regular expressions of tokenizer.json, by PCRE2. They are written for Oniguruma with the syntax of Ruby;
 * regex_onig.c translates a pattern for PCRE2, and refuses it if PCRE2 has no equal. Text must be valid
 * UTF-8. Not collective. */
#ifndef TEXT_REGEX_H
#define TEXT_REGEX_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

struct regex;
struct regex_match; /* what one thread needs for a search */

/** Open a pattern, or a literal text. `where` begins the message. E_DATA if it is not understood, or matches
 * the empty text. */
status regex_open(struct regex **, const char *where, const char *pattern, int64_t n, bool literal) MUST_USE;
void regex_close(struct regex *);
struct regex_match *regex_match_open(void);
void regex_match_close(struct regex_match *);
/** The first match in text[0, n) from byte `from` on: text[*begin, *end); *begin = n if there is none. E_DATA
 * if the search exceeds PCRE2's limits. */
status regex_next(const struct regex *, struct regex_match *, const char *text, int64_t n, int64_t from,
                  int64_t *begin, int64_t *end) MUST_USE;

/** Translate Oniguruma's pattern for PCRE2 (regex_onig.c). Caller frees *out. E_DATA. */
status regex_translate(char **out, const char *where, const char *pattern) MUST_USE;

#endif
