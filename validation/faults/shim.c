/* LD_PRELOAD: writes down what a program does to files, and can spoil one write. Everything under
 * FILES_UNDER (a folder's path) is written to FILES_TRACE, all ranks into one file, in the order in which it
 * took effect:
 *   O inode new path      opened; new: 1 if that made the file, 2 if it emptied it
 *   R inode offset bytes  read at an offset
 *   W inode offset bytes  written; with FILES_DATA=1 the bytes follow the line
 *   T inode size          cut or extended
 *   S inode               synced, a file or a folder
 *   N path path           renamed;  X path path: exchanged;  L path path: linked
 *   M inode path          folder made
 *   U path                removed, a file or an empty folder
 * FILES_FLIP=K: one bit of the K-th write of 1 KiB or more to a file shard_* differs on the disk, and nobody
 * is told. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t ready = PTHREAD_ONCE_INIT;
static int trace = -1;
static long flip;
static bool with_data;
static char under[4096];

static void begin(void)
{
    const char *to = getenv("FILES_TRACE"), *where = getenv("FILES_UNDER"), *nth = getenv("FILES_FLIP");
    with_data = getenv("FILES_DATA") != NULL;
    flip = nth ? atol(nth) : 0;
    if (where)
        snprintf(under, sizeof under, "%s", where);
    if (to)
        trace = (int)syscall(SYS_openat, AT_FDCWD, to, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

/* One call at a time, over all ranks: the lock is the trace's. */
static void enter(void)
{
    pthread_once(&ready, begin);
    pthread_mutex_lock(&mutex);
    if (trace >= 0)
        syscall(SYS_flock, trace, LOCK_EX);
}

static void leave(void)
{
    if (trace >= 0)
        syscall(SYS_flock, trace, LOCK_UN);
    pthread_mutex_unlock(&mutex);
}

static void put(const void *bytes, size_t n)
{
    for (const char *at = bytes; n > 0;) {
        long done = syscall(SYS_write, trace, at, n);
        if (done <= 0)
            abort();
        at += done;
        n -= (size_t)done;
    }
}

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void note(const char *format, ...)
{
    char line[2 * 4096 + 64];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    put(line, (size_t)n);
}

static bool below(const char *path)
{
    return trace >= 0 && *under && !strncmp(path, under, strlen(under));
}

/* The file of a descriptor, if it is below; *inode is its number. */
static bool known(int fd, char path[4096], unsigned long *inode)
{
    char link[64];
    struct stat about;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, 4095);
    path[n > 0 ? n : 0] = '\0';
    if (!below(path) || fstat(fd, &about) != 0)
        return false;
    *inode = about.st_ino;
    return true;
}

/* ---- opening ---- */

static int open_at(const char *path, int flags, mode_t mode)
{
    struct stat about;
    char name[4096];
    unsigned long inode;
    enter();
    bool was = stat(path, &about) == 0;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fd >= 0 && !(flags & O_PATH) && known(fd, name, &inode))
        note("O %lu %d %s\n", inode, !was ? 1 : flags & O_TRUNC ? 2 : 0, name);
    leave();
    return fd;
}

#define OPENS(name)                                                             \
    int name(const char *path, int flags, ...)                                  \
    {                                                                           \
        va_list list;                                                           \
        va_start(list, flags);                                                  \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0; \
        va_end(list);                                                           \
        return open_at(path, flags, mode);                                      \
    }
OPENS(open)
OPENS(open64)

/* ---- reading and writing ---- */

static ssize_t read_at(int fd, void *to, size_t n, off_t at)
{
    char path[4096];
    unsigned long inode;
    enter();
    if (known(fd, path, &inode))
        note("R %lu %lld %zu\n", inode, (long long)at, n);
    leave();
    return syscall(SYS_pread64, fd, to, n, at);
}
ssize_t pread(int fd, void *to, size_t n, off_t at)
{
    return read_at(fd, to, n, at);
}
ssize_t pread64(int fd, void *to, size_t n, off_t at)
{
    return read_at(fd, to, n, at);
}

static void written(unsigned long inode, long long at, const void *from, ssize_t n)
{
    if (n <= 0)
        return;
    note("W %lu %lld %zd\n", inode, at, n);
    if (with_data)
        put(from, (size_t)n);
}

