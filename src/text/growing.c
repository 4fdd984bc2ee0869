/* The decoder changes tokens by what stands beside them, so text is the difference of two decodings: of the
 * tokens from `begin` on with the new ones and without. `begin` follows some tokens behind, so that both are
 * short. */
#include "text/growing.h"

#include <stdlib.h>
#include "text/utf8.h"

static const char REPLACEMENT[] = "\xef\xbf\xbd"; /* U+FFFD */

void growing_open(struct growing *g, struct encoder *e, const int32_t *ids, int64_t n)
{
    *g = (struct growing){.encoder = e};
    ids_add(&g->ids, ids, n);
    g->told = n;
}

void growing_close(struct growing *g)
{
    free(g->ids.at);
    free(g->text.at);
    *g = (struct growing){0};
}

/* Bytes at the end that begin a character, of which more must follow. */
static int64_t unfinished(const struct bytes *b)
{
    for (int64_t n = 1; n <= 3 && n <= b->n; n++) {
        unsigned char c = (unsigned char)b->at[b->n - n];
        if (c >= 0xc0)
            return c >= 0xc2 && c <= 0xf4 && utf8_length((char)c) > n ? n : 0;
        if (c < 0x80)
            return 0;
    }
    return 0;
}

static bool ends_replaced(const struct bytes *b)
{
    return b->n >= 3 && !memcmp(b->at + b->n - 3, REPLACEMENT, 3);
}

/* Bytes, at least one, that begin a character but are none: "maximal subparts" of Unicode 3.9. */
static int64_t broken(const char *text, int64_t n)
{
    unsigned char c = (unsigned char)*text;
    unsigned char least = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80; /* the second byte's range */
    unsigned char most = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    int64_t length = c >= 0xc2 && c <= 0xf4 ? utf8_length(*text) : 1, i = 1;
    for (; i < length && i < n && (unsigned char)text[i] >= least && (unsigned char)text[i] <= most; i++) {
        least = 0x80;
        most = 0xbf;
    }
    return i;
}

/* Append bytes [from, n) of a text to another, those that are no character as U+FFFD. */
static void add_valid(struct bytes *out, const struct bytes *b, int64_t from)
{
    while (from < b->n) {
        int64_t good = utf8_bad(b->at + from, b->n - from);
        bytes_add(out, b->at + from, good);
        from += good;
        if (from < b->n) {
            bytes_add(out, REPLACEMENT, 3);
            from += broken(b->at + from, b->n - from);
        }
    }
}

/* What came since the last text was given out. A byte that may become part of a character is kept back,
 * unless these were the last tokens. */
static status give(struct growing *g, bool last)
{
    struct bytes before = {0}, now = {0};
    g->text.n = 0;
    status code = decode(g->encoder, g->ids.at + g->begin, g->told - g->begin, true, &before);
    if (code == OK)
        code = decode(g->encoder, g->ids.at + g->begin, g->ids.n - g->begin, true, &now);
    if (code == OK && now.n > before.n && (last || (unfinished(&now) == 0 && !ends_replaced(&now)))) {
        add_valid(&g->text, &now, before.n);
        g->begin = g->told;
        g->told = g->ids.n;
    }
    free(before.at);
    free(now.at);
    return code;
}

status growing_add(struct growing *g, int32_t id)
{
    ids_add(&g->ids, &id, 1);
    return give(g, false);
}

status growing_end(struct growing *g)
{
    return give(g, true);
}
