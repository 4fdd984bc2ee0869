#include "report/jsonl.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "base/io.h"
#include "base/mem.h"
#include "text/records.h"

void complain(struct complaints *c, const char *format, ...)
{
    enum { SHOWN = 20 };
    va_list args;
    va_start(args, format);
    char *text = mem_format_list(format, args);
    va_end(args);
    if (++c->n <= SHOWN)
        mem_append(&c->text, "%s%s", c->text ? "\n" : "", text);
    free(text);
}

/* Is this the line about the others? *good: it is of a version that is known. */
static bool is_schema(json_t *line, const char *where, struct complaints *c, bool *good)
{
    json_t *schema = json_object_get(line, "schema"), *version = json_object_get(line, "version");
    if (!schema)
        return false;
    *good = json_integer_value(version) == 1;
    if (!*good)
        complain(c, "%s: it is of a version that this program does not know; the file was not used", where);
    return true;
}

/* A record of the file; false: the rest is not to be read. */
static bool use(const struct record *r, const char *path, struct complaints *c,
                void (*take)(void *, json_t *, const char *), void *context)
{
    bool whole = r->raw.at[r->raw.n - 1] == '\n', good = true;
    char *where = mem_format("%s:%lld", path, (long long)r->line);
    json_t *line = NULL;
    status code = json_parse_line(&line, path, r->line, r->raw.at, r->raw.n - whole);
    if (code != OK && whole)
        complain(c, "%s", status_text());
    else if (code == OK && !json_is_object(line))
        complain(c, "%s: it is no JSON object", where);
    else if (code == OK && !is_schema(line, where, c, &good))
        take(context, line, where);
    json_decref(line);
    free(where);
    return good;
}

void jsonl_read(const char *path, struct complaints *c, void (*take)(void *, json_t *, const char *),
                void *context)
{
    struct record record = {0};
    struct records *records;
    bool there = true;
    char *paths[] = {mem_text(path)};
    if (io_exists(path)) {
        records_open(&records, paths, 1, &(struct record_options){.field = ""});
        while (there) {
            if (records_next(records, &record, &there) != OK) {
                complain(c, "%s", status_text());
                break;
            }
            there = there && use(&record, path, c, take, context);
        }
        records_close(records);
    }
    free(record.raw.at);
    free(paths[0]);
}
