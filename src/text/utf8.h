/* UTF-8, a character at a time. Not collective. */
#ifndef TEXT_UTF8_H
#define TEXT_UTF8_H
#include <stdbool.h>
#include <stdint.h>

/** The position of the first byte that is not UTF-8 by RFC 3629 (no surrogates, no long forms); n if all are.
 */
int64_t utf8_bad(const char *text, int64_t n);
/** Bytes of the character that begins with this byte, in valid UTF-8. */
static inline int utf8_length(char first)
{
    unsigned char c = (unsigned char)first;
    return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}
/** The character that begins here, and the one that ends before text + at (at > 0). */
int32_t utf8_at(const char *text);
int32_t utf8_before(const char *text, int64_t at, int *length);
/** Write a character; returns its length. */
int utf8_put(char out[4], int32_t character);
/** Is it White_Space in Unicode? Is it a word's character, as \w in Rust's regular expressions? */
bool utf8_is_space(int32_t character);
bool utf8_is_word(int32_t character);

#endif
