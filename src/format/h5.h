/* HDF5, the only room that includes hdf5.h. Serial files, written once and never reopened for
 * writing; contiguous, early-allocated datasets whose bytes are then written by pwrite at the
 * offset HDF5 gives. Not collective. Errors carry HDF5's innermost message; E_SPACE when writing,
 * E_DATA when reading. Input files are not trusted: contiguous or compact layout, hard links only,
 * no external storage, no filters, sizes as expected and no larger than the file. Equal contents
 * give equal bytes (no time stamps). One thread at a time. */
#ifndef FORMAT_H5_H
#define FORMAT_H5_H
#include <stdint.h>
#include "base/status.h"

struct h5;
status h5_create(struct h5 **, const char *path) MUST_USE; /* O_EXCL semantics: must not exist */
status h5_open(struct h5 **, const char *path) MUST_USE;   /* read only */
/** Of the bytes of a whole file, which must stay until it is closed; nothing is read from disk. `path` is for
 *  messages. E_DATA. */
status h5_open_bytes(struct h5 **, const char *path, const void *bytes, int64_t n) MUST_USE;
status h5_close(struct h5 *) MUST_USE; /* flush, close; fsync if created */
void h5_abandon(struct h5 *);          /* close after an error, say nothing */

/** Lay out a dataset of n floats, allocated now, not filled; groups in its name ("group/data") are
 *  made. From 4 KiB on it is aligned to 4 KiB. *offset = its first byte in the file (0 if n = 0). */
status h5_layout_f32(struct h5 *, const char *name, int64_t n, int64_t *offset) MUST_USE;
/** Whole small datasets. Texts are fixed strings that hold no NUL; trailing NULs are not kept. */
status h5_write_i64(struct h5 *, const char *name, const int64_t *x, int64_t rows, int64_t columns) MUST_USE;
status h5_write_text(struct h5 *, const char *name, const char *text) MUST_USE;
status h5_write_lines(struct h5 *, const char *name, char *const lines[], int64_t n) MUST_USE;
status h5_write_f64(struct h5 *, const char *name, const double *x, int64_t n) MUST_USE;
/** Read whole; *x is owned by the caller (lines: free each, then the array). */
status h5_read_i64(struct h5 *, const char *name, int64_t **x, int64_t *rows, int64_t *columns) MUST_USE;
status h5_read_text(struct h5 *, const char *name, char **text) MUST_USE;
status h5_read_lines(struct h5 *, const char *name, char ***lines, int64_t *n) MUST_USE;
status h5_read_f64(struct h5 *, const char *name, double **x, int64_t *n) MUST_USE;
/** Offset and length of a float dataset (checked: contiguous, fp32, no external storage). */
status h5_find_f32(struct h5 *, const char *name, int64_t *n, int64_t *offset) MUST_USE;
const char *h5_version(void);

#endif
