#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>
#include "base/io.h"
#include "base/mem.h"
#include "base/near.h"
#include "base/once.h"

/* Does the name end in the suffix? *length: characters before it. False also if these are too many. */
static bool has_suffix(const char *name, const char *suffix, int *length)
{
    int n = (int)strlen(name) - (int)strlen(suffix);
    *length = n;
    return n > 0 && n <= NEAR_LENGTH && strcmp(name + n, suffix) == 0;
}

char *file_near(const char *path, const char *suffix)
{
    const char *slash = strrchr(path, '/'), *given = slash ? slash + 1 : path;
    char *folder = slash ? mem_format("%.*s", (int)(slash - path + 1), path) : mem_text("."), *found = NULL;
    DIR *d = strlen(given) <= NEAR_LENGTH ? io_opendir(folder) : NULL;
    int best = 1 + near_limit(given), n;
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.' || !has_suffix(e->d_name, suffix, &n))
            continue;
        char *name = mem_format("%.*s", n, e->d_name);
        int distance = near_distance(given, name);
        if (distance < best && distance < (int)strlen(given)) {
            best = distance;
            free(found);
            found = mem_format("%s%s", slash ? folder : "", name);
        }
        free(name);
    }
    if (d)
        closedir(d);
    free(folder);
    return found;
}

char *file_meant(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    const char *end = dot && dot > name ? dot : path + strlen(path);
    char *stem = mem_format("%.*s", (int)(end - path), path), *near = file_near(stem, end);
    char *hint = near ? mem_format("; did you mean %s%s?", near, end) : mem_text("");
    free(near);
    free(stem);
    return hint;
}

/* A path that leads nowhere or is denied is a mistake in the input (E_DATA); other errors are the system's.
 */
static status cannot(const char *path, const char *what)
{
    int error = errno;
    bool input = io_absent(error) || error == EACCES || error == EPERM || error == ELOOP ||
                 error == ENAMETOOLONG || error == ENXIO || error == EISDIR;
    char *hint = io_absent(error) ? file_meant(path) : mem_text("");
    status s = fail(input ? E_DATA : E_IO, "%s: cannot be %s: %s%s", path, what, strerror(error), hint);
    free(hint);
    errno = error;
    return s;
}

/* Open a regular file. */
static status open_regular(int *fd, int64_t *size, const char *path)
{
    struct stat about;
    /* O_NONBLOCK: if the path is a pipe, opening it must not hang. */
    int opened = io_open(path, O_RDONLY | O_NONBLOCK, 0);
    if (opened < 0)
        return cannot(path, "opened");
    if (fstat(opened, &about) != 0 || !S_ISREG(about.st_mode)) {
        io_close(opened);
        errno = EINVAL;
        return fail(E_DATA, "%s: not a regular file", path);
    }
    *fd = opened;
    *size = about.st_size;
    return OK;
}

/* A copy of the Hugging Face hub's cache may have lost its symbolic links. Each is then a file whose whole
 * text is the target, "../../blobs/NAME". Returns the path of that blob, or NULL for any other file. Caller
 * frees. */
static char *lost_link(int fd, int64_t size, const char *path)
{
    static const char blobs[] = "../../blobs/";
    enum { PREFIX = sizeof blobs - 1, LONGEST = 200 };
    char text[LONGEST + 1];
    const char *slash = strrchr(path, '/');
    if (size <= PREFIX || size > LONGEST || io_read_all(fd, text, size, 0) != size)
        return NULL;
    text[size] = '\0';
    size_t name = strspn(text + PREFIX, "0123456789abcdefABCDEF");
    if (strncmp(text, blobs, PREFIX) != 0 || PREFIX + (int64_t)name != size)
        return NULL;
    char *blob = mem_format("%.*s%s", slash ? (int)(slash - path + 1) : 0, path, text);
    if (io_exists(blob))
        return blob;
    free(blob);
    return NULL;
}

status file_open(int *fd, int64_t *size, const char *path)
{
    TRY(open_regular(fd, size, path));
    char *blob = lost_link(*fd, *size, path);
    if (!blob)
        return OK;
    io_close(*fd);
    status code = open_regular(fd, size, blob);
    free(blob);
    return code;
}

status file_read(int fd, const char *path, int64_t at, int64_t n, void *out)
{
    int64_t got = io_read_all(fd, out, n, at);
    if (got == n)
        return OK;
    if (got < 0)
        return fail(E_IO, "%s: cannot be read: %s", path, strerror(errno));
    errno = 0;
    return fail(E_DATA, "%s: ends at byte %lld, in the middle of its data", path, (long long)(at + got));
}

static status load(const char *path, int64_t limit, char **bytes, int64_t *size)
{
    int fd;
    TRY(file_open(&fd, size, path));
    status s = *size <= limit ? OK
                              : fail(E_DATA, "%s: %lld bytes are more than the %lld that this file may have",
                                     path, (long long)*size, (long long)limit);
    if (s == OK) {
        *bytes = mem_new(*size + 1, 1);
        s = file_read(fd, path, 0, *size, *bytes);
        if (s != OK)
            free(*bytes);
    }
    io_close(fd);
    return s;
}

