/* Oniguruma's patterns (Ruby's syntax, Unicode) translated for PCRE2. These are equal in both: literals,
 * classes, alternatives, groups, look-around, greedy, lazy and possessive ? * +, \p{L}, (?i:...). These
 * differ: \s        White_Space of Unicode; PCRE2's also has U+180E \w        letters, marks, decimal digits,
 * letter numbers, connectors, circled letters; PCRE2's: L, N, _ \v        the vertical tab; PCRE2's is a
 * class
 *   {,n}      from 0; PCRE2 before 10.43 takes it literally
 *   \p{Han}   the script itself; PCRE2 from 10.40 on also takes its extensions
 * These are refused: x{2}+ and x{2}?, which are not possessive and not lazy in Ruby; classes in classes; &&;
 * and all escapes and groups that are not listed below. */
#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "text/buffer.h"
#include "text/regex.h"

#define SPACES                                                                                           \
    "\\x09-\\x0d\\x20\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{" \
    "3000}"
#define WORDS                                                                                            \
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{" \
    "1f170}-\\x{1f189}"

/* Escapes by name, and what to write outside and inside a class; NULL: refused. */
static const struct escape {
    char name;
    const char *outside, *inside;
} escapes[] = {
    /* clang-format off */
    {'s', "[" SPACES "]", SPACES},         {'S', "[^" SPACES "]", "\\S\\x{180e}"},
    {'w', "[" WORDS "]", WORDS},           {'W', "[^" WORDS "]", NULL},
    {'d', "\\d", "\\d"},                   {'D', "\\D", "\\D"},
    {'r', "\\r", "\\r"},                   {'n', "\\n", "\\n"},
    {'t', "\\t", "\\t"},                   {'f', "\\f", "\\f"},
    {'v', "\\x0b", "\\x0b"},               {'A', "\\A", NULL},
    {'z', "\\z", NULL},
    /* clang-format on */
};

static const char *const groups[] = {"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>"};

struct translation {
    const char *where, *pattern, *at;
    struct bytes out;
    bool in_class;
};

static void put(struct translation *t, const char *text)
{
    bytes_add(&t->out, text, (int64_t)strlen(text));
}

static status refuse(const struct translation *t, int n, const char *why)
{
    return fail(E_DATA, "%s: the pattern \"%s\": %.*s %s", t->where, t->pattern, n, t->at, why);
}

/* \p{L}, \P{Lu}, \p{^L}, \p{Han}: a category of one or two letters, else a script. */
static status property(struct translation *t)
{
    const char *name = t->at + 3, *close = t->at[2] == '{' ? strchr(name, '}') : NULL;
    bool not = t->at[1] == 'P';
    if (close && *name == '^') {
        not = !not ;
        name++;
    }
    int n = close ? (int)(close - name) : 0;
    for (int i = 0; i < n; i++)
        if (!isalpha((unsigned char)name[i]) && name[i] != '_')
            n = 0;
    if (n == 0)
        return refuse(t, 2, "is not a property of the form \\p{NAME}");
    char *text = mem_format("\\%c{%s%.*s}", not ? 'P' : 'p', n > 2 ? "sc:" : "", n, name);
    put(t, text);
    free(text);
    t->at = close + 1;
    return OK;
}

/* \xHH, \x{H...}, \uHHHH */
static status code_point(struct translation *t)
{
    bool braces = t->at[1] == 'x' && t->at[2] == '{';
    const char *digits = t->at + 2 + braces;
    size_t n = strspn(digits, "0123456789abcdefABCDEF"), want = t->at[1] == 'u' ? 4 : braces ? n : 2;
    if (n < want || want == 0 || (braces && digits[n] != '}') || want > 6)
        return refuse(t, 2, "is no code point");
    char *text = mem_format("\\x{%.*s}", (int)want, digits);
    put(t, text);
    free(text);
    t->at = digits + want + braces;
    return OK;
}

static status escape(struct translation *t)
{
    char c = t->at[1];
    if (c == 'p' || c == 'P')
        return property(t);
    if (c == 'x' || c == 'u')
        return code_point(t);
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
        const char *text = t->in_class ? escapes[i].inside : escapes[i].outside;
        if (escapes[i].name != c || !text)
            continue;
        put(t, text);
        t->at += 2;
        return OK;
    }
    if (!ispunct((unsigned char)c) && c != ' ')
        return refuse(t, c ? 2 : 1,
                      "is not understood; known are \\s \\S \\w \\W \\d \\D \\r \\n \\t \\f \\v \\A \\z \\x "
                      "\\u \\p{..}");
    bytes_add(&t->out, t->at, 2);
    t->at += 2;
    return OK;
}

static status group(struct translation *t)
{
    for (size_t i = 0; t->at[1] == '?' && i < sizeof groups / sizeof *groups; i++)
        if (!strncmp(t->at, groups[i], strlen(groups[i]))) {
            put(t, groups[i]);
            t->at += strlen(groups[i]);
            return OK;
        }
    if (t->at[1] == '?' || t->at[1] == '*')
        return refuse(t, 4, "is not understood; known are (?: (?i: (?= (?! (?<= (?<! (?>");
    put(t, "(?:");
    t->at++;
    return OK;
}

/* {2} {2,} {,3} {2,3}, and {2,3}? */
static status repeat(struct translation *t)
{
    const char *p = t->at + 1;
    size_t least = strspn(p, "0123456789");
    bool comma = p[least] == ',';
    size_t most = comma ? strspn(p + least + 1, "0123456789") : 0;
    const char *end = p + least + comma + most;
    if (*end != '}' || least + most == 0 || least > 5 || most > 5)
        return refuse(t, 1, "is neither a count such as {1,3} nor escaped");
    if (end[1] == '+' || (end[1] == '?' && !comma))
        return refuse(t, (int)(end - t->at) + 2,
                      "means something else in Ruby than elsewhere; put the count into (?:...)");
    put(t, least ? "{" : "{0");
    bytes_add(&t->out, p, end + 1 - p);
    t->at = end + 1;
    return OK;
}

static status open_class(struct translation *t)
{
    t->in_class = true;
    bytes_add(&t->out, t->at, t->at[1] == '^' ? 2 : 1);
    t->at += t->at[1] == '^' ? 2 : 1;
    return *t->at == ']' ? refuse(t, 1, "is the first in a class; escape it") : OK;
}

static status one(struct translation *t)
{
    char c = *t->at;
    if (c == '\\')
        return escape(t);
    if (t->in_class && (c == '[' || (c == '&' && t->at[1] == '&')))
        return refuse(t, 2, "in a class (a class of classes) is not supported");
    if (!t->in_class && (c == '(' || c == '{' || c == '['))
        return c == '(' ? group(t) : c == '{' ? repeat(t) : open_class(t);
    if (c == ']')
        t->in_class = false;
    bytes_add(&t->out, t->at++, 1);
    return OK;
}

status regex_translate(char **out, const char *where, const char *pattern)
{
    struct translation t = {.where = where, .pattern = pattern, .at = pattern};
    while (*t.at) {
        status s = one(&t);
        if (s != OK) {
            free(t.out.at);
            return s;
        }
    }
    bytes_add(&t.out, "", 1);
    *out = t.out.at;
    return OK;
}
