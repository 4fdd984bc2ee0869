/* Whole files, whole reads and writes at offsets, and publishing a finished file. All reading and writing of
 * user files goes through these calls and base/io. Not collective; offsets and sizes are in bytes. E_DATA:
 * the file does not exist, is no regular file, is denied, or is shorter than it must be. E_IO: it cannot be
 * read now, even after several tries. E_SPACE: it cannot be written. errno says why. */
#ifndef BASE_FILE_H
#define BASE_FILE_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

/** Open a regular file for reading; *size is its size. If its whole text is that of a lost link in a copy of
 * the Hugging Face cache, the link's target is opened. E_DATA, E_IO. */
status file_open(int *fd, int64_t *size, const char *path) MUST_USE;
/** For a PATH that does not exist with this suffix: the entry of its folder whose name with the suffix is
 * nearest, without the suffix; NULL if none is near. Caller frees. */
char *file_near(const char *path, const char *suffix);
/** "; did you mean FILE?" if the file does not exist and one of the same extension has nearly the same name;
 * else
 *  "". Caller frees. */
char *file_meant(const char *path);
/** Read exactly n bytes at offset `at`. `path` is for the message. E_DATA if the file is shorter, E_IO. */
status file_read(int fd, const char *path, int64_t at, int64_t n, void *out) MUST_USE;
/** Read a regular file of at most `limit` bytes; a NUL stands behind them. What base/once.h knows of it is
 * not read again. Caller frees *bytes. E_DATA, E_IO. */
status file_load(const char *path, int64_t limit, char **bytes, int64_t *size) MUST_USE;

/** A digest of up to 64 blocks of 4 KiB, spread evenly from the first to the last. It tells files apart
 * without reading all of them. E_IO, E_DATA. */
status file_sample(int fd, const char *path, int64_t size, uint64_t *digest) MUST_USE;

/** A file that is written as PATH.tmp and renamed to PATH when it is complete. */
struct file_draft {
    char *path, *draft;
    int fd;
};
/** Begin. A PATH.tmp of an earlier run is overwritten. E_SPACE. */
status file_begin(struct file_draft *, const char *path) MUST_USE;
/** Write exactly n bytes at offset `at`. E_SPACE. */
status file_write(const struct file_draft *, int64_t at, int64_t n, const void *data) MUST_USE;
/** Sync, rename, sync the folder. Ends the draft, also if it fails. E_SPACE. */
status file_publish(struct file_draft *) MUST_USE;
/** Remove the draft and end it. */
void file_abandon(struct file_draft *);

/** Write a small file so that readers see the whole old or the whole new text. It is not synced. E_SPACE. */
status file_replace(const char *path, const char *text) MUST_USE;
/** Append a line. A new file begins with the line `first`, unless it is NULL. If a crash left half a line, it
 * is ended first. E_SPACE. */
status file_append(const char *path, const char *line, const char *first) MUST_USE;
/** The same for a text file that is open for reading and appending. False with errno if it fails. */
bool file_add_line(int fd, const char *line);

/** Make a folder and those above it, where they do not exist. E_SPACE. */
status file_make_folders(const char *path) MUST_USE;

/** May a name from a file stand in messages and tables? It must have 1 to `limit` bytes and no control bytes.
 */
bool file_name_ok(const char *name, int64_t limit);

#endif
