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

static const struct status_about table[] = {
    /* clang-format off */
    {OK, "ok", "done, or nothing to do"},
    {E_DIFFERENT, "different", "a comparison failed"},
    {E_DECK, "deck", "deck, site file or command line; the run folder is another job's"},
    {E_DATA, "data", "a model or data file"},
    {E_RESOURCE, "resource", "memory, stack or device missing"},
    {E_BUG, "bug", "a mistake in Coppice itself: please report it"},
    {E_NAN, "nan", "loss or gradient not finite or a spike, the state before it saved; replicas differ"},
    {E_HANG, "hang", "a rank made no progress (run.watchdog)"},
    {E_SPACE, "space", "cannot write: disk full, quota, permission"},
    {E_COMM, "communication", "communication or a rank lost, or a file cannot be read now: try again"},
    {E_STOP, "stopped", "stopped by a signal or the job's end, saved; or a requeued job that must wait: requeue"},
    {E_NOCKPT, "no checkpoint", "no usable checkpoint"},
    {E_ASKED, "stopped by the user", "stopped by RUN/stop, saved: do not requeue"},
    /* clang-format on */
};

const struct status_about *status_list(int *n)
{
    *n = sizeof table / sizeof *table;
    return table;
}

const char *status_name(status code)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].code == code)
            return table[i].name;
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
