#include "train/folder.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/file.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/signals.h"

static char *inside(const char *dir, const char *name)
{
    return mem_format("%s/%s", dir, name);
}

/* ---- making ---- */

/* Make a new folder beside `dir`, on the same file system: if `dir` is a link, beside its target. Caller
 * frees. */
static status make_aside(const char *dir, char **aside)
{
    char stamp[32], *real = realpath(dir, NULL);
    time_t now = time(NULL);
    strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", gmtime(&now));
    *aside = mem_format("%s.%s", real ? real : dir, stamp);
    for (int i = 1; io_mkdir(*aside, 0777) != 0; i++) {
        if (errno != EEXIST)
            return fail(E_SPACE, "%s: cannot be made: %s", *aside, strerror(errno));
        free(*aside);
        *aside = mem_format("%s.%s-%d", real ? real : dir, stamp, i);
    }
    free(real);
    return OK;
}

static int to_move(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
           strncmp(entry->d_name, "run.lock", strlen("run.lock")) != 0;
}

/* Move what the folder holds into a new one. The folder stays, and our lock in it. "ckpt" is moved first,
 * because it is the first in the alphabet; without it nothing can be continued by mistake. */
static status move_contents(const char *dir)
{
    struct dirent **entry = NULL;
    char *aside = NULL;
    int n = io_scandir(dir, &entry, to_move);
    status code = n > 0 ? make_aside(dir, &aside) : OK;
    for (int i = 0; i < n; i++) {
        char *from = inside(dir, entry[i]->d_name), *to = aside ? inside(aside, entry[i]->d_name) : NULL;
        if (code == OK && io_rename(from, to) != 0)
            code = fail(E_SPACE, "%s: cannot be moved to %s: %s", from, to, strerror(errno));
        free(from);
        free(to);
        free(entry[i]);
    }
    if (code == OK && n > 0)
        log_say("fresh     what was in %s moved to %s", dir, aside);
    free(entry);
    free(aside);
    return code;
}

struct folder folder_at(const char *dir)
{
    return (struct folder){.dir = mem_text(dir)};
}

/* Begin the log, after the lock was taken, so that a refused job does not write into another job's log. */
static status begin_log(const struct folder *f)
{
    char *ckpt = inside(f->dir, "ckpt"), *log = inside(f->dir, "run.log");
    const char *gone = lock_taken_from(f->lock);
    status code = file_make_folders(ckpt);
    if (code == OK)
        code = log_file(log);
    if (code == OK && gone)
        log_say("lock      taken over from %s, which is gone", gone);
    free(ckpt);
    free(log);
    return code;
}

status folder_open(struct folder *f, bool fresh)
{
    TRY(file_make_folders(f->dir));
    TRY(lock_take(&f->lock, f->dir, signals_seen));
    if (fresh)
        TRY(move_contents(f->dir));
    return begin_log(f);
}

void folder_close(struct folder *f)
{
    lock_release(f->lock);
    free(f->dir);
}

status folder_check(const struct folder *f)
{
    status code = lock_check(f->lock, false);
    status ended = code == OK ? OK : log_file(NULL); /* run.log belongs to the other job now */
    return ended == OK ? code : ended;
}

/* ---- stop requests ---- */

bool folder_stop_asked(const struct folder *f)
{
    char *path = inside(f->dir, "stop");
    bool asked = io_exists(path);
    free(path);
    return asked;
}

void folder_obeyed(const struct folder *f)
{
    char *path = inside(f->dir, "stop");
    io_unlink(path);
    free(path);
}

/* ---- files ---- */

status folder_append(const struct folder *f, const char *name, json_t *line, const char *schema)
{
    char *path = inside(f->dir, name), *text = json_text(line, JSON_COMPACT);
    status code = folder_check(f);
    if (code == OK)
        code = file_append(path, text, schema);
    json_decref(line);
    free(text);
    free(path);
    return code;
}

status folder_write_json(const struct folder *f, const char *name, json_t *value)
{
    char *path = inside(f->dir, name);
    status code = folder_check(f);
    if (code == OK)
        code = json_write_file(value, path, 1);
    json_decref(value);
    free(path);
    return code;
}

double folder_recorded(const struct folder *f, const char *name, const char *member)
{
    enum { LIMIT = 1 << 20 };
    char *path = inside(f->dir, name);
    json_t *whole = NULL, *value = NULL;
    if (io_exists(path) && json_read_file(&whole, path, LIMIT) == OK)
        value = json_object_get(whole, member);
    double number = json_is_number(value) ? json_number_value(value) : (double)NAN;
    json_decref(whole);
    free(path);
    return number;
}

status folder_write_text(const struct folder *f, const char *name, const char *text)
{
    TRY(folder_check(f));
    char *path = inside(f->dir, name);
    status code = file_replace(path, text);
    free(path);
    return code;
}

json_t *folder_number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}
