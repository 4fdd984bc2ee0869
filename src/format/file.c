#include "format/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"

enum { CALL_BYTES = 1 << 30 }; /* Linux moves less than 2 GiB per call */

status file_open(int *fd, int64_t *size, const char *path)
{
    struct stat about;
    /* O_NONBLOCK: opening a pipe that somebody put there must not hang. */
    int opened = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (opened < 0)
        return fail(E_DATA, "%s: cannot be opened: %s", path, strerror(errno));
    if (fstat(opened, &about) != 0 || !S_ISREG(about.st_mode)) {
        close(opened);
        return fail(E_DATA, "%s: not a regular file", path);
    }
    *fd = opened;
    *size = about.st_size;
    return OK;
}

status file_read(int fd, const char *path, int64_t at, int64_t n, void *out)
{
    char *to = out;
    while (n > 0) {
        ssize_t got = pread(fd, to, (size_t)(n < CALL_BYTES ? n : CALL_BYTES), at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(E_DATA, "%s: cannot be read: %s", path, strerror(errno));
        if (got == 0)
            return fail(E_DATA, "%s: ends at byte %lld, in the middle of its data", path, (long long)at);
        to += got;
        at += got;
        n -= got;
    }
    return OK;
}

/* How files begin that are often found where weights, indices or JSON should be. */
static const struct {
    const char *begin;
    const char *is;
} kinds[] = {
    {"version https://git-lfs",
     "a git-lfs pointer, not the file itself: install git-lfs and run `git lfs pull` in "
     "its folder, or download the file anew"},
    {"<!doctype", "an HTML page: the download was answered by a web page (log-in, error); download it anew"},
    {"<html", "an HTML page: the download was answered by a web page (log-in, error); download it anew"},
    {"Entry not found", "the hub's answer to a download that failed, not the file"},
    {"Invalid username or password", "the hub's answer to a download that was refused, not the file"},
    {"Access to model",
     "the hub's answer to a download that was refused, not the file: ask for access there"},
    {"../../blobs/", "the text of a symbolic link of the hub's cache, not the file: copy the cache with cp -rL"},
    {"GGUF", "a GGUF file of llama.cpp, not safetensors"},
    {"PK\3\4", "a file of torch.save (a zip archive): convert it to safetensors"},
    {"\x80\2", "a file of torch.save (a pickle): convert it to safetensors"},
    {"\x89HDF", "an HDF5 file"},
    {"\x1f\x8b", "compressed by gzip: unpack it first"},
};
enum { BEGIN = 64 };

static const char *kind_of(const char *begin, int64_t size)
{
    static const char nothing[BEGIN];
    if (size == 0)
        return "empty: a download or copy that did not finish?";
    if (size >= BEGIN && !memcmp(begin, nothing, BEGIN))
        return "nothing but zeros at its beginning: a download or copy that did not finish?";
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strncasecmp(begin + strspn(begin, " \t\r\n"), kinds[i].begin, strlen(kinds[i].begin)))
            return kinds[i].is;
    return NULL;
}

status file_explain(status s, const char *path)
{
    char begin[BEGIN + 1] = "", *why = mem_text(status_text());
    int fd;
    int64_t size;
    if (s != OK && file_open(&fd, &size, path) == OK) {
        status read = file_read(fd, path, 0, size < BEGIN ? size : BEGIN, begin);
        const char *is = read == OK ? kind_of(begin, size) : NULL;
        close(fd);
        s = is ? fail(s, "%s: %s", path, is) : fail(s, "%s", why);
    } else if (s != OK)
        status_set_text(why);
    free(why);
    return s;
}

static void forget(struct file_draft *f)
{
    free(f->path);
    free(f->draft);
    *f = (struct file_draft){.fd = -1};
}

status file_begin(struct file_draft *f, const char *path)
{
    *f = (struct file_draft){.path = mem_text(path), .draft = mem_format("%s.tmp", path)};
    f->fd = open(f->draft, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (f->fd >= 0)
        return OK;
    status s = fail(E_SPACE, "%s: cannot be created: %s", f->draft, strerror(errno));
    forget(f);
    return s;
}

status file_write(const struct file_draft *f, int64_t at, int64_t n, const void *data)
{
    const char *from = data;
    while (n > 0) {
        ssize_t put = pwrite(f->fd, from, (size_t)(n < CALL_BYTES ? n : CALL_BYTES), at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return fail(E_SPACE, "%s: cannot be written: %s", f->draft, strerror(put < 0 ? errno : ENOSPC));
        from += put;
        at += put;
        n -= put;
    }
    return OK;
}

/* A rename is durable once the folder that holds the name is synced. */
static bool sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? mem_format("%.*s", (int)(slash - path + 1), path) : mem_text(".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    if (fd < 0)
        return false;
    /* Some network file systems refuse to sync folders; then there is nothing more to do. */
    bool good = fsync(fd) == 0 || errno == EINVAL || errno == EROFS;
    close(fd);
    return good;
}

status file_publish(struct file_draft *f)
{
    bool synced = fsync(f->fd) == 0;
    bool closed = close(f->fd) == 0;
    bool good = synced && closed && rename(f->draft, f->path) == 0 && sync_folder(f->path);
    status s = good ? OK : fail(E_SPACE, "%s: cannot be completed: %s", f->path, strerror(errno));
    if (!good)
        unlink(f->draft);
    forget(f);
    return s;
}

void file_abandon(struct file_draft *f)
{
    close(f->fd);
    unlink(f->draft);
    forget(f);
}

bool file_name_ok(const char *name, int64_t limit)
{
    int64_t n = 0;
    for (const unsigned char *c = (const unsigned char *)name; *c; c++, n++)
        if (n == limit || *c < 0x20 || *c == 0x7f)
            return false;
    return n > 0;
}
