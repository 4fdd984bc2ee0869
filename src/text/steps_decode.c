/* The decoder changes pieces of text, one for each token, step by step. */
#include "text/bpe.h"
#include "text/steps.h"
#include "text/utf8.h"

/* Append the bytes of a piece of ByteLevel's characters. A piece with any other character stays as it is. */
static void unmap(const char *text, int64_t n, struct bytes *out)
{
    int64_t begin = out->n;
    for (int64_t at = 0; at < n; at += utf8_length(text[at])) {
        int byte = bpe_byte_of(utf8_at(text + at));
        if (byte < 0) {
            out->n = begin;
            bytes_add(out, text, n);
            return;
        }
        bytes_add(out, (char[1]){(char)byte}, 1);
    }
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

/* The byte of a piece of the form "<0x0A>", -1 for other pieces. */
static int fallback_byte(const char *text, int64_t n)
{
    bool form = n == 6 && !memcmp(text, "<0x", 3) && text[5] == '>' && hex(text[3]) >= 0 && hex(text[4]) >= 0;
    return form ? hex(text[3]) << 4 | hex(text[4]) : -1;
}

/* End a run of bytes. If it is not UTF-8, each byte becomes U+FFFD. */
static void end_run(struct pieces *out, int64_t begin)
{
    int64_t n = out->text.n - begin;
    if (utf8_bad(out->text.at + begin, n) < n) {
        out->text.n = begin;
        for (int64_t i = 0; i < n; i++)
            bytes_add(&out->text, "\xef\xbf\xbd", 3);
    }
    if (n > 0)
        pieces_add(out, begin, out->text.n - begin, false);
}

static void join_bytes(const struct pieces *p, struct pieces *out)
{
    int64_t run = 0;
    for (int64_t i = 0; i < p->n; i++) {
        const char *text = p->text.at + p->piece[i].at;
        int byte = fallback_byte(text, p->piece[i].n);
        if (byte >= 0) {
            bytes_add(&out->text, (char[1]){(char)byte}, 1);
            continue;
        }
        end_run(out, run);
        pieces_add(out, out->text.n, p->piece[i].n, false);
        bytes_add(&out->text, text, p->piece[i].n);
        run = out->text.n;
    }
    end_run(out, run);
}

static void trim(const struct step *s, const char *text, int64_t n, struct bytes *out)
{
    int64_t begin = 0, end = n, m = s->text.n;
    for (int i = 0; i < s->left && end - begin >= m && !memcmp(text + begin, s->text.at, (size_t)m); i++)
        begin += m;
    for (int i = 0; i < s->right && end - begin >= m && !memcmp(text + end - m, s->text.at, (size_t)m); i++)
        end -= m;
    bytes_add(out, text + begin, end - begin);
}

static void unspace(const struct step *s, bool leave_out, const char *text, int64_t n, struct bytes *out)
{
    for (int64_t at = 0, length; at < n; at += length) {
        length = utf8_length(text[at]);
        bool space = length == s->text.n && !memcmp(text + at, s->text.at, (size_t)length);
        if (space)
            bytes_add(out, " ", !leave_out);
        else
            bytes_add(out, text + at, length);
    }
}

static status decode_one(const struct step *s, struct regex_match *m, bool first, const char *text, int64_t n,
                         struct bytes *out)
{
    switch (s->kind) {
    case STEP_BYTES: unmap(text, n, out); return OK;
    case STEP_REPLACE: return step_replace(s, m, text, n, out);
    case STEP_TRIM: trim(s, text, n, out); return OK;
    case STEP_UNSPACE: unspace(s, first && s->when != NEVER, text, n, out); return OK;
    default: bytes_add(out, text, n); return OK;
    }
}

static status decode(const struct step *s, struct regex_match *m, const struct pieces *p, struct pieces *out)
{
    if (s->kind == STEP_BYTE_FALLBACK) {
        join_bytes(p, out);
        return OK;
    }
    for (int64_t i = 0; i < p->n; i++) {
        int64_t begin = out->text.n;
        TRY(decode_one(s, m, i == 0, p->text.at + p->piece[i].at, p->piece[i].n, &out->text));
        pieces_add(out, begin, out->text.n - begin, false);
    }
    if (s->kind == STEP_FUSE && out->n) {
        out->piece[0].n = out->text.n;
        out->n = 1;
    }
    return OK;
}

status steps_decode(const struct steps *s, struct regex_match *m, struct pieces *p, struct pieces *spare)
{
    for (int i = 0; i < s->n; i++) {
        spare->n = spare->text.n = 0;
        TRY(decode(&s->step[i], m, p, spare));
        pieces_swap(p, spare);
    }
    return OK;
}
