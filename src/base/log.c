#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/printable.h"

static struct {
    bool silent, quiet; /* false unless log_open was called, so that other programs print messages too */
    char *path;         /* all messages go to this file too */
    int file;
    bool torn; /* the last line could not be written to the file; this is reported once */
    int warnings;
    char **warning;
} out;

void log_open(bool speaks, bool quiet)
{
    out.silent = !speaks;
    out.quiet = quiet;
    setvbuf(stdout, NULL, _IOLBF, 0);
}

bool log_speaks(void)
{
    return !out.silent;
}

status log_file(const char *path)
{
    if (out.path)
        io_close(out.file);
    free(out.path);
    out.path = NULL;
    if (!path || out.silent)
        return OK;
    out.file = io_open(path, O_RDWR | O_CREAT | O_APPEND, 0666);
    if (out.file < 0)
        return fail(E_SPACE, "%s: cannot be written: %s", path, strerror(errno));
    out.path = mem_text(path);
    return OK;
}

/* If the log cannot be written, the run goes on without it. */
static void put_file(const char *text)
{
    if (file_add_line(out.file, text) || out.torn)
        return;
    out.torn = true;
    log_warn("%s: cannot be written: %s; the run goes on", out.path, strerror(errno));
}

enum { COLUMNS = 120, INDENT = 10 };

/* Where to cut a line so that it fits: at the last space within `columns`, else at the first space behind
 * them, else at its end. */
static size_t cut_at(const char *line, size_t length, size_t columns)
{
    size_t indent = strspn(line, " "), at = 0;
    if (length <= columns)
        return length;
    for (size_t i = indent; i < length && (i <= columns || at == 0); i++)
        if (line[i] == ' ')
            at = i;
    return at ? at : length;
}

/* The text in lines of at most COLUMNS characters, indented after each cut. Caller frees. */
static char *wrapped(const char *text)
{
    char *lines = mem_text("");
    for (;;) {
        size_t length = strcspn(text, "\n"), n = cut_at(text, length, COLUMNS);
        mem_append(&lines, "%.*s", (int)n, text);
        while (n < length) {
            text += n + 1;
            length -= n + 1;
            n = cut_at(text, length, COLUMNS - INDENT);
            mem_append(&lines, "\n%*s%.*s", INDENT, "", (int)n, text);
        }
        if (text[length] == '\0')
            return lines;
        mem_append(&lines, "\n");
        text += length + 1;
    }
}

/* Write a message to the log file, and to `stream` unless it is NULL. It may have several lines. Names in it
 * come from files and command lines, so control characters are masked. */
static void put(FILE *stream, const char *prefix, const char *text)
{
    if (out.silent)
        return;
    char *whole = text_mask(mem_format("%s%s", prefix, text)), *shown = wrapped(whole);
    if (stream)
        fprintf(stream, "%s\n", shown);
    if (out.path)
        put_file(shown);
    free(shown);
    free(whole);
}

void log_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = mem_format_list(format, args);
    va_end(args);
    put(out.quiet ? NULL : stdout, "", text);
    free(text);
}

static bool is_known(const char *warning)
{
    for (int i = 0; i < out.warnings; i++)
        if (strcmp(out.warning[i], warning) == 0)
            return true;
    return false;
}

void log_warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = mem_format_list(format, args);
    va_end(args);
    if (is_known(text)) {
        free(text);
        return;
    }
    put(out.quiet ? NULL : stderr, "warning   ", text);
    out.warning = mem_grow(out.warning, out.warnings + 1, sizeof *out.warning);
    out.warning[out.warnings++] = text;
}

void log_error(const char *text)
{
    put(stderr, "coppice: ", text);
}

int log_warnings(void)
{
    return out.warnings;
}

const char *log_warning(int i)
{
    return out.warning[i];
}
