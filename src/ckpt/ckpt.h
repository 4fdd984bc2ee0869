/* Sharded checkpoints: the table x {MASTER, MOMENT1, MOMENT2} + attributes + the resolved deck.
 *   RUN/ckpt/step_00000100/{index.h5, shard_0000.h5, ...};  RUN/ckpt/latest is only a hint.
 * Writer groups (default: the ranks of a node) write one HDF5 file each: the group's first rank lays
 * it out (one dataset per bucket and kind), then every rank writes its own pieces with pwrite and a
 * digest (XXH3-64) taken from memory. index.h5 lists every extent with its global position, file,
 * offset and digest; the loader trusts only that, so any layout can read. The folder is written as
 * step_N.tmp and renamed when all ranks agreed. (Crash-proof commit comes later: ckpt/commit.) */
#ifndef CKPT_CKPT_H
#define CKPT_CKPT_H
#include "comm/comm.h"
#include "format/source.h"
#include "model/store.h"

struct ckpt_state { /* everything that is state beside the table */
    int64_t step, samples, tokens, horizon, leg;
    char *deck;     /* resolved deck, text; owned by the holder */
};

struct extent { struct shard shard; int file; int64_t offset; uint64_t digest; }; /* offset in bytes */
struct ckpt_index {
    struct ckpt_state state;
    struct config config;
    int n_tensors, n_extents, n_files;
    struct tensor *tensor;      /* names, dims, flags as saved */
    struct extent *extent;      /* shard.tensor indexes tensor[] */
    char **file;                /* names inside the folder */
    uint64_t hash[KINDS];       /* of MASTER and both moments (0 where absent) */
};

/** COLLECTIVE. writers: ranks per file, 0 = a node's. *bytes: written by all ranks. */
status ckpt_save(struct comm *, const struct store *, const struct ckpt_state *, const char *run_dir, int64_t writers,
                 int64_t *bytes) MUST_USE;
/** COLLECTIVE: newest usable checkpoint under run_dir/ckpt. *path caller frees; NULL (and OK) if there is none. */
status ckpt_find(struct comm *, const char *run_dir, char **path) MUST_USE;
/** Local: read index.h5 of a checkpoint folder. */
status ckpt_index_read(struct ckpt_index *, const char *dir) MUST_USE;
void ckpt_index_free(struct ckpt_index *);
/** COLLECTIVE: fill MASTER and moments of a training store (any layout), digests verified, then the
 *  working weights by all-gather. Hashes after loading equal those saved, or E_NOCKPT. */
status ckpt_load(struct comm *, struct store *, struct group *const group[GROUPS], const struct ckpt_index *, const char *dir) MUST_USE;
/** Local: MASTER of a checkpoint as a source (arrays named as tensors), for export and inspect. */
status ckpt_source(struct source **, const char *dir) MUST_USE;
/** Delete all but the newest `keep` checkpoints. Rank 0 only, best effort. */
void ckpt_prune(const char *run_dir, int64_t keep);

#endif
