#define _GNU_SOURCE
#include "base/io.h"
#include "base/mem.h"
#include "base/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CALL_BYTES = 1 << 30 }; /* Linux moves less than 2 GiB per call */

/* ---- planned failures ---- */

#define IO_OP(op) #op,
static const char *const op_name[IO_COUNT] = {IO_OPS(IO_OP)};
#undef IO_OP

enum { SHORT = -1, HANG = -2 };
static const struct error {
    const char *name;
    int number;
} errors[] = {
    {"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EROFS", EROFS},   {"EACCES", EACCES},
    {"EPERM", EPERM},   {"ESTALE", ESTALE}, {"EINTR", EINTR},   {"EAGAIN", EAGAIN}, {"ENOLCK", ENOLCK},
    {"ENOENT", ENOENT}, {"EMFILE", EMFILE}, {"ENOMEM", ENOMEM}, {"EFBIG", EFBIG},   {"ETIMEDOUT", ETIMEDOUT},
    {"SHORT", SHORT},   {"HANG", HANG},
};

static struct {
    bool on, lasting;
    enum io_op op;
    int rank, error;
    long nth;
} plan;
static int rank;
static atomic_long calls; /* how often this rank called the planned op */

static int error_of(const char *text)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (!strcmp(errors[i].name, text))
            return errors[i].number;
    return atoi(text);
}

static int op_of(const char *text)
{
    int op = 0;
    while (op < IO_COUNT && strcmp(op_name[op], text) != 0)
        op++;
    return op;
}

/* Does the op move a number of bytes, so that SHORT makes sense? */
static bool moves(enum io_op op)
{
    return op == IO_read || op == IO_pread || op == IO_write || op == IO_pwrite;
}

status io_faults_open(void)
{
    const char *text = getenv("COPPICE_FAIL");
    char op[16], nth[24], error[16] = "EIO", more, *end = nth;
    if (!text || !*text)
        return OK;
    int n = sscanf(text, "%15[^:]:%d:%23[^:]:%15[^:]%c", op, &plan.rank, nth, error, &more);
    int found = n == 3 || n == 4 ? op_of(op) : IO_COUNT;
    if (found < IO_COUNT) {
        plan.op = (enum io_op)found;
        plan.nth = strtol(nth, &end, 10);
        plan.lasting = *end == '+';
        plan.error = error_of(error);
    }
    plan.on = found < IO_COUNT && plan.nth > 0 && end[plan.lasting] == '\0' &&
              (plan.error > 0 || plan.error == HANG || (plan.error == SHORT && moves(plan.op)));
    return plan.on
               ? OK
               : fail(
                     E_DECK,
                     "COPPICE_FAIL: %s: it has the form OP:RANK:K[+][:ERRNO], for instance pwrite:0:3:ENOSPC",
                     text);
}

void io_faults_rank(int number)
{
    rank = number;
}

static const char *meaning(int error)
{
    return error == SHORT ? "half of it" : error == HANG ? "it never returns" : strerror(error);
}

/* Is this the call that must fail? */
static bool hits(enum io_op op, const char *path)
{
    progress_op(op_name[op]);
    if (!plan.on || plan.op != op || plan.rank != rank)
        return false;
    long n = atomic_fetch_add(&calls, 1) + 1;
    if (n != plan.nth && !(plan.lasting && n > plan.nth))
        return false;
    fprintf(stderr, "COPPICE_FAIL: rank %d, %s %ld%s%s: %s\n", rank, op_name[op], n, *path ? ": " : "", path,
            meaning(plan.error));
    while (plan.error == HANG)
        pause();
    return true;
}

bool io_fails(enum io_op op, const char *path)
{
    if (!hits(op, path))
        return false;
    errno = plan.error;
    return true;
}

/* How many of n bytes this call may move; -1 if it must fail. */
static int64_t allowed(enum io_op op, int64_t n)
{
    n = n < CALL_BYTES ? n : CALL_BYTES;
    if (!hits(op, ""))
        return n;
    errno = plan.error;
    return plan.error == SHORT ? (n + 1) / 2 : -1;
}

/* ---- trying again ---- */

bool io_absent(int error)
{
    return error == ENOENT || error == ENOTDIR;
}

/* Will the same call give the same answer? */
static bool is_lasting(int error)
{
    static const int list[] = {ENOENT, ENOTDIR, EACCES, EPERM, EISDIR, ELOOP,  ENAMETOOLONG,
                               EINVAL, EBADF,   ENXIO,  EROFS, EFBIG,  EFAULT, EOVERFLOW};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (error == list[i])
            return true;
    return false;
}

/* Should a failed call be made once more? Reading is tried again after 0.1, 0.4 and 1.6 seconds. */
static bool again(bool reads, int *tries)
{
    enum { TRIES = 3 };
    int error = errno;
    if (error == EINTR)
        return true;
    if (!reads || is_lasting(error) || *tries == TRIES)
        return false;
    long ms = 100L << (2 * (*tries)++);
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
    errno = error;
    return true;
}

