#include "base/errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

enum { ROOM = 7600, LINE = 1200 };

/* Takes ownership of the line. */
static void add_line(struct errors *e, status code, char *line)
{
    int64_t n = (int64_t)strlen(line);
    if (e->n++ == 0)
        e->code = code;
    if (e->told == e->n - 1 && e->length + n + 1 <= ROOM) {
        e->text = mem_grow(e->text, e->length + n + 2, 1);
        if (e->length > 0)
            e->text[e->length++] = '\n';
        memcpy(e->text + e->length, line, (size_t)n + 1);
        e->length += n;
        e->told++;
    }
    free(line);
}

void errors_add(struct errors *e, const char *where, const char *format, ...)
{
    char message[LINE];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    add_line(e, E_DECK, mem_format("%s: %s", where, message));
}

void errors_say(struct errors *e, status code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_line(e, code, mem_format_list(format, args));
    va_end(args);
}

bool errors_take(struct errors *e, status code)
{
    if (code == OK)
        return true;
    char *text = mem_text(status_text());
    for (const char *at = text; *at;) {
        size_t n = strcspn(at, "\n");
        int more;
        if (sscanf(at, "... and %d more", &more) == 1)
            e->n += more;
        else
            add_line(e, code, mem_format("%.*s", (int)n, at));
        at += n + (at[n] == '\n');
    }
    free(text);
    return false;
}

status errors_end(struct errors *e)
{
    status code = e->n > 0 ? e->code : OK;
    if (e->n > e->told)
        code = fail(code, "%s\n... and %d more", e->text ? e->text : "", e->n - e->told);
    else if (e->n > 0)
        code = fail(code, "%s", e->text);
    free(e->text);
    *e = (struct errors){0};
    return code;
}
