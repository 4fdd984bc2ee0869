/* Inside ckpt/: what a folder of checkpoints knows beside them. RUN/ckpt/run is the id of the run that they
 * belong to. RUN/ckpt/damaged.jsonl has a line for each checkpoint whose data a load found damaged: its step,
 * the digest of its index, size and time of its files, and the reason. It counts as long as these are the
 * same: one that was written again or restored is tried again. Not collective; rank 0 only. */
#ifndef CKPT_NOTES_H
#define CKPT_NOTES_H
#include "base/json.h"
#include "ckpt/ckpt.h"

struct notes {
    char *run;     /* NULL: nobody wrote it down */
    json_t *lines; /* of damaged.jsonl */
};
/** Both may be missing. E_IO: they cannot be read now. notes_free also after a failure. */
status notes_read(struct notes *, const char *run_dir) MUST_USE;
void notes_free(struct notes *);
/** May a checkpoint be used? E_NOCKPT: it is noted as damaged, or of another run. */
status notes_check(const struct notes *, const struct ckpt_index *, const char *dir) MUST_USE;
/** Write down the run's id if nobody did. E_SPACE. */
status notes_begin(const char *run_dir, const char *run) MUST_USE;
/** Note that dir, a checkpoint under RUN/ckpt, is damaged; `why` is kept. E_SPACE. */
status notes_add(const char *dir, const char *why) MUST_USE;

#endif