/* result = call, tried again while that may help. A negative result is a failure. */
#define CALL(op, path, reads, call)                 \
    int tries_ = 0, result_;                        \
    do                                              \
        result_ = io_fails(op, path) ? -1 : (call); \
    while (result_ < 0 && again(reads, &tries_));   \
    return result_

int io_open(const char *path, int flags, mode_t mode)
{
    CALL(IO_open, path, (flags & O_ACCMODE) == O_RDONLY, open(path, flags | O_CLOEXEC, mode));
}

int io_stat(const char *path, struct stat *about)
{
    CALL(IO_stat, path, true, stat(path, about));
}

int io_lstat(const char *path, struct stat *about)
{
    CALL(IO_stat, path, true, lstat(path, about));
}

int io_access(const char *path, int mode)
{
    CALL(IO_stat, path, true, access(path, mode));
}

int io_fsync(int fd)
{
    CALL(IO_fsync, "", false, fsync(fd));
}

int io_rename(const char *from, const char *to)
{
    CALL(IO_rename, from, false, rename(from, to));
}

int io_link(const char *from, const char *to)
{
    CALL(IO_link, from, false, link(from, to));
}

int io_mkdir(const char *path, mode_t mode)
{
    CALL(IO_mkdir, path, false, mkdir(path, mode));
}

int io_unlink(const char *path)
{
    CALL(IO_unlink, path, false, unlink(path));
}

int io_rmdir(const char *path)
{
    CALL(IO_unlink, path, false, rmdir(path));
}

/* Linux closes the file even if close() reports an error, so it must not be called again. */
int io_close(int fd)
{
    int result = close(fd);
    return io_fails(IO_close, "") ? -1 : result;
}

DIR *io_opendir(const char *path)
{
    int tries = 0;
    DIR *dir;
    do
        dir = io_fails(IO_opendir, path) ? NULL : opendir(path);
    while (!dir && again(true, &tries));
    return dir;
}

int io_scandir(const char *path, struct dirent ***entry, int (*wanted)(const struct dirent *))
{
    CALL(IO_opendir, path, true, scandir(path, entry, wanted, alphasort));
}

bool io_exists(const char *path)
{
    struct stat about;
    return io_stat(path, &about) == 0;
}

int64_t io_read_all(int fd, void *to, int64_t n, int64_t at)
{
    int64_t done = 0;
    int tries = 0;
    while (done < n) {
        int64_t want = allowed(at < 0 ? IO_read : IO_pread, n - done);
        char *p = (char *)to + done;
        ssize_t got = want < 0 ? -1
                      : at < 0 ? read(fd, p, (size_t)want)
                               : pread(fd, p, (size_t)want, at + done);
        if (got == 0)
            break;
        if (got < 0 && !again(true, &tries))
            return -1;
        done += got > 0 ? got : 0;
    }
    return done;
}

bool io_write_all(int fd, const void *from, int64_t n, int64_t at)
{
    for (int64_t done = 0; done < n;) {
        int64_t want = allowed(at < 0 ? IO_write : IO_pwrite, n - done);
        const char *p = (const char *)from + done;
        ssize_t put = want < 0 ? -1
                      : at < 0 ? write(fd, p, (size_t)want)
                               : pwrite(fd, p, (size_t)want, at + done);
        if (put == 0)
            errno = ENOSPC;
        if (put <= 0 && errno != EINTR)
            return false;
        done += put > 0 ? put : 0;
    }
    return true;
}

void io_write_soon(int fd, int64_t at, int64_t n)
{
#ifdef SYNC_FILE_RANGE_WRITE
    sync_file_range(fd, at, n, SYNC_FILE_RANGE_WRITE);
#else
    (void)fd, (void)at, (void)n;
#endif
}

void io_forget(int fd, int64_t at, int64_t n)
{
    posix_fadvise(fd, at, n, POSIX_FADV_DONTNEED);
}

bool io_reserve(int fd, int64_t at, int64_t n)
{
#ifdef __linux__
    int tries = 0, result;
    do
        result = fallocate(fd, 0, at, n);
    while (result < 0 && again(false, &tries));
    return result == 0 || errno == EOPNOTSUPP || errno == ENOSYS;
#else
    (void)fd, (void)at, (void)n;
    return true;
#endif
}

bool io_exchange(const char *a, const char *b)
{
#ifdef RENAME_EXCHANGE
    return !io_fails(IO_rename, a) && renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) == 0;
#else
    (void)a, (void)b;
    errno = ENOSYS;
    return false;
#endif
}

bool io_sync_folder(const char *path)
{
    int fd = io_open(path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return false;
    bool good = io_fsync(fd) == 0 || errno == EINVAL || errno == EROFS;
    int error = errno;
    io_close(fd);
    errno = error;
    return good;
}

char *io_nearest(const char *path)
{
    char *at = *path == '/' ? mem_text(path) : mem_format("./%s", path);
    struct stat about;
    while (io_stat(at, &about) != 0 && io_absent(errno) && at[1]) {
        char *slash = strrchr(at, '/');
        slash[slash == at] = '\0'; /* the root folder keeps its slash */
    }
    return at;
}
