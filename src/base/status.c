#include "base/status.h"

#include <execinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RECORD = 8192, FRAMES = 64 };

static _Thread_local char record[RECORD];

status fail(status code, const char *format, ...)
{
    char text[RECORD]; /* the arguments may point into the record */
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n >= RECORD)
        strcpy(text + RECORD - 4, "...");
    memcpy(record, text, sizeof text);
    return code;
}

const char *status_text(void)
{
    return record;
}

void status_set_text(const char *text)
{
    if (text != record)
        snprintf(record, sizeof record, "%s", text);
}

const char *status_name(status code)
{
    switch (code) {
    case OK: return "ok";
    case E_DIFFERENT: return "different";
    case E_DECK: return "deck";
    case E_DATA: return "data";
    case E_RESOURCE: return "resource";
    case E_BUG: return "bug";
    case E_NAN: return "nan";
    case E_HANG: return "hang";
    case E_SPACE: return "space";
    case E_COMM: return "communication";
    case E_STOP: return "stopped";
    case E_NOCKPT: return "no checkpoint";
    case E_ASKED: return "stopped by the user";
    }
    return "unknown";
}

void bug(const char *format, ...)
{
    void *frame[FRAMES];
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fputs("coppice: bug: ", stderr);
    vfprintf(stderr, format, args);
    fputs("\nThis is a mistake in Coppice, not in your input. Please report it with these lines:\n", stderr);
    fflush(stderr);
    va_end(args);
    int frames = backtrace(frame, FRAMES);
    for (int i = 1; i < frames; i++) /* one byte back, into the call: behind it may lie another function */
        frame[i] = (char *)frame[i] - 1;
    backtrace_symbols_fd(frame, frames, STDERR_FILENO);
    _exit(E_BUG); /* no clean-up: the launcher ends the other ranks if one never calls MPI_Finalize */
}