/* What goes to the disk instead; NULL: what was given. */
static char *spoiled(int fd, const void *from, size_t n)
{
    char path[4096];
    unsigned long inode;
    if (flip <= 0 || n < 1024 || !known(fd, path, &inode) || !strstr(path, "/shard_") || --flip > 0)
        return NULL;
    char *other = malloc(n);
    memcpy(other, from, n);
    other[n / 2] ^= 4;
    fprintf(stderr, "FILES_FLIP: %s\n", path);
    return other;
}

static ssize_t write_at(int fd, const void *from, size_t n, off_t at)
{
    char path[4096];
    unsigned long inode;
    enter();
    char *other = spoiled(fd, from, n);
    ssize_t done = syscall(SYS_pwrite64, fd, other ? other : from, n, at);
    if (known(fd, path, &inode))
        written(inode, at, from, done);
    free(other);
    leave();
    return done;
}
ssize_t pwrite(int fd, const void *from, size_t n, off_t at)
{
    return write_at(fd, from, n, at);
}
ssize_t pwrite64(int fd, const void *from, size_t n, off_t at)
{
    return write_at(fd, from, n, at);
}

ssize_t write(int fd, const void *from, size_t n)
{
    char path[4096];
    unsigned long inode;
    enter();
    ssize_t done = syscall(SYS_write, fd, from, n);
    if (known(fd, path, &inode))
        written(inode, (long long)syscall(SYS_lseek, fd, 0, SEEK_CUR) - done, from, done);
    leave();
    return done;
}

static void sized(int fd)
{
    char path[4096];
    unsigned long inode;
    struct stat about;
    if (known(fd, path, &inode) && fstat(fd, &about) == 0)
        note("T %lu %lld\n", inode, (long long)about.st_size);
}

static int cut(int fd, off_t size)
{
    enter();
    int result = (int)syscall(SYS_ftruncate, fd, size);
    if (result == 0)
        sized(fd);
    leave();
    return result;
}
int ftruncate(int fd, off_t size)
{
    return cut(fd, size);
}
int ftruncate64(int fd, off_t size)
{
    return cut(fd, size);
}

static int reserve(int fd, int mode, off_t at, off_t n)
{
    enter();
    int result = (int)syscall(SYS_fallocate, fd, mode, at, n);
    if (result == 0)
        sized(fd);
    leave();
    return result;
}
int fallocate(int fd, int mode, off_t at, off_t n)
{
    return reserve(fd, mode, at, n);
}
int fallocate64(int fd, int mode, off_t at, off_t n)
{
    return reserve(fd, mode, at, n);
}

int fsync(int fd)
{
    char path[4096];
    unsigned long inode;
    enter();
    int result = (int)syscall(SYS_fsync, fd);
    if (result == 0 && known(fd, path, &inode))
        note("S %lu\n", inode);
    leave();
    return result;
}

/* ---- names ---- */

static int named(char what, int result, const char *a, const char *b)
{
    if (result == 0 && below(a))
        note("%c %s %s\n", what, a, b);
    return result;
}

int rename(const char *a, const char *b)
{
    enter();
    int result = named('N', (int)syscall(SYS_renameat, AT_FDCWD, a, AT_FDCWD, b), a, b);
    leave();
    return result;
}

int renameat2(int at, const char *a, int to, const char *b, unsigned flags)
{
    enter();
    int result =
        named(flags & RENAME_EXCHANGE ? 'X' : 'N', (int)syscall(SYS_renameat2, at, a, to, b, flags), a, b);
    leave();
    return result;
}

int link(const char *a, const char *b)
{
    enter();
    int result = named('L', (int)syscall(SYS_linkat, AT_FDCWD, a, AT_FDCWD, b, 0), a, b);
    leave();
    return result;
}

int mkdir(const char *path, mode_t mode)
{
    struct stat about;
    enter();
    int result = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (result == 0 && below(path) && stat(path, &about) == 0)
        note("M %lu %s\n", (unsigned long)about.st_ino, path);
    leave();
    return result;
}

static int removed(const char *path, int flags)
{
    enter();
    int result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, flags);
    if (result == 0 && below(path))
        note("U %s\n", path);
    leave();
    return result;
}
int unlink(const char *path)
{
    return removed(path, 0);
}
int rmdir(const char *path)
{
    return removed(path, AT_REMOVEDIR);
}
