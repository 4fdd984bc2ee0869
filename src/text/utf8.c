#include "text/utf8.h"

#include <utf8proc.h>

int64_t utf8_bad(const char *text, int64_t n)
{
    for (int64_t at = 0; at < n;) {
        utf8proc_int32_t c;
        if (!(text[at] & 0x80)) {
            at++;
            continue;
        }
        utf8proc_ssize_t length = utf8proc_iterate((const uint8_t *)text + at, n - at, &c);
        if (length < 1)
            return at;
        at += length;
    }
    return n;
}

int32_t utf8_at(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    switch (utf8_length(*text)) {
    case 1: return s[0];
    case 2: return (s[0] & 0x1f) << 6 | (s[1] & 0x3f);
    case 3: return (s[0] & 0xf) << 12 | (s[1] & 0x3f) << 6 | (s[2] & 0x3f);
    default: return (s[0] & 7) << 18 | (s[1] & 0x3f) << 12 | (s[2] & 0x3f) << 6 | (s[3] & 0x3f);
    }
}

int32_t utf8_before(const char *text, int64_t at, int *length)
{
    *length = 1;
    while (*length < at && (text[at - *length] & 0xc0) == 0x80)
        ++*length;
    return utf8_at(text + at - *length);
}

int utf8_put(char out[4], int32_t character)
{
    return (int)utf8proc_encode_char(character, (uint8_t *)out);
}

bool utf8_is_space(int32_t c)
{
    return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
           c == 0x3000;
}

bool utf8_is_word(int32_t c)
{
    utf8proc_category_t k = utf8proc_category(c);
    bool letter = k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
    bool mark = k >= UTF8PROC_CATEGORY_MN && k <= UTF8PROC_CATEGORY_ME;
    bool circled = (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) ||
                   (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189);
    return letter || mark || circled || k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL ||
           k == UTF8PROC_CATEGORY_PC || c == 0x200c || c == 0x200d;
}
