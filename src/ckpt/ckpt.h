/* Sharded checkpoints: the table x {MASTER, MOMENT1, MOMENT2} + attributes + the resolved deck.
 *   RUN/ckpt/step_00000100/{index.h5, shard_0000.h5, ...};  RUN/ckpt/latest is only a hint.
 * Writer groups (default: the ranks of a node) write one HDF5 file each: the group's first rank lays
 * it out (one dataset), then every rank writes its own region with pwrite and digests (XXH3-64) taken
 * from memory. index.h5 lists every extent with its global position, file, offset and digest, and has a
 * digest of its own; the loader trusts only that, so any layout can read. The folder is written as
 * step_N.tmp and renamed when all ranks agreed; before that everything in it is on disk.
 * E_SPACE: cannot write; E_NOCKPT: damaged; E_IO: cannot be read now, and may be good; E_DECK: of another
 * model. */
#ifndef CKPT_CKPT_H
#define CKPT_CKPT_H
#include "ckpt/lock.h"
#include "comm/comm.h"
#include "format/source.h"
#include "model/store.h"

enum { RUN_ID = 33 }; /* 32 hexadecimal digits and the end */

struct ckpt_state { /* everything that is state beside the table */
    int64_t step, samples, tokens, horizon, leg;
    char run[RUN_ID]; /* of the run that it belongs to; "": of an older version */
    char *deck;       /* resolved deck, text; owned by the holder */
    char *data; /* data_identity of what it was trained on; NULL: of an older version. Owned by the holder */
};

struct extent {
    struct shard shard; /* bucket and at are not kept */
    dtype type;         /* stored as F32 or BF16 */
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
    char *about;           /* JSON: program, libraries and layout that wrote it; NULL: of an older version */
    uint64_t digest;       /* of all this */
};

/** Bytes that a checkpoint of a model takes on disk, all files together. Pure. */
int64_t ckpt_bytes(const struct model *);
/** Host memory for copies of all that a rank saves. Pure. */
int64_t ckpt_copy_bytes(const struct store *);
/** Local: is there room for `n` more of `bytes` each under run_dir? OK if nobody can tell; E_SPACE. */
status ckpt_room(const char *run_dir, int64_t bytes, int64_t n) MUST_USE;
/* Saving. A saver holds what all saves of a run share. A save goes from phase to phase; all ranks are in the
 * same one. One save at a time. */
enum saver_phase {
    SAVER_IDLE,
    SAVER_WRITING,   /* begun: threads write, or have written */
    SAVER_COMMITTED, /* it has its name */
    SAVER_VERIFYING  /* a thread reads it back */
};
struct saver;
struct saver_how {
    const char *run_dir; /* borrowed */
    struct lock *lock; /* rank 0's on run_dir: looked at before a folder is begun and before it is committed.
                          NULL: nobody else knows run_dir */
    int64_t writers;   /* ranks that write one file together; 0: those of a node */
    int threads;       /* of this rank, while it waits for a save */
    bool async;        /* write copies beside the steps, by one thread a rank */
};
struct saved {
    int64_t step, bytes; /* of tensors, of all ranks */
    double seconds;      /* from its begin to its name */
};
/** COLLECTIVE. The store must outlive it. */
void saver_open(struct saver **, struct comm *, const struct store *, const struct saver_how *);
/** COLLECTIVE. What is not committed is left to ckpt_sweep. NULL is fine. */
void saver_close(struct saver *);
enum saver_phase saver_phase(const struct saver *);
bool saver_is_async(const struct saver *);
/** Local: is a thread at work? The next two wait for it. */
bool saver_busy(const struct saver *);
/** COLLECTIVE, IDLE -> WRITING: begin to save; when it returns the store may change (the texts of the state
 * must stay). After a failure nothing is begun. E_SPACE. */
status saver_begin(struct saver *, const struct ckpt_state *) MUST_USE;
/** COLLECTIVE, WRITING -> COMMITTED: wait until all is on disk, then publish. A checkpoint of the same step
 * is replaced. After a failure (-> IDLE) older ones are untouched, and nothing of this one is left. E_SPACE;
 * E_NAN: a value is not finite, told with its tensor. */
status saver_commit(struct saver *, struct saved *) MUST_USE;
/** COLLECTIVE, COMMITTED -> VERIFYING: begin to read back from the disk what this rank wrote. */
void saver_verify(struct saver *);
/** COLLECTIVE, -> IDLE: wait for that. Until it has succeeded no older checkpoint should go. E_NOCKPT: the
 * disk gives back something else; E_IO: it cannot be read now. */
status saver_verified(struct saver *) MUST_USE;
/** COLLECTIVE: a save by itself: begin, commit. *bytes as in struct saved. */
status ckpt_save(struct comm *, const struct store *, const struct ckpt_state *, const struct saver_how *,
                 int64_t *bytes) MUST_USE;

/** COLLECTIVE: newest usable checkpoint under run_dir/ckpt (index good, files there and long enough; digests
 *  are verified by loading); others are warned of. *path caller frees; NULL and OK if there is none at all,
 *  E_NOCKPT if there are some, set aside or not, but none is usable; E_IO if a newer one cannot be read now.
 */
status ckpt_find(struct comm *, const char *run_dir, char **path) MUST_USE;
/** Local: what ckpt_find looks for; NULL and OK if there is no checkpoint. */
status ckpt_newest(const char *run_dir, char **path) MUST_USE;
/** COLLECTIVE: note in RUN/ckpt/damaged.jsonl that loading found a checkpoint damaged, with a warning that
 * repeats the error record. As long as its files stay as they are ckpt_find passes over it. A note that
 * cannot be written is a warning too. */
void ckpt_note_damaged(struct comm *, const char *dir);
/** Local: a checkpoint's folder from its own path or that of a run folder (its newest usable one).
 *  E_NOCKPT. *dir caller frees. */
status ckpt_resolve(const char *path, char **dir) MUST_USE;
/** Local: is its index good, are its files there and long enough? Digests are verified by loading. E_NOCKPT,
 * E_IO. */
status ckpt_usable(const char *dir) MUST_USE;
/** Local: read every extent and compare it with its digest. E_NOCKPT with file and tensor, E_IO. */
status ckpt_verify(const struct ckpt_index *, const char *dir, int threads) MUST_USE;
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
struct ckpt_keep {
    int64_t newest; /* usable ones, that of step `made` among them; >= 1 */
    int64_t every;  /* those of steps that it divides stay too; 0: none */
};
struct pruning;
/** Delete older checkpoints than that of step `made`, which is known to be good: chosen now, removed by a
 * thread until the end, which waits for it. What broken saves left goes, too. Those of higher steps and of
 * other runs are not touched. Rank 0 only, best effort. */
struct pruning *ckpt_prune_begin(const char *run_dir, const struct ckpt_keep *, int64_t made);
void ckpt_prune_end(struct pruning *); /* NULL is fine */
/** Remove what broken saves left. Rank 0 only, under the lock; best effort. */
void ckpt_sweep(const char *run_dir);

#endif
