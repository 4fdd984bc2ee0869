#include "text/regex.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "config.h"
#include <pcre2.h>

struct regex {
    pcre2_code *code;
};

struct regex_match {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

static void message(int error, char out[128])
{
    if (pcre2_get_error_message(error, (PCRE2_UCHAR *)out, 128) < 0)
        out[0] = '\0';
}

static status compile(pcre2_code **code, const char *where, const char *pattern, size_t n, uint32_t options)
{
    int error;
    size_t at;
    char why[128];
    *code =
        pcre2_compile((PCRE2_SPTR)pattern, n, options | PCRE2_UTF | PCRE2_NO_UTF_CHECK, &error, &at, NULL);
    if (!*code) {
        message(error, why);
        return fail(E_DATA, "%s: the pattern \"%s\" is not understood: %s", where, pattern, why);
    }
    uint32_t empty = 0;
    pcre2_pattern_info(*code, PCRE2_INFO_MATCHEMPTY, &empty);
    if (empty)
        return fail(E_DATA, "%s: the pattern \"%s\" matches an empty text, which splits nothing", where,
                    pattern);
    /* If the processor has no JIT, PCRE2 interprets the pattern, which is slower. */
    pcre2_jit_compile(*code, PCRE2_JIT_COMPLETE);
    return OK;
}

status regex_open(struct regex **out, const char *where, const char *pattern, int64_t n, bool literal)
{
    char *translated = NULL;
    if (!n)
        return fail(E_DATA, "%s: the pattern is empty", where);
    if (!literal)
        TRY(regex_translate(&translated, where, pattern));
    struct regex *r = mem_new(1, sizeof *r);
    /* In Ruby ^ and $ match at every line. */
    status s = literal
                   ? compile(&r->code, where, pattern, (size_t)n, PCRE2_LITERAL)
                   : compile(&r->code, where, translated, strlen(translated), PCRE2_UCP | PCRE2_MULTILINE);
    free(translated);
    if (s == OK)
        *out = r;
    else
        regex_close(r);
    return s;
}

void regex_close(struct regex *r)
{
    if (r)
        pcre2_code_free(r->code);
    free(r);
}

struct regex_match *regex_match_open(void)
{
    enum { FIRST = 32 << 10, MOST = 16 << 20 };
    struct regex_match *m = mem_new(1, sizeof *m);
    m->data = pcre2_match_data_create(16, NULL);
    m->context = pcre2_match_context_create(NULL);
    m->stack = pcre2_jit_stack_create(FIRST, MOST, NULL);
    if (m->stack)
        pcre2_jit_stack_assign(m->context, NULL, m->stack);
    return m;
}

void regex_match_close(struct regex_match *m)
{
    if (!m)
        return;
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    if (m->stack)
        pcre2_jit_stack_free(m->stack);
    free(m);
}

status regex_next(const struct regex *r, struct regex_match *m, const char *text, int64_t n, int64_t from,
                  int64_t *begin, int64_t *end)
{
    char why[128];
    int got = pcre2_match(r->code, (PCRE2_SPTR)text, (size_t)n, (size_t)from, PCRE2_NO_UTF_CHECK, m->data,
                          m->context);
    if (got == PCRE2_ERROR_JIT_STACKLIMIT)
        got = pcre2_match(r->code, (PCRE2_SPTR)text, (size_t)n, (size_t)from,
                          PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, m->data, m->context);
    *begin = *end = n;
    if (got == PCRE2_ERROR_NOMATCH)
        return OK;
    if (got < 0) {
        message(got, why);
        return fail(E_DATA, "the pattern of the tokenizer cannot be searched in a text of %lld bytes: %s",
                    (long long)n, why);
    }
    const size_t *range = pcre2_get_ovector_pointer(m->data);
    *begin = (int64_t)range[0];
    *end = (int64_t)range[1];
    if (*end <= *begin)
        return fail(E_DATA, "the pattern of the tokenizer matches an empty text");
    return OK;
}
