#include "text/steps.h"

#include <stdlib.h>
#include <utf8proc.h>
#include "text/utf8.h"

struct step *steps_add(struct steps *s, enum step_kind kind)
{
    s->step = mem_grow(s->step, s->n + 1, sizeof *s->step);
    s->step[s->n] = (struct step){.kind = kind};
    return &s->step[s->n++];
}

void steps_free(struct steps *s)
{
    for (int i = 0; i < s->n; i++) {
        regex_close(s->step[i].regex);
        free(s->step[i].text.at);
    }
    free(s->step);
    *s = (struct steps){0};
}

void pieces_add(struct pieces *p, int64_t at, int64_t n, bool first)
{
    if (p->n == p->room) {
        p->room = 2 * p->room + 64;
        p->piece = mem_grow(p->piece, p->room, sizeof *p->piece);
    }
    p->piece[p->n++] = (struct piece){at, n, first};
}

void pieces_free(struct pieces *p)
{
    free(p->text.at);
    free(p->piece);
    *p = (struct pieces){0};
}

void pieces_swap(struct pieces *a, struct pieces *b)
{
    struct pieces c = *a;
    *a = *b;
    *b = c;
}

/* ---- normalizer ---- */

status step_replace(const struct step *s, struct regex_match *m, const char *text, int64_t n,
                    struct bytes *out)
{
    int64_t begin, end = 0;
    for (int64_t at = 0; at < n; at = end) {
        TRY(regex_next(s->regex, m, text, n, at, &begin, &end));
        bytes_add(out, text + at, begin - at);
        if (end > begin)
            bytes_add(out, s->text.at, s->text.n);
    }
    return OK;
}

static bool is_ascii(const struct bytes *b)
{
    for (int64_t i = 0; i < b->n; i++)
        if (b->at[i] & 0x80)
            return false;
    return true;
}

static status form(const struct step *s, const struct bytes *in, struct bytes *out)
{
    utf8proc_uint8_t *made = NULL;
    if (is_ascii(in)) {
        bytes_add(out, in->at, in->n);
        return OK;
    }
    utf8proc_ssize_t n = utf8proc_map((const uint8_t *)in->at, in->n, &made, (utf8proc_option_t)s->form);
    if (n < 0)
        return fail(E_DATA, "a text of %lld bytes cannot be normalized: %s", (long long)in->n,
                    utf8proc_errmsg(n));
    bytes_add(out, (const char *)made, n);
    free(made);
    return OK;
}

static void strip(const struct step *s, const struct bytes *in, struct bytes *out)
{
    int64_t begin = 0, end = in->n;
    int length;
    while (s->left && begin < end && utf8_is_space(utf8_at(in->at + begin)))
        begin += utf8_length(in->at[begin]);
    while (s->right && end > begin && utf8_is_space(utf8_before(in->at, end, &length)))
        end -= length;
    bytes_add(out, in->at + begin, end - begin);
}

static status normalize(const struct step *s, struct regex_match *m, const struct bytes *in,
                        struct bytes *out)
{
    switch (s->kind) {
    case STEP_PREPEND:
        bytes_add(out, s->text.at, in->n ? s->text.n : 0);
        bytes_add(out, in->at, in->n);
        return OK;
    case STEP_REPLACE: return step_replace(s, m, in->at, in->n, out);
    case STEP_FORM: return form(s, in, out);
    default: strip(s, in, out); return OK;
    }
}

status steps_normalize(const struct steps *s, struct regex_match *m, struct bytes *text)
{
    for (int i = 0; i < s->n; i++) {
        struct bytes out = {0};
        status code = normalize(&s->step[i], m, text, &out);
        free(text->at);
        *text = out;
        TRY(code);
    }
    return OK;
}

/* ---- pre_tokenizer ---- */

/* Matches, and what lies between them, are the parts of a piece. The rule says which are joined or left out.
 */
struct splitter {
    enum split_rule rule;
    struct pieces *out;
    int64_t base, from; /* from: where the piece that is being made begins */
    bool first, open;   /* open: a piece is being made */
    bool last_matched;
};

static void emit(struct splitter *s, int64_t begin, int64_t end)
{
    if (end > begin)
        pieces_add(s->out, s->base + begin, end - begin, s->first && begin == 0);
}

static void part(struct splitter *s, int64_t begin, int64_t end, bool matched)
{
    bool joined = false;
    if (s->rule == CONTIGUOUS)
        joined = s->open && matched == s->last_matched;
    else if (s->rule == WITH_PREVIOUS)
        joined = s->open && matched && !s->last_matched;
    else if (s->rule == WITH_NEXT)
        joined = s->open && !matched && s->last_matched;
    if (!joined) {
        if (s->open)
            emit(s, s->from, begin);
        s->from = begin;
        s->open = true;
    }
    if (s->rule == REMOVED && matched) {
        s->from = end;
        s->open = false;
    }
    s->last_matched = matched;
}

static status split(const struct step *step, struct regex_match *m, const char *text, const struct piece *p,
                    struct pieces *out)
{
    struct splitter s = {.rule = step->rule, .out = out, .base = p->at, .first = p->first};
    int64_t begin, end = 0;
    for (int64_t at = 0; at < p->n; at = end) {
        TRY(regex_next(step->regex, m, text + p->at, p->n, at, &begin, &end));
        if (begin > at)
            part(&s, at, begin, step->invert);
        if (end > begin)
            part(&s, begin, end, !step->invert);
    }
    if (s.open)
        emit(&s, s.from, p->n);
    return OK;
}

/* Append a piece to `out`, with its spaces replaced. */
static void spaces(const struct step *s, const char *text, const struct piece *p, struct pieces *out)
{
    int64_t begin = out->text.n;
    const char *from = text + p->at, *end = from + p->n;
    bool has = (*from == ' ') || (p->n >= s->text.n && !memcmp(from, s->text.at, (size_t)s->text.n));
    if (!has && (s->when == ALWAYS || (s->when == FIRST && p->first)))
        bytes_add(&out->text, s->text.at, s->text.n);
    while (from < end) {
        const char *space = memchr(from, ' ', (size_t)(end - from));
        bytes_add(&out->text, from, (space ? space : end) - from);
        if (space)
            bytes_add(&out->text, s->text.at, s->text.n);
        from = space ? space + 1 : end;
    }
    pieces_add(out, begin, out->text.n - begin, p->first);
}

status steps_split(const struct steps *s, struct regex_match *m, struct pieces *p, struct pieces *spare)
{
    for (int i = 0; i < s->n; i++) {
        const struct step *step = &s->step[i];
        spare->n = spare->text.n = 0;
        for (int64_t k = 0; k < p->n; k++) {
            if (step->kind == STEP_SPLIT)
                TRY(split(step, m, p->text.at, &p->piece[k], spare));
            else
                spaces(step, p->text.at, &p->piece[k], spare);
        }
        if (step->kind == STEP_SPLIT) { /* the text stays, and only the pieces change */
            struct bytes text = spare->text;
            spare->text = p->text;
            p->text = text;
        }
        pieces_swap(p, spare);
    }
    return OK;
}
