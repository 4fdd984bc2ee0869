/* All errors of all decks in one go, as many whole lines as the error record holds. */
#include "deck/inside.h"

#include "base/mem.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 7600, LINE = 1200 };

void errors_add(struct errors *e, const char *where, const char *format, ...)
{
    char message[LINE];
    va_list args;
    e->n++;
    if (e->told < e->n - 1)
        return;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    char *line = mem_format("%s%s: %s", e->n > 1 ? "\n" : "", where, message);
    int64_t n = (int64_t)strlen(line);
    if (e->length + n <= ROOM) {
        e->text = mem_grow(e->text, e->length + n + 1, 1);
        memcpy(e->text + e->length, line, (size_t)n + 1);
        e->length += n;
        e->told++;
    }
    free(line);
}

status errors_end(struct errors *e)
{
    status code = OK;
    if (e->n > e->told)
        code = fail(E_DECK, "%s\n... and %d more", e->text ? e->text : "", e->n - e->told);
    else if (e->n)
        code = fail(E_DECK, "%s", e->text);
    free(e->text);
    *e = (struct errors){0};
    return code;
}
