#include "base/terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where stdout of a process goes: a path, "pipe:[123]", or "" if that cannot be found out. */
static void stdout_of(long pid, char out[256])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/fd/1", pid);
    ssize_t n = readlink(path, out, 255);
    out[n > 0 ? n : 0] = '\0';
}

/* The parent of a process; 0 if unknown. */
static long parent_of(long pid)
{
    char path[64], text[512] = "";
    long parent = 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *f = fopen(path, "re");
    const char *end = f && fgets(text, sizeof text, f) ? strrchr(text, ')') : NULL; /* names may hold ')' */
    if (end && sscanf(end + 1, " %*c %ld", &parent) != 1)
        parent = 0;
    if (f)
        fclose(f);
    return parent;
}

/* The nearest ancestor whose stdout is not ours is the launcher, or its helper on another node. */
static bool launcher_has_terminal(void)
{
    char mine[256], other[256];
    stdout_of(getpid(), mine);
    for (long pid = getppid(); pid > 1; pid = parent_of(pid)) {
        stdout_of(pid, other);
        if (strcmp(other, mine) != 0)
            return !strncmp(other, "/dev/pts/", 9) || !strncmp(other, "/dev/tty", 8);
    }
    return false;
}

bool terminal_watched(bool launched)
{
    const char *plain = getenv("NO_COLOR"), *term = getenv("TERM");
    if ((plain && *plain) || (term && !strcmp(term, "dumb")))
        return false;
    return isatty(STDOUT_FILENO) && (!launched || launcher_has_terminal());
}
