/* The system calls on files, in one place. They go on after EINTR; calls that read are tried again, with
 * pauses, after errors that may pass (EIO, ESTALE, ...). They return what the call returns, with errno.
 *
 * Tests make one of them fail: COPPICE_FAIL=OP:RANK:K[+][:ERRNO]. The K-th call OP of rank RANK fails with
 * ERRNO (a name or a number; EIO if not given); with K+ all later ones fail too. SHORT in the place of ERRNO:
 * a read or write moves half of its bytes. Each failure is told on stderr. */
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

/** Read COPPICE_FAIL. E_DECK if it makes no sense. */
status io_faults_open(void) MUST_USE;
/** From now on this process is that rank (0 before). */
void io_faults_rank(int rank);
/** Does this call fail? Sets errno and tells. For calls that a library makes (format/h5.c). */
bool io_fails(enum io_op, const char *path);

/** O_CLOEXEC is added. */
int io_open(const char *path, int flags, mode_t mode);
int io_close(int fd);
int io_fsync(int fd);
int io_stat(const char *path, struct stat *);
/** Is there something of this name? False also if nobody can tell. */
bool io_exists(const char *path);
int io_rename(const char *from, const char *to);
int io_link(const char *from, const char *to);
int io_mkdir(const char *path, mode_t);
int io_unlink(const char *path);
int io_rmdir(const char *path);
DIR *io_opendir(const char *path);
/** Up to n bytes at `at` (-1: where the file stands): fewer only at its end. Bytes read, -1 = failed. */
int64_t io_read_all(int fd, void *to, int64_t n, int64_t at);
/** n bytes at `at` (-1: where the file stands, or its end with O_APPEND). */
bool io_write_all(int fd, const void *from, int64_t n, int64_t at);
/** Make names in a folder durable. Some network file systems refuse to sync folders: that counts as done. */
bool io_sync_folder(const char *path);
/** A path, or the nearest folder above it that is there. Caller frees. */
char *io_nearest(const char *path);
/** The errno of a name that leads to nothing: ENOENT or ENOTDIR. */
bool io_absent(int error);

#endif
