#include "eval/rows.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "text/buffer.h"
#include "text/stream.h"

enum { MOST_BYTES = 1 << 30, READ = 1 << 16, MOST_COLUMNS = 256 };

static status load(struct bytes *text, const char *path)
{
    struct stream *s;
    int64_t got = 1;
    TRY(stream_open(&s, path));
    status code = OK;
    while (code == OK && got > 0) {
        bytes_room(text, READ);
        code = stream_read(s, text->at + text->n, READ, &got);
        text->n += code == OK ? got : 0;
        if (code == OK && text->n > MOST_BYTES)
            code = fail(E_DATA, "%s: more than 1 GiB of questions", path);
    }
    stream_close(s);
    return code;
}

static void add(struct rows *r, json_t *row, int64_t line)
{
    r->row = mem_grow(r->row, r->n + 1, sizeof *r->row);
    r->line = mem_grow(r->line, r->n + 1, sizeof *r->line);
    r->line[r->n] = line;
    r->row[r->n++] = row;
}

status rows_bad(const struct rows *r, int64_t row, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *why = mem_format_list(format, args);
    va_end(args);
    status code = fail(E_DATA, "%s:%lld: %s", r->path, (long long)r->line[row], why);
    free(why);
    return code;
}

/* ---- JSON lines ---- */

static status read_lines(struct rows *r, const struct bytes *text, int64_t limit)
{
    int64_t line = 1;
    for (int64_t at = 0, end; at < text->n && (!limit || r->n < limit); at = end + 1, line++) {
        const char *stop = memchr(text->at + at, '\n', (size_t)(text->n - at));
        end = stop ? stop - text->at : text->n;
        if (strspn(text->at + at, " \t\r") >= (size_t)(end - at))
            continue;
        char *where = mem_format("%s:%lld", r->path, (long long)line);
        json_t *row = NULL;
        status code = json_parse(&row, where, text->at + at, end - at);
        free(where);
        TRY(code);
        add(r, row, line);
        if (!json_is_object(row))
            return rows_bad(r, r->n - 1, "expected a JSON object");
    }
    return OK;
}

/* ---- CSV ---- */

struct csv {
    const struct bytes *text;
    int64_t at, line;
};

/* The field that begins at c->at; afterwards c->at is behind its comma or line. *last: the row ends. */
static status csv_field(struct csv *c, const char *path, struct bytes *out, bool *last)
{
    const char *s = c->text->at;
    int64_t n = c->text->n, begins = c->line;
    bool quoted = c->at < n && s[c->at] == '"';
    out->n = 0;
    c->at += quoted;
    for (;; c->at++) {
        if (c->at >= n && quoted)
            return fail(E_DATA, "%s:%lld: a quoted field has no end", path, (long long)begins);
        if (c->at >= n || (!quoted && (s[c->at] == ',' || s[c->at] == '\n')))
            break;
        c->line += s[c->at] == '\n';
        if (quoted && s[c->at] == '"') {
            if (c->at + 1 < n && s[c->at + 1] == '"') {
                c->at++;
            } else {
                quoted = false;
                continue;
            }
        }
        if (quoted || s[c->at] != '\r')
            bytes_add(out, s + c->at, 1);
    }
    *last = c->at >= n || s[c->at] == '\n';
    c->line += c->at < n && s[c->at] == '\n';
    c->at++;
    bytes_add(out, "", 1);
    return OK;
}

/* A row as texts; *columns: how many. */
static status csv_row(struct csv *c, const char *path, char *text[MOST_COLUMNS], int *columns)
{
    struct bytes field = {0};
    status code = OK;
    bool last = false;
    for (*columns = 0; !last && code == OK;) {
        code = csv_field(c, path, &field, &last);
        if (code == OK && *columns == MOST_COLUMNS)
            code = fail(E_DATA, "%s:%lld: more than %d columns", path, (long long)c->line, MOST_COLUMNS);
        if (code == OK)
            text[(*columns)++] = mem_text(field.at);
    }
    free(field.at);
    return code;
}

static void free_texts(char **text, int n)
{
    for (int i = 0; i < n; i++)
        free(text[i]);
}

static status csv_object(struct rows *r, char **name, int names, char **text, int columns, int64_t line)
{
    json_t *row = json_object();
    bool good = columns == names;
    for (int i = 0; good && i < names; i++)
        good = json_object_set_new(row, name[i], json_string(text[i])) == 0;
    add(r, row, line);
    return good ? OK
                : rows_bad(r, r->n - 1, "%d columns where the header has %d, or a text is not UTF-8", columns,
                           names);
}

static status read_csv(struct rows *r, const struct bytes *text, int64_t limit)
{
    struct csv c = {.text = text, .line = 1};
    char *name[MOST_COLUMNS], *field[MOST_COLUMNS];
    int names, columns;
    status code = csv_row(&c, r->path, name, &names);
    while (code == OK && c.at < text->n && (!limit || r->n < limit)) {
        int64_t line = c.line;
        code = csv_row(&c, r->path, field, &columns);
        bool blank = columns == 1 && !*field[0];
        if (code == OK && !blank)
            code = csv_object(r, name, names, field, columns, line);
        free_texts(field, columns);
    }
    free_texts(name, names);
    return code;
}

/* ---- files ---- */

static bool is_csv(const char *path)
{
    const char *end = strstr(path, ".csv");
    return end && (!end[4] || end[4] == '.');
}

status rows_read(struct rows *r, const char *path, int64_t limit)
{
    struct bytes text = {0};
    *r = (struct rows){.path = mem_text(path)};
    status code = load(&text, path);
    if (code == OK)
        code = is_csv(path) ? read_csv(r, &text, limit) : read_lines(r, &text, limit);
    free(text.at);
    if (code == OK && r->n == 0)
        code = fail(E_DATA, "%s: no questions", path);
    if (code != OK)
        rows_free(r);
    return code;
}

void rows_free(struct rows *r)
{
    for (int64_t i = 0; i < r->n; i++)
        json_decref(r->row[i]);
    free(r->row);
    free(r->line);
    free(r->path);
    *r = (struct rows){0};
}
