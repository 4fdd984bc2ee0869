/* Inside ckpt/: what a save writes. Where every piece goes follows from (model, layout, rank) alone: the
 * ranks of a writer group have one file together, in it one dataset, and in that each rank has a region: its
 * masters, then its moments, in the order of its shards. Not collective. */
#ifndef CKPT_WRITE_H
#define CKPT_WRITE_H
#include "base/crew.h"
#include "ckpt/extent.h"
#include "comm/comm.h"

/* Of one rank's region. */
struct region_plan {
    int file, n_files;
    bool first;           /* this rank lays the file out */
    int64_t elements;     /* of the group's dataset */
    int64_t before, mine; /* elements before this rank's region, and in it */
};
struct region_plan region_plan(const struct comm *, const struct store *, int64_t writers);

struct piece_out {
    struct extent extent;
    const struct tensor *tensor;
    struct shard whole; /* the shard that it is a part of */
    int64_t done;       /* elements of the shard before it */
    int64_t at;         /* elements of the region before it */
    const float *from;  /* host memory that stays until it is written */
    uint64_t hash;
};
/* The pieces of a region, in order; each of at most EXTENT_ELEMENTS. */
struct writing {
    const struct store *store;
    int n;
    struct piece_out *piece;
    char *path; /* of the file */
    int fd;
};

void writing_open(struct writing *, const struct store *, const struct region_plan *);
void writing_close(struct writing *);
/** Make the file, with the dataset and room for it. *offset: of the dataset, in bytes. E_SPACE. */
status writing_lay_out(const struct region_plan *, const char *path, int64_t *offset) MUST_USE;
/** From now on the pieces lie in the file `path`, whose dataset begins at `offset`. */
void writing_place(struct writing *, const struct region_plan *, const char *path, int64_t offset);
/** Open the file to write to. E_SPACE. */
status writing_begin(struct writing *) MUST_USE;
/** crew_work of a region: piece i is scanned and written; piece n: the file is synced and closed. E_SPACE;
 * E_NAN: a value is not finite. */
status writing_write(void *region, int64_t i) MUST_USE;
/** crew_work: piece i is read back from the disk and compared with its digest. E_NOCKPT, E_IO. */
status writing_verify(void *region, int64_t i) MUST_USE;
/** Open the file under its final name to verify it; the page cache forgets it. E_IO. */
status writing_reopen(struct writing *, const char *path) MUST_USE;

#endif
