/* Files for unit tests of one process: a temporary folder in the current one, files written byte by byte,
 * reference files that may be absent, and a look at the error record. */
#ifndef UNIT_SCRATCH_H
#define UNIT_SCRATCH_H
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/status.h"

static char scratch_folder[] = "scratch.XXXXXX";
static char *scratch_paths[8];

/* Keeps the last eight paths alive, so that tests need not free them. */
static const char *scratch_keep(char *path)
{
    static int next;
    char **slot = &scratch_paths[next++ % 8];
    free(*slot);
    return *slot = path;
}

/** Path of a file in the temporary folder, which the first call makes; "" is the folder. */
__attribute__((unused)) static const char *scratch(const char *name)
{
    static bool made;
    if (!made && !mkdtemp(scratch_folder))
        exit(99);
    made = true;
    return scratch_keep(*name ? mem_format("%s/%s", scratch_folder, name) : mem_text(scratch_folder));
}

/** Write `n` bytes to a file there; returns its path. */
__attribute__((unused)) static const char *scratch_write(const char *name, const void *bytes, size_t n)
{
    const char *path = scratch(name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0)
        exit(99);
    return path;
}

__attribute__((unused)) static void scratch_remove(void)
{
    char *command = mem_format("rm -rf '%s'", scratch_folder);
    if (system(command) != 0)
        printf("# %s stays\n", scratch_folder);
    free(command);
    for (int i = 0; i < 8; i++)
        free(scratch_paths[i]);
}

/** Path of a reference file (beside the sources, or in $COPPICE_SHARED), NULL if it is not there. */
__attribute__((unused)) static const char *shared(const char *name)
{
    const char *root = getenv("COPPICE_SHARED"), *srcdir = getenv("srcdir");
    const char *path = scratch_keep(root ? mem_format("%s/%s", root, name)
                                         : mem_format("%s/../shared/%s", srcdir ? srcdir : ".", name));
    return access(path, R_OK) == 0 ? path : NULL;
}

/** Is `part` in the error record? Shows the record if not. */
__attribute__((unused)) static bool says(const char *part)
{
    bool found = strstr(status_text(), part) != NULL;
    if (!found)
        printf("# the message is: %s\n", status_text());
    return found;
}

#endif
