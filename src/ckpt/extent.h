/* Inside ckpt/: extents in shard files, and index.h5. Not collective. */
#ifndef CKPT_EXTENT_H
#define CKPT_EXTENT_H
#include "ckpt/ckpt.h"

/* The unit of digest, and so of reading: large enough for disks, small enough that a reader with
 * another layout does not read much that it does not need. */
enum { EXTENT_ELEMENTS = 4 << 20, SAVED_KINDS = 3 };

enum kind saved_kind(int i);      /* i = 0, 1, 2: MASTER, MOMENT1, MOMENT2 */
const char *kind_name(enum kind); /* "master", "moment1", "moment2" */
int64_t extent_bytes(const struct extent *);
/** Read an extent from its file: to out [part.n] as fp32, or only to look at it (NULL). *digest: XXH3-64 of
 * the bytes that came. One thread. E_DATA: the file is shorter; E_IO. */
status extent_read(int fd, const char *path, const struct extent *, float *out, uint64_t *digest) MUST_USE;
/** The same, judged: E_NOCKPT with file and tensor if it is damaged; E_IO. */
status extent_load(int fd, const char *path, const struct ckpt_index *, const struct extent *,
                   float *out) MUST_USE;
/** Index of the first extent that is not before (tensor, kind). */
int extent_first(const struct ckpt_index *, int tensor, enum kind);

/* Reads whole extents and verifies them. Holds the last file open and the last extent in memory. */
struct reader {
    const struct ckpt_index *index;
    const char *dir;    /* both borrowed */
    int file, fd, held; /* file and held: -1 = none */
    char *path;         /* of the file that is open */
    float *data;
    int64_t bytes; /* read so far */
};
void reader_open(struct reader *, const struct ckpt_index *, const char *dir);
void reader_close(struct reader *);
/** A failure to read a part of a checkpoint, judged: what cannot be read now or is denied is E_IO, for it may
 * be good; all else (missing, too short, another digest, another structure) is damage, E_NOCKPT. `where` is
 * put behind the message. Reads errno. */
status ckpt_verdict(status, const char *where) MUST_USE;
/** Fill out [want->n] (host) with what the checkpoint has of a piece of tensor[] `tensor`.
 *  E_NOCKPT, with file and tensor, if an extent is damaged or an element is missing; E_IO. */
status reader_fill(struct reader *, int tensor, enum kind, const piece *want, float *out) MUST_USE;

/** Extents by tensor and kind for search, then as they lie on disk for reading. */
void ckpt_index_sort(struct ckpt_index *);
/** Write index.h5 (which must not exist) and sync it. */
status ckpt_index_write(const struct ckpt_index *, const char *path) MUST_USE;

#endif