status file_load(const char *path, int64_t limit, char **bytes, int64_t *size)
{
    if (once_get(path, limit, bytes, size))
        return OK;
    TRY(load(path, limit, bytes, size));
    once_put(path, *bytes, *size);
    return OK;
}

status file_sample(int fd, const char *path, int64_t size, uint64_t *digest)
{
    enum { BLOCK = 4096, BLOCKS = 64 };
    char block[BLOCK];
    int64_t n = size < BLOCK ? size : BLOCK, last = size - n;
    uint64_t sum = (uint64_t)size;
    for (int i = 0; i < BLOCKS; i++) {
        TRY(file_read(fd, path, (int64_t)((double)last * i / (BLOCKS - 1)), n, block));
        sum = XXH3_64bits_withSeed(block, (size_t)n, sum);
    }
    *digest = sum;
    return OK;
}

/* ---- drafts ---- */

static void forget(struct file_draft *f)
{
    free(f->path);
    free(f->draft);
    *f = (struct file_draft){.fd = -1};
}

status file_begin(struct file_draft *f, const char *path)
{
    *f = (struct file_draft){.path = mem_text(path), .draft = mem_format("%s.tmp", path)};
    f->fd = io_open(f->draft, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0666);
    if (f->fd >= 0)
        return OK;
    status s = fail(E_SPACE, "%s: cannot be created: %s", f->draft, strerror(errno));
    forget(f);
    return s;
}

status file_write(const struct file_draft *f, int64_t at, int64_t n, const void *data)
{
    if (io_write_all(f->fd, data, n, at))
        return OK;
    return fail(E_SPACE, "%s: cannot be written: %s", f->draft, strerror(errno));
}

/* A rename is durable once the folder is synced. */
static bool sync_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? mem_format("%.*s", (int)(slash - path + 1), path) : mem_text(".");
    bool good = io_sync_folder(folder);
    free(folder);
    return good;
}

/* Give the draft its own name, and end it. */
static status finish(struct file_draft *f, bool durable)
{
    bool good = !durable || io_fsync(f->fd) == 0;
    int error = errno;
    if (io_close(f->fd) != 0 && good) {
        good = false;
        error = errno;
    }
    if (good && !(io_rename(f->draft, f->path) == 0 && (!durable || sync_parent(f->path)))) {
        good = false;
        error = errno;
    }
    status s = good ? OK : fail(E_SPACE, "%s: cannot be completed: %s", f->path, strerror(error));
    if (!good)
        io_unlink(f->draft);
    forget(f);
    return s;
}

status file_publish(struct file_draft *f)
{
    return finish(f, true);
}

void file_abandon(struct file_draft *f)
{
    io_close(f->fd);
    io_unlink(f->draft);
    forget(f);
}

/* ---- small texts ---- */

status file_replace(const char *path, const char *text)
{
    struct file_draft f;
    TRY(file_begin(&f, path));
    status s = file_write(&f, 0, (int64_t)strlen(text), text);
    if (s == OK)
        return finish(&f, false);
    file_abandon(&f);
    return s;
}

/* The last byte of a file; a newline if the file is empty. */
static char last_byte(int fd)
{
    struct stat about;
    char last = '\n';
    if (fstat(fd, &about) == 0 && about.st_size > 0)
        (void)!io_read_all(fd, &last, 1, about.st_size - 1);
    return last;
}

bool file_add_line(int fd, const char *line)
{
    char *text = mem_format("%s%s\n", last_byte(fd) == '\n' ? "" : "\n", line);
    bool good = io_write_all(fd, text, (int64_t)strlen(text), -1);
    int error = errno;
    free(text);
    errno = error;
    return good;
}

status file_append(const char *path, const char *line, const char *first)
{
    struct stat about;
    int fd = io_open(path, O_RDWR | O_CREAT | O_APPEND, 0666);
    bool good = fd >= 0;
    if (good && first && fstat(fd, &about) == 0 && about.st_size == 0)
        good = file_add_line(fd, first);
    good = good && file_add_line(fd, line);
    int error = errno;
    if (fd >= 0 && io_close(fd) != 0 && good) {
        good = false;
        error = errno;
    }
    return good ? OK : fail(E_SPACE, "%s: cannot be written: %s", path, strerror(error));
}

status file_make_folders(const char *path)
{
    char *copy = mem_text(path);
    status code = OK;
    for (char *at = copy + 1; code == OK; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char end = *at;
        *at = '\0';
        if (io_mkdir(copy, 0777) != 0 && errno != EEXIST)
            code = fail(E_SPACE, "%s: cannot make this folder: %s", copy, strerror(errno));
        *at = end;
        if (!end)
            break;
    }
    free(copy);
    return code;
}

bool file_name_ok(const char *name, int64_t limit)
{
    int64_t n = 0;
    for (const unsigned char *c = (const unsigned char *)name; *c; c++, n++)
        if (n == limit || *c < 0x20 || *c == 0x7f)
            return false;
    return n > 0;
}
