#include "train/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/host.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

/* A lock of another host counts as dead when nobody touched it for this long. */
enum { STALE_SECONDS = 600, HEARTBEAT_SECONDS = 20 };

static char *inside(const struct folder *f, const char *name)
{
    return mem_format("%s/%s", f->dir, name);
}

/* ---- making and locking ---- */

static status make_dirs(const char *path)
{
    char *copy = mem_text(path);
    status code = OK;
    for (char *at = copy + 1; code == OK; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char end = *at;
        *at = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST)
            code = fail(E_SPACE, "%s: cannot make this folder: %s", copy, strerror(errno));
        *at = end;
        if (!end)
            break;
    }
    free(copy);
    return code;
}

static status move_aside(const char *dir)
{
    struct stat s;
    if (stat(dir, &s) != 0)
        return OK;
    char stamp[32];
    time_t now = time(NULL);
    strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", gmtime(&now));
    char *to = mem_format("%s.%s", dir, stamp);
    for (int i = 1; stat(to, &s) == 0; i++) {
        free(to);
        to = mem_format("%s.%s-%d", dir, stamp, i);
    }
    status code = rename(dir, to) == 0 ? OK : fail(E_SPACE, "%s: cannot be moved to %s: %s", dir, to, strerror(errno));
    if (code == OK)
        log_say("fresh     %s moved to %s", dir, to);
    free(to);
    return code;
}

/* Does the holder of this lock live? Says who it is. */
static bool holder_lives(const char *path, char **who)
{
    struct stat s;
    json_t *lock = NULL;
    char here[64];
    if (stat(path, &s) != 0 || json_read_file(&lock, path, 4096) != OK) {
        *who = mem_text("an unreadable lock");
        return false;
    }
    const char *host = json_string_value(json_object_get(lock, "host"));
    const char *job = json_string_value(json_object_get(lock, "job"));
    long pid = (long)json_integer_value(json_object_get(lock, "pid"));
    *who = mem_format("job %s, process %ld on %s", job ? job : "-", pid, host ? host : "?");
    bool same_host = host && !strcmp(host, host_name(here));
    bool lives = same_host ? pid > 0 && (kill((pid_t)pid, 0) == 0 || errno == EPERM)
                           : time(NULL) - s.st_mtime < STALE_SECONDS;
    json_decref(lock);
    return lives;
}

static status write_lock(struct folder *f, const char *path)
{
    char host[64];
    const char *job = getenv("SLURM_JOB_ID");
    f->lock = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    if (f->lock < 0)
        return fail(errno == EEXIST ? E_DECK : E_SPACE, "%s: cannot be made: %s", path, strerror(errno));
    if (dprintf(f->lock, "{\"host\":\"%s\",\"pid\":%ld,\"job\":\"%s\",\"since\":%lld}\n", host_name(host), (long)getpid(),
                job ? job : "-", (long long)time(NULL)) < 0)
        return fail(E_SPACE, "%s: cannot be written: %s", path, strerror(errno));
    f->beat = clock_seconds();
    return OK;
}

static status take_lock(struct folder *f)
{
    char *path = inside(f, "run.lock"), *who = NULL;
    status code = OK;
    if (access(path, F_OK) == 0) {
        if (holder_lives(path, &who))
            code = fail(E_DECK, "%s: this run folder is in use by %s; wait for it, stop it (touch %s/stop) or set "
                                "another run.dir", f->dir, who, f->dir);
        else {
            log_say("lock      taken over from %s, which is gone", who);
            unlink(path);
        }
    }
    if (code == OK)
        code = write_lock(f, path);
    free(who);
    free(path);
    return code;
}

status folder_open(struct folder *f, const char *dir, bool fresh)
{
    *f = (struct folder){.dir = mem_text(dir), .lock = -1};
    if (fresh)
        TRY(move_aside(dir));
    char *ckpt = inside(f, "ckpt");
    status code = make_dirs(ckpt);
    free(ckpt);
    return code == OK ? take_lock(f) : code;
}

void folder_close(struct folder *f)
{
    if (f->lock >= 0) {
        char *path = inside(f, "run.lock");
        close(f->lock);
        unlink(path);
        free(path);
    }
    free(f->dir);
}

void folder_heartbeat(struct folder *f)
{
    if (f->lock >= 0 && clock_seconds() - f->beat > HEARTBEAT_SECONDS) {
        f->beat = clock_seconds();
        futimens(f->lock, NULL);
    }
}

/* ---- stop requests ---- */

bool folder_stop_asked(const struct folder *f)
{
    char *path = inside(f, "stop");
    bool asked = access(path, F_OK) == 0;
    free(path);
    return asked;
}

void folder_obeyed(const struct folder *f)
{
    char *path = inside(f, "stop");
    unlink(path);
    free(path);
}

static volatile sig_atomic_t seen;

static void on_signal(int number)
{
    if (number == SIGINT && seen == SIGINT) { /* asked twice: now */
        signal(SIGINT, SIG_DFL);
        raise(SIGINT);
    }
    seen = number;
}

void signals_open(void)
{
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    const int caught[] = {SIGTERM, SIGUSR1, SIGINT};
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
        sigaction(caught[i], &a, NULL);
}

int signals_seen(void)
{
    return seen;
}

/* ---- files ---- */

status folder_append(const struct folder *f, const char *name, json_t *line, const char *schema)
{
    char *path = inside(f, name), *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9));
    bool is_new = access(path, F_OK) != 0;
    FILE *file = fopen(path, "a");
    status code = OK;
    if (!file || (is_new && fprintf(file, "%s\n", schema) < 0) || fprintf(file, "%s\n", text) < 0)
        code = fail(E_SPACE, "%s: cannot be written: %s", path, strerror(errno));
    if (file && fclose(file) != 0 && code == OK)
        code = fail(E_SPACE, "%s: cannot be written: %s", path, strerror(errno));
    json_decref(line);
    free(text);
    free(path);
    return code;
}

status folder_write_json(const struct folder *f, const char *name, json_t *value)
{
    char *path = inside(f, name);
    status code = json_write_file(value, path, 1);
    json_decref(value);
    free(path);
    return code;
}

status folder_write_text(const struct folder *f, const char *name, const char *text)
{
    char *path = inside(f, name), *temporary = mem_format("%s.tmp", path);
    FILE *file = fopen(temporary, "w");
    bool good = file && fputs(text, file) >= 0;
    if (file && fclose(file) != 0)
        good = false;
    status code = good && rename(temporary, path) == 0 ? OK : fail(E_SPACE, "%s: cannot be written: %s", path,
                                                                   strerror(errno));
    free(temporary);
    free(path);
    return code;
}

json_t *folder_number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}
