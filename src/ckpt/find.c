/* Which checkpoint to continue from. */
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "ckpt/extent.h"
#include "ckpt/notes.h"
#include "ckpt/step_dir.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Each file is there and reaches to the end of its last extent. */
static status check_files(const struct ckpt_index *x, const char *dir)
{
    int64_t *end = mem_new(x->n_files, sizeof *end);
    status s = OK;
    for (int i = 0; i < x->n_extents; i++) {
        const struct extent *e = &x->extent[i];
        int64_t to = e->offset + extent_bytes(e);
        end[e->file] = to > end[e->file] ? to : end[e->file];
    }
    for (int i = 0; i < x->n_files && s == OK; i++) {
        struct stat about;
        char *path = mem_format("%s/%s", dir, x->file[i]);
        if (io_stat(path, &about) != 0)
            s = fail(io_absent(errno) ? E_NOCKPT : E_IO, "%s: %s", path,
                     io_absent(errno) ? "is missing" : strerror(errno));
        else if (about.st_size < end[i])
            s = fail(E_NOCKPT, "%s: has %lld bytes of %lld or more", path, (long long)about.st_size,
                     (long long)end[i]);
        free(path);
    }
    free(end);
    return s;
}

status ckpt_usable(const char *dir)
{
    struct ckpt_index index;
    TRY(ckpt_index_read(&index, dir));
    status s = check_files(&index, dir);
    ckpt_index_free(&index);
    return s;
}

static status none_usable(const char *run_dir, int n)
{
    return fail(E_NOCKPT,
                "%s/ckpt: none of %d checkpoints is usable: restore one, or start anew with --fresh", run_dir,
                n);
}

/* What cannot be read now may be the newest good one: nobody may go on from an older one and write over it.
 */
static status unreadable(void)
{
    char *why = mem_text(status_text());
    status s = fail(E_IO, "%s; nothing was changed: the same command tries again when it can be read", why);
    free(why);
    return s;
}

/* Usable, not noted as damaged, and not copied here from another run? */
static status check_here(const char *dir, const struct notes *notes)
{
    struct ckpt_index index;
    TRY(ckpt_index_read(&index, dir));
    status s = check_files(&index, dir);
    if (s == OK)
        s = notes_check(notes, &index, dir);
    ckpt_index_free(&index);
    return s;
}

/* The newest usable of n, or NULL. */
static status newest(const char *run_dir, const int64_t *step, int n, const struct notes *notes, char **path)
{
    for (int i = 0; i < n; i++) {
        char *dir = step_dir_path(run_dir, step[i], "");
        status s = check_here(dir, notes);
        if (s == OK) {
            *path = dir;
            return OK;
        }
        free(dir);
        if (s == E_IO)
            return unreadable();
        log_warn("checkpoint not usable: %s", status_text());
    }
    return OK;
}

/* Rank 0's part: the newest usable one, or NULL. */
status ckpt_newest(const char *run_dir, char **path)
{
    int64_t *step, *aside;
    int n, bad = 0;
    *path = NULL;
    struct notes notes = {0};
    status s = step_dir_list(run_dir, "", &step, &n);
    if (s == OK)
        s = notes_read(&notes, run_dir);
    if (s == OK)
        s = newest(run_dir, step, n, &notes, path);
    notes_free(&notes);
    free(step);
    if (s != OK || *path)
        return s;
    s = step_dir_list(run_dir, ".bad", &aside, &bad);
    free(aside);
    TRY(s);
    return n + bad > 0 ? none_usable(run_dir, n + bad) : OK;
}

status ckpt_find(struct comm *c, const char *run_dir, char **path)
{
    char *found = NULL;
    status s = comm_rank(c) == 0 ? ckpt_newest(run_dir, &found) : OK;
    *path = NULL;
    TRY(comm_agree(c, s));
    int64_t bytes = found ? (int64_t)strlen(found) + 1 : 0;
    comm_bcast(c, &bytes, sizeof bytes, 0);
    if (bytes == 0)
        return OK;
    if (!found)
        found = mem_new(bytes, 1);
    comm_bcast(c, found, bytes, 0);
    *path = found;
    return OK;
}

status ckpt_resolve(const char *path, char **dir)
{
    char *index = mem_format("%s/index.h5", path);
    bool is_checkpoint = io_exists(index);
    free(index);
    *dir = is_checkpoint ? mem_text(path) : NULL;
    if (!is_checkpoint)
        TRY(ckpt_newest(path, dir));
    return *dir ? OK
                : fail(E_NOCKPT,
                       "%s: neither a checkpoint (index.h5) nor a run folder with one (ckpt/step_*)", path);
}
