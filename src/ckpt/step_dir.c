/* The folders of checkpoints: made, committed by rename, listed, removed. */
#include "ckpt/step_dir.h"

#include "base/file.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *step_dir_path(const char *run_dir, int64_t step, const char *suffix)
{
    return mem_format("%s/ckpt/step_%08" PRId64 "%s", run_dir, step, suffix);
}

static status cannot(const char *what, const char *path)
{
    return fail(E_SPACE, "%s: cannot %s: %s", path, what, strerror(errno));
}

/* With 0777 & umask; a folder that is there is fine. */
static status make(const char *path)
{
    return io_mkdir(path, 0777) == 0 || errno == EEXIST ? OK : cannot("make the folder", path);
}

static status sync_folder(const char *path)
{
    return io_sync_folder(path) ? OK : cannot("sync", path);
}

void step_dir_remove(const char *path)
{
    DIR *dir = io_opendir(path);
    if (!dir)
        return;
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        char *file = mem_format("%s/%s", path, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            io_unlink(file);
        free(file);
    }
    closedir(dir);
    io_rmdir(path);
}

status step_dir_begin(const char *run_dir, int64_t step)
{
    char *ckpt = mem_format("%s/ckpt", run_dir), *tmp = step_dir_path(run_dir, step, ".tmp");
    status s = make(ckpt);
    if (s == OK) {
        step_dir_remove(tmp);
        s = io_mkdir(tmp, 0777) == 0 ? OK : cannot("make the folder", tmp);
    }
    free(ckpt);
    free(tmp);
    return s;
}

status step_dir_root(const char *run_dir)
{
    char *above = mem_format("%s/..", run_dir);
    status s = sync_folder(run_dir);
    if (s == OK)
        s = sync_folder(above);
    free(above);
    return s;
}

/* Where two names cannot change places at once: an older one of the same step steps aside first and comes
 * back if the rename fails, at once or by a sweep. */
static status replace_by_turns(const char *tmp, const char *final, const char *old)
{
    step_dir_remove(old);
    bool aside = io_rename(final, old) == 0;
    if (!aside && errno != ENOENT)
        return cannot("rename", final);
    if (io_rename(tmp, final) == 0)
        return OK;
    status s = cannot("rename", tmp);
    if (aside && io_rename(old, final) != 0)
        log_warn("%s: the older checkpoint of this step is left under this name", old);
    return s;
}

/* There is a checkpoint of this name at any moment, if there was one before. */
static status replace(const char *tmp, const char *final, const char *old)
{
    if (!io_exists(final))
        return io_rename(tmp, final) == 0 ? OK : cannot("rename", tmp);
    if (!io_exchange(tmp, final))
        return errno == EINVAL || errno == ENOSYS ? replace_by_turns(tmp, final, old)
                                                  : cannot("replace", final);
    return OK;
}

status step_dir_commit(const char *run_dir, int64_t step)
{
    char *ckpt = mem_format("%s/ckpt", run_dir), *final = step_dir_path(run_dir, step, "");
    char *tmp = step_dir_path(run_dir, step, ".tmp"), *old = step_dir_path(run_dir, step, ".old");
    status s = sync_folder(tmp);
    if (s == OK)
        s = replace(tmp, final, old);
    if (s == OK)
        s = sync_folder(ckpt);
    if (s == OK) {
        step_dir_remove(old);
        step_dir_remove(tmp); /* the older one of this step, if they changed places */
    }
    free(ckpt);
    free(final);
    free(tmp);
    free(old);
    return s;
}

void step_dir_latest(const char *run_dir, int64_t step)
{
    char *latest = mem_format("%s/ckpt/latest", run_dir);
    char *text = mem_format("step_%08" PRId64 "\n", step);
    if (file_replace(latest, text) != OK)
        log_warn("%s (only a hint, the checkpoint is good)", status_text());
    free(latest);
    free(text);
}

/* The step of "step_00000100<suffix>", -1 for any other name. */
static int64_t step_of(const char *name, const char *suffix)
{
    char again[64];
    int64_t step;
    if (sscanf(name, "step_%" SCNd64, &step) != 1 || step < 0)
        return -1;
    snprintf(again, sizeof again, "step_%08" PRId64 "%s", step, suffix);
    return strcmp(name, again) == 0 ? step : -1;
}

int64_t step_dir_number(const char *dir)
{
    const char *slash = strrchr(dir, '/');
    return step_of(slash ? slash + 1 : dir, "");
}

static int newest_first(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x < *y) - (*x > *y);
}

/* Read on. NULL with errno 0 at the end. */
static const struct dirent *next(DIR *dir)
{
    errno = 0;
    return readdir(dir);
}

status step_dir_list(const char *run_dir, const char *suffix, int64_t **step, int *n)
{
    char *ckpt = mem_format("%s/ckpt", run_dir);
    DIR *dir = io_opendir(ckpt);
    *n = 0;
    *step = mem_new(0, sizeof **step);
    for (const struct dirent *entry = dir ? next(dir) : NULL; entry; entry = next(dir)) {
        int64_t found = step_of(entry->d_name, suffix);
        if (found < 0)
            continue;
        *step = mem_grow(*step, *n + 1, sizeof **step);
        (*step)[(*n)++] = found;
    }
    status s = errno == 0 || (!dir && io_absent(errno))
                   ? OK
                   : fail(E_IO, "%s: cannot be listed: %s", ckpt, strerror(errno));
    if (dir)
        closedir(dir);
    free(ckpt);
    qsort(*step, (size_t)*n, sizeof **step, newest_first);
    return s;
}

/* Call `with` for each folder of this suffix; nothing if they cannot be listed. */
static void each(const char *run_dir, const char *suffix, void (*with)(const char *run_dir, int64_t step))
{
    int64_t *step;
    int n;
    if (step_dir_list(run_dir, suffix, &step, &n) == OK)
        for (int i = 0; i < n; i++)
            with(run_dir, step[i]);
    free(step);
}

static void remove_draft(const char *run_dir, int64_t step)
{
    char *tmp = step_dir_path(run_dir, step, ".tmp");
    step_dir_remove(tmp);
    free(tmp);
}

/* A crash between the two renames of step_dir_commit leaves the older checkpoint of a step without its name.
 */
static void remove_old(const char *run_dir, int64_t step)
{
    char *old = step_dir_path(run_dir, step, ".old"), *final = step_dir_path(run_dir, step, "");
    struct stat about;
    if (io_stat(final, &about) == 0)
        step_dir_remove(old);
    else if (io_absent(errno) && io_rename(old, final) != 0)
        log_warn("%s: this checkpoint cannot get its name back: %s", old, strerror(errno));
    free(old);
    free(final);
}

void step_dir_sweep(const char *run_dir)
{
    each(run_dir, ".old", remove_old);
    each(run_dir, ".tmp", remove_draft);
}
