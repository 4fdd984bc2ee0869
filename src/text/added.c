#include "text/added.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "text/utf8.h"

void added_add(struct added *a, struct added_token t)
{
    if (!t.n) {
        free(t.text);
        return;
    }
    a->token = mem_grow(a->token, a->count + 1, sizeof *a->token);
    a->token[a->count++] = t;
    a->begins[(unsigned char)t.text[0]] = true;
}

static int by_text(const void *a, const void *b)
{
    const struct added_token *x = a, *y = b;
    int order = memcmp(x->text, y->text, (size_t)(x->n < y->n ? x->n : y->n));
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

void added_sort(struct added *a)
{
    if (a->count)
        qsort(a->token, (size_t)a->count, sizeof *a->token, by_text);
}

/* Tokens [lo, hi) agree in their first `depth` bytes. Returns the first of them whose next byte is at least
 * c. */
static int64_t lower(const struct added *a, int64_t lo, int64_t hi, int64_t depth, int c)
{
    while (lo < hi) {
        int64_t middle = lo + (hi - lo) / 2;
        const struct added_token *t = &a->token[middle];
        if (t->n <= depth || (unsigned char)t->text[depth] < c)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo;
}

/* The longest added token that the text begins with. */
static const struct added_token *longest(const struct added *a, const char *text, int64_t n)
{
    const struct added_token *best = NULL;
    int64_t lo = 0, hi = a->count;
    for (int64_t depth = 0; depth < n; depth++) {
        int c = (unsigned char)text[depth];
        int64_t from = lower(a, lo, hi, depth, c);
        hi = lower(a, from, hi, depth, c + 1);
        lo = from;
        if (lo == hi)
            break;
        if (a->token[lo].n == depth + 1)
            best = &a->token[lo];
    }
    return best;
}

/* Does [begin, end) of the text begin or end inside a word? */
static bool cuts_word(const char *text, int64_t n, int64_t begin, int64_t end)
{
    int length;
    return (begin > 0 && utf8_is_word(utf8_before(text, begin, &length))) ||
           (end < n && utf8_is_word(utf8_at(text + end)));
}

static void take_spaces(const struct added_token *t, const char *text, int64_t n, int64_t taken,
                        int64_t *begin, int64_t *end)
{
    int length;
    while (t->strip_left && *begin > taken && utf8_is_space(utf8_before(text, *begin, &length)))
        *begin -= length;
    while (t->strip_right && *end < n && utf8_is_space(utf8_at(text + *end)))
        *end += utf8_length(text[*end]);
}

const struct added_token *added_next(const struct added *a, const char *text, int64_t n, int64_t taken,
                                     int64_t *at, int64_t *begin, int64_t *end)
{
    while (*at < n) {
        const struct added_token *t =
            a->begins[(unsigned char)text[*at]] ? longest(a, text + *at, n - *at) : NULL;
        *begin = *at;
        *end = *at += t ? t->n : 1;
        if (!t || (t->single_word && cuts_word(text, n, *begin, *end)))
            continue;
        take_spaces(t, text, n, taken, begin, end);
        return t;
    }
    return NULL;
}

void added_free(struct added *a)
{
    for (int64_t i = 0; i < a->count; i++)
        free(a->token[i].text);
    free(a->token);
    *a = (struct added){0};
}
