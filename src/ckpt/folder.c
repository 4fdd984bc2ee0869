/* The folders of checkpoints: made, committed by rename, listed, removed. */
#include "ckpt/folder.h"

#include "base/log.h"
#include "base/mem.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *folder_path(const char *run_dir, int64_t step, const char *suffix)
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
    return mkdir(path, 0777) == 0 || errno == EEXIST ? OK : cannot("make the folder", path);
}

static status sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    status s = fd >= 0 && fsync(fd) == 0 ? OK : cannot("sync", path);
    if (fd >= 0)
        close(fd);
    return s;
}

void folder_remove(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir)
        return;
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    rmdir(path);
}

status folder_begin(const char *run_dir, int64_t step)
{
    char *ckpt = mem_format("%s/ckpt", run_dir), *tmp = folder_path(run_dir, step, ".tmp");
    status s = make(ckpt);
    if (s == OK) {
        folder_remove(tmp);
        s = mkdir(tmp, 0777) == 0 ? OK : cannot("make the folder", tmp);
    }
    free(ckpt);
    free(tmp);
    return s;
}

/* An older one of the same step steps aside first and comes back if the rename fails. */
static status replace(const char *tmp, const char *final, const char *old)
{
    folder_remove(old);
    bool aside = rename(final, old) == 0;
    if (!aside && errno != ENOENT)
        return cannot("rename", final);
    if (rename(tmp, final) == 0)
        return OK;
    status s = cannot("rename", tmp);
    if (aside && rename(old, final) != 0)
        log_warn("%s: the older checkpoint of this step is left under this name", old);
    return s;
}

status folder_commit(const char *run_dir, int64_t step)
{
    char *ckpt = mem_format("%s/ckpt", run_dir), *final = folder_path(run_dir, step, "");
    char *tmp = folder_path(run_dir, step, ".tmp"), *old = folder_path(run_dir, step, ".old");
    status s = sync_folder(tmp);
    if (s == OK)
        s = replace(tmp, final, old);
    if (s == OK)
        s = sync_folder(ckpt);
    if (s == OK)
        folder_remove(old);
    free(ckpt);
    free(final);
    free(tmp);
    free(old);
    return s;
}

void folder_latest(const char *run_dir, int64_t step)
{
    char *latest = mem_format("%s/ckpt/latest", run_dir), *tmp = mem_format("%s.tmp", latest);
    FILE *f = fopen(tmp, "we");
    bool good = f && fprintf(f, "step_%08" PRId64 "\n", step) > 0;
    if (f && fclose(f) != 0)
        good = false;
    if (!good || rename(tmp, latest) != 0)
        log_warn("%s: cannot be written: %s (only a hint, the checkpoint is good)", latest, strerror(errno));
    free(latest);
    free(tmp);
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

static int newest_first(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x < *y) - (*x > *y);
}

/* Steps of all folders with this suffix, newest first. */
static int list(const char *run_dir, const char *suffix, int64_t **step)
{
    char *ckpt = mem_format("%s/ckpt", run_dir);
    DIR *dir = opendir(ckpt);
    int n = 0;
    *step = mem_new(0, sizeof **step);
    for (const struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
        int64_t found = step_of(entry->d_name, suffix);
        if (found < 0)
            continue;
        *step = mem_grow(*step, n + 1, sizeof **step);
        (*step)[n++] = found;
    }
    if (dir)
        closedir(dir);
    free(ckpt);
    qsort(*step, (size_t)n, sizeof **step, newest_first);
    return n;
}

int folder_steps(const char *run_dir, int64_t **step)
{
    return list(run_dir, "", step);
}

int folder_bad(const char *run_dir)
{
    int64_t *step;
    int n = list(run_dir, ".bad", &step);
    free(step);
    return n;
}

status folder_set_aside(const char *dir)
{
    char *bad = mem_format("%s.bad", dir);
    folder_remove(bad); /* of an earlier time */
    status s = rename(dir, bad) == 0 ? OK : cannot("rename", dir);
    free(bad);
    return s;
}

static void sweep(const char *run_dir, const char *suffix)
{
    int64_t *step;
    int n = list(run_dir, suffix, &step);
    for (int i = 0; i < n; i++) {
        char *path = folder_path(run_dir, step[i], suffix);
        folder_remove(path);
        free(path);
    }
    free(step);
}

void folder_sweep(const char *run_dir)
{
    sweep(run_dir, ".tmp");
    sweep(run_dir, ".old");
}
