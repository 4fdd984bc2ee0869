/* Sharded checkpoints: the table x {MASTER, MOMENT1, MOMENT2} + attributes + the resolved deck.
 *   RUN/ckpt/step_00000100/{index.h5, shard_0000.h5, ...};  RUN/ckpt/latest is only a hint.
 * Writer groups (default: the ranks of a node) write one HDF5 file each: the group's first rank lays
 * it out (one dataset per bucket and kind), then every rank writes its own pieces with pwrite and a
 * digest (XXH3-64) taken from memory. index.h5 lists every extent with its global position, file,
 * offset and digest, and has a digest of its own; the loader trusts only that, so any layout can
 * read. The folder is written as step_N.tmp and renamed when all ranks agreed.
 * E_SPACE: cannot write; E_NOCKPT: damaged; E_IO: cannot be read now, and may be good; E_DECK: of another
 * model. (Crash-proof commit comes later.) */
#ifndef CKPT_CKPT_H
#define CKPT_CKPT_H
#include "ckpt/lock.h"
#include "comm/comm.h"
#include "format/source.h"
#include "model/store.h"

struct ckpt_state { /* everything that is state beside the table */
    int64_t step, samples, tokens, horizon, leg;
    char *deck; /* resolved deck, text; owned by the holder */
    char *data; /* data_identity of what it was trained on; NULL: of an older version. Owned by the holder */
};

struct extent {
    struct shard shard; /* bucket and at are not kept */
    int file;
    int64_t offset; /* bytes */
    uint64_t digest;
};

struct ckpt_index {
    struct ckpt_state state;
    struct config config;
    int n_tensors, n_extents, n_files;
    struct tensor *tensor; /* name, dim, decay and trained as saved */
    struct extent *extent; /* sorted by (tensor, kind); shard.tensor indexes tensor[] */
    char **file;           /* names inside the folder */
    uint64_t hash[KINDS];  /* of MASTER and both moments (0 where absent) */
};

/** Bytes that a checkpoint of a model takes on disk, all files together. Pure. */
int64_t ckpt_bytes(const struct model *);
/** Host memory that a rank's save touches: what it writes at once. Pure. */
int64_t ckpt_buffer_bytes(const struct store *);
/** Local: is there room for `n` more of `bytes` each under run_dir? OK if nobody can tell; E_SPACE. */
status ckpt_room(const char *run_dir, int64_t bytes, int64_t n) MUST_USE;
/** COLLECTIVE: save a training store. `writers` ranks write one file together; 0 stands for those of a node.
 *  *bytes is what all ranks wrote of tensors. A checkpoint of the same step is replaced; after a failure
 * older ones are untouched. `lock` is rank 0's on run_dir: it is looked at before the folder is begun and
 * before it is committed. NULL means that nobody else knows run_dir. */
status ckpt_save(struct comm *, const struct store *, const struct ckpt_state *, const char *run_dir,
                 struct lock *lock, int64_t writers, int64_t *bytes) MUST_USE;
/** COLLECTIVE: newest usable checkpoint under run_dir/ckpt (index good, files there and long enough; digests
 *  are verified by loading); others are warned of. *path caller frees; NULL and OK if there is none at all,
 *  E_NOCKPT if there are some, set aside or not, but none is usable; E_IO if a newer one cannot be read now.
 */
status ckpt_find(struct comm *, const char *run_dir, char **path) MUST_USE;
/** Local: what ckpt_find looks for; NULL and OK if there is no checkpoint. */
status ckpt_newest(const char *run_dir, char **path) MUST_USE;
/** COLLECTIVE: a checkpoint that loading found damaged becomes step_N.bad, with a warning that repeats the
 *  error record; ckpt_find then gives the next older one. E_SPACE. */
status ckpt_set_aside(struct comm *, const char *dir) MUST_USE;
/** Local: a checkpoint's folder from its own path or that of a run folder (its newest usable one).
 *  E_NOCKPT. *dir caller frees. */
status ckpt_resolve(const char *path, char **dir) MUST_USE;
/** Local: is its index good, are its files there and long enough? Digests are verified by loading. E_NOCKPT,
 * E_IO. */
status ckpt_usable(const char *dir) MUST_USE;
/** Local: read index.h5 of a checkpoint folder. */
status ckpt_index_read(struct ckpt_index *, const char *dir) MUST_USE;
/** COLLECTIVE: the same; rank 0 reads the file, all ranks get its bytes. */
status ckpt_index_load(struct comm *, struct ckpt_index *, const char *dir) MUST_USE;
void ckpt_index_free(struct ckpt_index *);
/** Local: are names and sizes of its tensors those of the model? E_DECK names the first that differs. */
status ckpt_fits(const struct ckpt_index *, const char *dir, const struct model *) MUST_USE;
/** COLLECTIVE: fill MASTER and (of a training store) moments of any layout, digests verified, then the
 *  working weights by all-gather. Hashes after loading equal those saved, or E_NOCKPT. */
status ckpt_load(struct comm *, struct store *, struct group *const group[GROUPS], const struct ckpt_index *,
                 const char *dir) MUST_USE;
/** Local: MASTER of a checkpoint as a source (arrays named as tensors), for export and inspect. */
status ckpt_source(struct source **, const char *dir) MUST_USE;
/** Delete all but `keep` (>= 1) usable checkpoints, the newest and that of step `made`, which was just saved,
 * and what broken saves left. Rank 0 only, best effort. */
void ckpt_prune(const char *run_dir, int64_t keep, int64_t made);
/** Remove what broken saves left. Rank 0 only, under the lock; best effort. */
void ckpt_sweep(const char *run_dir);

#endif
