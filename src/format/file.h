/* Whole reads and writes at offsets, and publishing a finished file. Every reader and writer of this
 * room stands on these few calls. Not collective; offsets and sizes in bytes. */
#ifndef FORMAT_FILE_H
#define FORMAT_FILE_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

/** Open a regular file for reading; *size is its size. E_DATA. */
status file_open(int *fd, int64_t *size, const char *path) MUST_USE;
/** Read exactly n bytes at `at`. `path` is for the message. E_DATA, also if the file is shorter. */
status file_read(int fd, const char *path, int64_t at, int64_t n, void *out) MUST_USE;
/** A failure to read `path` as what it should be, told by what it seems to be instead if its first bytes show
 *  that (a git-lfs pointer, an HTML page, ...); else as it was. OK stays OK. */
status file_explain(status, const char *path) MUST_USE;

/** A file that is written under the name PATH.tmp and gets its own name when it is complete. */
struct file_draft {
    char *path, *draft;
    int fd;
};
/** Begin; a draft left by an earlier run is overwritten. E_SPACE. */
status file_begin(struct file_draft *, const char *path) MUST_USE;
/** Write exactly n bytes at `at`. E_SPACE. */
status file_write(const struct file_draft *, int64_t at, int64_t n, const void *data) MUST_USE;
/** fsync, rename, fsync of the folder; ends the draft whether it succeeds or not. E_SPACE. */
status file_publish(struct file_draft *) MUST_USE;
/** Remove the draft and end it. */
void file_abandon(struct file_draft *);

/** May a name from a file stand in messages and tables: 1 to `limit` bytes, no control bytes? */
bool file_name_ok(const char *name, int64_t limit);

#endif
