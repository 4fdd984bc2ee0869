/* HDF5 files. They are serial, written once and never opened again for writing. Datasets are contiguous and
 * allocated when they are created; their bytes are then written by pwrite at the offset that HDF5 gives.
 * Equal contents give equal bytes, because there are no time stamps. Errors carry HDF5's innermost message:
 * E_SPACE when writing, E_DATA when reading. Files that are read are not trusted: they must have contiguous
 * or compact layout, hard links, no external storage, no filters, and sizes as expected and no larger than
 * the file. Not collective; one thread at a time. */
#ifndef FORMAT_H5_H
#define FORMAT_H5_H
#include <stdint.h>
#include "base/status.h"
#include "layout/slab.h"

struct h5;
status h5_create(struct h5 **, const char *path) MUST_USE; /* the file must not exist */
status h5_open(struct h5 **, const char *path) MUST_USE;   /* read only */
/** Open a file whose bytes are in memory, where they must stay until it is closed. `path` is for messages.
 *  E_DATA. */
status h5_open_bytes(struct h5 **, const char *path, const void *bytes, int64_t n) MUST_USE;
status h5_close(struct h5 *) MUST_USE; /* flush, close; fsync if created */
/** The same without the fsync: for a file that is written on by other means, and synced then. */
status h5_close_unsynced(struct h5 *) MUST_USE;
void h5_abandon(struct h5 *); /* close after an error, without a message */

/** Allocate a dataset of n floats without filling it, and make the groups in its name ("group/data"). If it
 * has 4 KiB or more, it is aligned to 4 KiB. *offset: its first byte in the file; 0 if n = 0. */
status h5_layout_f32(struct h5 *, const char *name, int64_t n, int64_t *offset) MUST_USE;
/* A box of a virtual dataset: so many elements of a one-dimensional dataset of floats in another file of the
 * same folder. */
struct h5_part {
    const char *file, *dataset;
    int64_t elements, from; /* of that dataset: all, and the first one of the box */
    slab box;
};
/** Write a virtual dataset of floats, made of n parts: programs that read HDF5 see one array. Here none is
 * ever read. dim [rank], rank <= 3; boxes use the last `rank` of their dimensions. */
status h5_write_virtual(struct h5 *, const char *name, int rank, const int64_t *dim, const struct h5_part *,
                        int n) MUST_USE;
/** Write small datasets whole. Texts are fixed strings without NUL. */
status h5_write_i64(struct h5 *, const char *name, const int64_t *x, int64_t rows, int64_t columns) MUST_USE;
status h5_write_text(struct h5 *, const char *name, const char *text) MUST_USE;
status h5_write_lines(struct h5 *, const char *name, char *const lines[], int64_t n) MUST_USE;
/** Read small datasets whole. Caller frees *x; of lines, each one and then the array. */
status h5_read_i64(struct h5 *, const char *name, int64_t **x, int64_t *rows, int64_t *columns) MUST_USE;
status h5_read_text(struct h5 *, const char *name, char **text) MUST_USE;
status h5_read_lines(struct h5 *, const char *name, char ***lines, int64_t *n) MUST_USE;
/** Offset and length of a float dataset, after checking that it is contiguous fp32 in this file. */
status h5_find_f32(struct h5 *, const char *name, int64_t *n, int64_t *offset) MUST_USE;
const char *h5_version(void);

#endif
