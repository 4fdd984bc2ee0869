#include "base/printable.h"

#include <string.h>

/* The length of the UTF-8 sequence at t, of at most n bytes, and its code point; 0 if it is not UTF-8. */
static size_t utf8(const unsigned char *t, size_t n, unsigned *code)
{
    static const unsigned least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = *t < 0x80 ? 1 : *t >> 5 == 6 ? 2 : *t >> 4 == 14 ? 3 : *t >> 3 == 30 ? 4 : 0;
    if (length == 0 || length > n)
        return 0;
    *code = length == 1 ? *t : *t & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if (t[i] >> 6 != 2)
            return 0;
        *code = *code << 6 | (t[i] & 0x3f);
    }
    return *code >= least[length] && *code <= 0x10ffff ? length : 0;
}

/* The length of the character at t if it is clean, else 0. */
static size_t clean_character(const char *t, size_t n)
{
    unsigned c;
    size_t length = utf8((const unsigned char *)t, n, &c);
    bool bad = length == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 ||
               (c >= 0xd800 && c < 0xe000) || c == 0xfeff || (c & 0xfffe) == 0xfffe;
    return bad ? 0 : length;
}

bool text_clean(const char *text, size_t n)
{
    size_t at = 0, length = 1;
    for (; at < n && length; at += length)
        length = clean_character(text + at, n - at);
    return length != 0;
}

char *text_mask(char *text)
{
    for (size_t n = strlen(text), at = 0; at < n;) {
        size_t length = clean_character(text + at, n - at);
        if (!length && !strchr("\n\t", text[at]))
            text[at] = '?';
        at += length ? length : 1;
    }
    return text;
}
