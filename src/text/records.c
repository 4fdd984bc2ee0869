#include "text/records.h"

#include <stdlib.h>
#include "base/json.h"
#include "text/stream.h"

enum { BUFFER = 1 << 18 };

struct records {
    char *const *path;
    int n, file; /* file: the number of the current one */
    const struct record_options *options;
    struct stream *stream; /* NULL if no file is open */
    bool json, ended;
    char *buffer; /* [BUFFER], of which bytes [at, end) are still to be used */
    int64_t at, end, line, consumed;
};

void records_open(struct records **out, char *const *paths, int n, const struct record_options *options)
{
    struct records *r = mem_new(1, sizeof *r);
    r->path = paths;
    r->n = n;
    r->options = options;
    r->buffer = mem_new(BUFFER, 1);
    *out = r;
}

void records_close(struct records *r)
{
    stream_close(r->stream);
    free(r->buffer);
    free(r);
}

int64_t records_consumed(const struct records *r)
{
    return r->consumed + (r->stream ? stream_consumed(r->stream) : 0);
}

static bool ends_in(const char *name, size_t n, const char *end)
{
    size_t m = strlen(end);
    return n > m && !strncmp(name + n - m, end, m);
}

static bool is_json(const char *name)
{
    size_t n = strlen(name);
    n -= ends_in(name, n, ".gz") ? 3 : ends_in(name, n, ".zst") ? 4 : 0;
    return ends_in(name, n, ".jsonl") || ends_in(name, n, ".json") || ends_in(name, n, ".ndjson");
}

static status next_file(struct records *r)
{
    const char *path = r->path[r->file];
    r->json = r->options->field || is_json(path);
    r->line = 1;
    r->at = r->end = 0;
    r->ended = false;
    return stream_open(&r->stream, path);
}

static void end_file(struct records *r)
{
    r->consumed += stream_consumed(r->stream);
    stream_close(r->stream);
    r->stream = NULL;
    r->file++;
}

/* Append a line with its end, or what the buffer has of it; then *more, because the line goes on. */
static status add_part(struct records *r, struct bytes *to, bool *more)
{
    if (r->at == r->end) {
        r->at = r->end = 0;
        TRY(stream_read(r->stream, r->buffer, BUFFER, &r->end));
        r->ended = r->end == 0;
    }
    const char *from = r->buffer + r->at, *newline = memchr(from, '\n', (size_t)(r->end - r->at));
    int64_t n = newline ? newline + 1 - from : r->end - r->at;
    bytes_add(to, from, n);
    r->at += n;
    r->line += newline != NULL;
    *more = !newline && !r->ended;
    return OK;
}

static status add_line(struct records *r, struct bytes *to)
{
    bool more = true;
    while (more)
        TRY(add_part(r, to, &more));
    return OK;
}

static bool is_blank(const char *text, int64_t n)
{
    while (n > 0 && strchr(" \t\r\n", text[n - 1]) && text[n - 1])
        n--;
    return n == 0;
}

static void cut_line_end(struct bytes *b)
{
    if (b->n > 0 && b->at[b->n - 1] == '\n')
        b->n -= b->n > 1 && b->at[b->n - 2] == '\r' ? 2 : 1;
}

/* Read a record: one line, the lines before a blank one, or all lines. */
static status read_record(struct records *r, struct record *out)
{
    bool line_each = r->json || r->options->lines, one = line_each || r->options->blank;
    while (!r->ended) {
        int64_t begin = out->raw.n, line = r->line;
        TRY(add_line(r, &out->raw));
        bool blank = one && is_blank(out->raw.at + begin, out->raw.n - begin);
        if (blank)
            out->raw.n = begin;
        else if (begin == 0)
            out->line = line;
        if (one && out->raw.n > 0 && (blank || line_each))
            break;
    }
    if (one && !r->json)
        cut_line_end(&out->raw);
    return OK;
}

status records_next(struct records *r, struct record *out, bool *there)
{
    *there = false;
    out->raw.n = 0;
    while (r->file < r->n) {
        if (!r->stream)
            TRY(next_file(r));
        TRY(read_record(r, out));
        out->file = r->file;
        out->json = r->json;
        *there = out->raw.n > 0;
        if (r->ended)
            end_file(r);
        if (*there)
            return OK;
    }
    return OK;
}

status record_text(const struct record *r, const struct record_options *o, struct record_hold *hold,
                   const char **text, int64_t *n)
{
    json_error_t error;
    const char *field = o->field ? o->field : "text";
    *text = r->raw.at;
    *n = r->raw.n;
    hold->json = NULL;
    if (!r->json)
        return OK;
    json_t *root = json_loadb(r->raw.at, (size_t)r->raw.n, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    hold->json = root;
    if (!root)
        return fail(E_DATA, "column %d: not JSON: %s", error.column, error.text);
    const json_t *value = json_object_get(root, field);
    if (!json_is_string(value))
        return fail(E_DATA, "it has no text \"%s\"; --field NAME says which one is the text", field);
    *text = json_string_value(value);
    *n = (int64_t)json_string_length(value);
    return OK;
}

void record_end(struct record_hold *hold)
{
    json_decref(hold->json);
    hold->json = NULL;
}
