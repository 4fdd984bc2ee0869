/* Whole files, whole reads and writes at offsets, and publishing a finished file. Every reader and writer of
 * user files stands on these few calls and on base/io. Not collective; offsets and sizes in bytes.
 * E_DATA: the file is not there, not a regular one, denied, or shorter than it must be. E_IO: it cannot be
 * read now, and reading was tried again. E_SPACE: it cannot be written. errno says why. */
#ifndef BASE_FILE_H
#define BASE_FILE_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

/** Open a regular file for reading; *size is its size. What is just the text of a lost link of the hub's
 * cache leads to its blob. E_DATA, E_IO. */
status file_open(int *fd, int64_t *size, const char *path) MUST_USE;
/** The entry of path's folder that was probably meant: PATH and `suffix` lead nowhere, and its name with that
 *  suffix is near. Without the suffix; NULL if none is near. Caller frees. */
char *file_near(const char *path, const char *suffix);
/** "; did you mean FILE?" where a file does not exist and one of the same extension has nearly its name; else
 * "". Caller frees. */
char *file_meant(const char *path);
/** Read exactly n bytes at `at`. `path` is for the message. E_DATA if the file is shorter, E_IO. */
status file_read(int fd, const char *path, int64_t at, int64_t n, void *out) MUST_USE;
/** The bytes of a regular file, with a NUL behind them; at most `limit`. *bytes is owned by the caller.
 *  E_DATA, E_IO. */
status file_load(const char *path, int64_t limit, char **bytes, int64_t *size) MUST_USE;

/** A digest of up to 64 blocks of 4 KiB, evenly over the file, the first and the last among them: it tells a
 * file from another one without reading all of it. E_IO, E_DATA. */
status file_sample(int fd, const char *path, int64_t size, uint64_t *digest) MUST_USE;

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

/** A small file that readers see whole, old or new; it is not synced. E_SPACE. */
status file_replace(const char *path, const char *text) MUST_USE;
/** Append a line; a new file begins with the line `first` (NULL: without one). What a crash left of a line
 *  is ended first, so that it does not swallow this one. E_SPACE. */
status file_append(const char *path, const char *line, const char *first) MUST_USE;
/** Append to a text file that is open for it and for reading, as file_append does: false, with errno. */
bool file_add_line(int fd, const char *prefix, const char *line);

/** May a name from a file stand in messages and tables: 1 to `limit` bytes, no control bytes? */
bool file_name_ok(const char *name, int64_t limit);

#endif
