#include "base/install.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/io.h"
#include "base/mem.h"
#include "config.h"

/* The program's folder, without links; "" if it is not known. Caller frees. */
static char *own_folder(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = '\0';
    return mem_text(path);
}

/* Is it the folder that make install puts programs into? */
static bool is_bindir(const char *folder)
{
    char *bin = realpath(INSTALL_BIN, NULL);
    bool same = bin && strcmp(bin, folder) == 0;
    free(bin);
    return same;
}

/* FOLDER/NAME if it exists, else NULL. Takes `before`, which is a find of an earlier call, if there is one.
 */
static char *find(char *before, const char *folder, const char *name)
{
    if (before)
        return before;
    char *path = mem_format("%s/%s", folder, name);
    if (io_exists(path))
        return path;
    free(path);
    return NULL;
}

char *install_data(const char *name)
{
    char *own = own_folder(), *beside = mem_format("%s/../share/coppice", own);
    char *found = find(NULL, beside, name);
    if (is_bindir(own))
        found = find(found, INSTALL_DATA, name);
    else
        found = find(find(found, INSTALL_SOURCE, name), INSTALL_SOURCE "/input", name);
    char *whole = found ? realpath(found, NULL) : NULL;
    free(found);
    free(own);
    free(beside);
    return whole;
}

char *install_setting(const char *name)
{
    char *own = own_folder(), *folder = mem_format("%s/../share/coppice", own), *path = NULL;
    char *beside = mem_format("%s/../etc/coppice/%s", own, name);
    bool installed = io_exists(folder), here = io_exists(beside);
    if (is_bindir(own) && !here)
        path = mem_format("%s/coppice/%s", INSTALL_SETTINGS, name);
    else if (*own && installed)
        path = mem_format("%.*s/etc/coppice/%s", (int)(strrchr(own, '/') - own), own, name);
    free(own);
    free(folder);
    free(beside);
    return path;
}
