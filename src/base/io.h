/* The system calls on files, in one place. They go on after EINTR. Calls that read are tried again, with
 * pauses, after errors that may pass (EIO, ESTALE, ...). They return what the system call returns, with
 * errno.
 *
 * Tests can make a call fail: COPPICE_FAIL=OP:RANK:K[+][:ERRNO]. The K-th call of OP by rank RANK fails with
 * ERRNO (a name or a number; EIO if not given). With K+ all later calls fail too. With SHORT instead of ERRNO
 * a read or write moves half of its bytes. With HANG the call never returns. Each failure is reported on
 * stderr. */
#ifndef BASE_IO_H
#define BASE_IO_H
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include "base/status.h"

/* clang-format off */
#define IO_OPS(X) \
    X(open) X(stat) X(opendir) X(read) X(pread) X(write) X(pwrite) X(fsync) X(close) X(rename) X(link) \
    X(mkdir) X(unlink)
/* clang-format on */
#define IO_OP(op) IO_##op,
enum io_op { IO_OPS(IO_OP) IO_COUNT };
#undef IO_OP

/** Read COPPICE_FAIL. E_DECK if it has another form. */
status io_faults_open(void) MUST_USE;
/** Tell COPPICE_FAIL which rank this process is; before that it counts as rank 0. */
void io_faults_rank(int rank);
/** Must this call fail? Then errno is set and the failure reported. For calls that a library makes. */
bool io_fails(enum io_op, const char *path);

/** O_CLOEXEC is added. */
int io_open(const char *path, int flags, mode_t mode);
int io_close(int fd);
int io_fsync(int fd);
int io_stat(const char *path, struct stat *);
/** Of the name itself, should it be a symbolic link. */
int io_lstat(const char *path, struct stat *);
/** access(2); counts as stat. */
int io_access(const char *path, int mode);
/** Does the path exist? False also if this cannot be found out. */
bool io_exists(const char *path);
int io_rename(const char *from, const char *to);
int io_link(const char *from, const char *to);
int io_mkdir(const char *path, mode_t);
int io_unlink(const char *path);
int io_rmdir(const char *path);
DIR *io_opendir(const char *path);
/** scandir(3) in the order of names; counts as opendir. */
int io_scandir(const char *path, struct dirent ***, int (*wanted)(const struct dirent *));
/** Read n bytes at offset `at` (-1: at the file's position), fewer only at its end. Returns bytes read; -1 if
 * it failed. */
int64_t io_read_all(int fd, void *to, int64_t n, int64_t at);
/** Write n bytes at offset `at` (-1: at the file's position, or at its end with O_APPEND). False if it
 * failed. */
bool io_write_all(int fd, const void *from, int64_t n, int64_t at);
/** Begin to write to disk what was written there; only a hint. */
void io_write_soon(int fd, int64_t at, int64_t n);
/** What is read there comes from the disk, as far as the system obeys; what was written must be synced. */
void io_forget(int fd, int64_t at, int64_t n);
/** Reserve room, so that writing there does not run out of space or quota later. True where the file system
 *  knows no such call. */
bool io_reserve(int fd, int64_t at, int64_t n);
/** Let two names of one folder change places at once: false with errno, EINVAL or ENOSYS where that is
 *  unknown. */
bool io_exchange(const char *a, const char *b);
/** Make the names in a folder durable. A file system that cannot sync folders counts as success. */
bool io_sync_folder(const char *path);
/** The path if it exists, else the nearest folder above it that does. Caller frees. */
char *io_nearest(const char *path);
/** Does this errno mean that the path does not exist: ENOENT or ENOTDIR? */
bool io_absent(int error);

#endif
