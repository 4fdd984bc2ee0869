/* Inside ckpt/: the folders of checkpoints under RUN/ckpt. Not collective; rank 0 only. */
#ifndef CKPT_STEP_DIR_H
#define CKPT_STEP_DIR_H
#include <stdint.h>
#include "base/status.h"

/** RUN/ckpt/step_00000100<suffix>; caller frees. */
char *step_dir_path(const char *run_dir, int64_t step, const char *suffix);
/** Steps that have a folder with this suffix ("": committed), newest first; caller frees *step, also after a
 * failure. E_IO: they cannot be listed. */
status step_dir_list(const char *run_dir, const char *suffix, int64_t **step, int *n) MUST_USE;
/** The step that a committed folder has by its name; -1 for another name. */
int64_t step_dir_number(const char *dir);
/** Make RUN/ckpt and an empty step_N.tmp; what an earlier try left is removed. E_SPACE. */
status step_dir_begin(const char *run_dir, int64_t step) MUST_USE;
/** Make the names of RUN and RUN/ckpt durable. E_SPACE. */
status step_dir_root(const char *run_dir) MUST_USE;
/** Sync step_N.tmp, rename it to step_N in the place of an older one, sync RUN/ckpt. E_SPACE. */
status step_dir_commit(const char *run_dir, int64_t step) MUST_USE;
/** Rewrite RUN/ckpt/latest; only a hint, so a failure is a warning. */
void step_dir_latest(const char *run_dir, int64_t step);
/** Remove a folder of plain files; best effort, silent. */
void step_dir_remove(const char *path);
/** Remove folders that a save left unfinished (.tmp, .old); a checkpoint that only has the name .old gets its
 * own back. Best effort. */
void step_dir_sweep(const char *run_dir);

#endif
