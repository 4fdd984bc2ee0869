#include "format/outdir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/io.h"
#include "base/mem.h"

static const char MARKER[] = "coppice-writes-here";

/* The first entry of a folder other than . and ..; NULL if there is none. Caller frees. */
static char *first_entry(const char *dir)
{
    char *found = NULL;
    DIR *d = io_opendir(dir);
    for (struct dirent *e; d && !found && (e = readdir(d));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
            found = mem_format("%s/%s", dir, e->d_name);
    if (d)
        closedir(d);
    return found;
}

/* Remove a folder of plain files. False, and the folder stays, if it has folders inside. */
static bool remove_folder(const char *dir)
{
    bool going = true;
    while (going) {
        char *path = first_entry(dir);
        going = path && io_unlink(path) == 0;
        free(path);
    }
    return io_rmdir(dir) == 0;
}

static bool is_folder(const char *path)
{
    struct stat about;
    return io_lstat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

static bool exists(const char *path)
{
    struct stat about;
    return io_lstat(path, &about) == 0;
}

static bool is_empty(const char *dir)
{
    char *entry = first_entry(dir);
    free(entry);
    return entry == NULL;
}

/* The last name of a path. Slashes at its end are cut off. */
static const char *last_name(char *path)
{
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
        path[n - 1] = '\0';
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static status check_dir(char *dir)
{
    const char *name = last_name(dir);
    if (!*name || !strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, "/"))
        return fail(E_DECK, "\"%s\": give the new folder a name", dir);
    if (!exists(dir) || (is_folder(dir) && is_empty(dir)))
        return OK;
    return fail(E_DECK, "%s: exists and is not an empty folder: give the export a new name", dir);
}

/* If DIR.partial exists, remove it if a killed export left it, and refuse anything else. */
static status clear_partial(const char *partial)
{
    if (!exists(partial) || (is_folder(partial) && is_empty(partial) && io_rmdir(partial) == 0))
        return OK;
    char *path = mem_format("%s/%s", partial, MARKER);
    int fd = is_folder(partial) ? io_open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0) : -1;
    free(path);
    if (fd < 0)
        return fail(E_DECK, "%s: exists and is not an unfinished export: move it away, or give a new name",
                    partial);
    bool busy = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    bool removed = !busy && remove_folder(partial);
    io_close(fd);
    if (removed)
        return OK;
    return busy ? fail(E_DECK, "%s: another export is writing it now", partial)
                : fail(E_SPACE, "%s: an unfinished export that cannot be removed: move it away", partial);
}

static status make_partial(struct outdir *o)
{
    char *path = mem_format("%s/%s", o->partial, MARKER);
    if (io_mkdir(o->partial, 0777) == 0)
        o->marker = io_open(path, O_RDWR | O_CREAT | O_EXCL, 0666);
    status s = o->marker >= 0 ? OK : fail(E_SPACE, "%s: cannot be made: %s", o->partial, strerror(errno));
    if (s == OK)
        flock(o->marker, LOCK_EX | LOCK_NB); /* fails on file systems without locks; the export goes on */
    free(path);
    return s;
}

static void forget(struct outdir *o)
{
    if (o->marker >= 0)
        io_close(o->marker);
    free(o->dir);
    free(o->partial);
    *o = (struct outdir){.marker = -1};
}

status outdir_begin(struct outdir *o, const char *dir)
{
    *o = (struct outdir){.dir = mem_text(dir), .marker = -1};
    status s = check_dir(o->dir);
    o->partial = mem_format("%s.partial", o->dir);
    if (s == OK)
        s = clear_partial(o->partial);
    if (s == OK)
        s = make_partial(o);
    if (s != OK)
        forget(o);
    return s;
}

status outdir_publish(struct outdir *o)
{
    status s = OK;
    if (io_rename(o->partial, o->dir) != 0)
        s = fail(E_SPACE, "%s: complete, but cannot be renamed to %s: %s", o->partial, o->dir,
                 strerror(errno));
    char *marker = mem_format("%s/%s", s == OK ? o->dir : o->partial, MARKER);
    io_unlink(marker);
    free(marker);
    forget(o);
    return s;
}

void outdir_abandon(struct outdir *o)
{
    remove_folder(o->partial);
    forget(o);
}
