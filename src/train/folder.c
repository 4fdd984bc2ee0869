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
    status code =
        rename(dir, to) == 0 ? OK : fail(E_SPACE, "%s: cannot be moved to %s: %s", dir, to, strerror(errno));
    if (code == OK)
        log_say("fresh     %s moved to %s", dir, to);
    free(to);
    return code;
}

/* When a process started, in the kernel's ticks since boot: with its number, a name that is not used
 * again. 0 if there is no such process. */
static long long started(long pid)
{
    char *path = mem_format("/proc/%ld/stat", pid), text[512] = "";
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(text, 1, sizeof text - 1, file) : 0;
    const char *at = n > 0 ? strrchr(text, ')') : NULL; /* the name before it may hold anything */
    long long ticks = 0;
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (at)
        ticks = strtoll(at, NULL, 10);
    if (file)
        fclose(file);
    free(path);
    return ticks;
}

static const char *job_of(void)
{
    const char *job = getenv("SLURM_JOB_ID");
    return job ? job : "-";
}

/* Is the writer of a lock alive? On this host its process tells, elsewhere the heartbeat. */
static bool is_alive(const json_t *lock, const char *host, long pid, time_t touched)
{
    char here[64];
    long long since = (long long)json_integer_value(json_object_get(lock, "started"));
    if (host && strcmp(host, host_name(here)) != 0)
        return time(NULL) - touched < STALE_SECONDS;
    if (pid <= 0 || (kill((pid_t)pid, 0) != 0 && errno != EPERM))
        return false;
    return since == 0 || started(pid) == 0 || started(pid) == since;
}

/* Who holds the lock of a run folder, in words (the caller's); NULL if nobody does. */
static char *holder(const struct folder *f, bool *lives)
{
    enum { LIMIT = 4096 };
    char *path = inside(f, "run.lock"), *who = NULL;
    struct stat s;
    json_t *lock = NULL;
    *lives = false;
    if (stat(path, &s) == 0 && json_read_file(&lock, path, LIMIT) == OK) {
        const char *host = json_string_value(json_object_get(lock, "host"));
        const char *job = json_string_value(json_object_get(lock, "job"));
        long pid = (long)json_integer_value(json_object_get(lock, "pid"));
        who = mem_format("job %s, process %ld on %s", job ? job : "-", pid, host ? host : "?");
        *lives = is_alive(lock, host, pid, s.st_mtime);
    } else if (access(path, F_OK) == 0) {
        who = mem_text("an unreadable lock");
    }
    json_decref(lock);
    free(path);
    return who;
}

static status in_use(const struct folder *f, const char *who)
{
    return fail(
        E_DECK,
        "%s: this run folder is in use by %s; wait for it, stop it (touch %s/stop) or set another run.dir",
        f->dir, who, f->dir);
}

static status write_lock(struct folder *f, const char *path)
{
    char host[64];
    f->lock = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    if (f->lock < 0)
        return fail(errno == EEXIST ? E_DECK : E_SPACE, "%s: cannot be made: %s", path, strerror(errno));
    long pid = (long)getpid();
    if (dprintf(f->lock, "{\"host\":\"%s\",\"pid\":%ld,\"started\":%lld,\"job\":\"%s\",\"since\":%lld}\n",
                host_name(host), pid, started(pid), job_of(), (long long)time(NULL)) < 0)
        return fail(E_SPACE, "%s: cannot be written: %s", path, strerror(errno));
    f->beat = clock_seconds();
    return OK;
}

struct folder folder_at(const char *dir)
{
    return (struct folder){.dir = mem_text(dir), .lock = -1};
}

static status make_folder(const struct folder *f)
{
    char *ckpt = inside(f, "ckpt");
    status code = make_dirs(ckpt);
    free(ckpt);
    return code;
}

/* The log begins after the lock, so that a refused job writes nothing into another's. */
static status lock_and_log(struct folder *f, const char *gone)
{
    char *lock = inside(f, "run.lock"), *log = inside(f, "run.log");
    if (gone)
        unlink(lock);
    status code = write_lock(f, lock);
    if (code == OK)
        code = log_file(log);
    if (code == OK && gone)
        log_say("lock      taken over from %s, which is gone", gone);
    free(lock);
    free(log);
    return code;
}

status folder_open(struct folder *f, bool fresh)
{
    bool lives;
    char *who = holder(f, &lives);
    status code = lives ? in_use(f, who) : OK;
    if (code == OK && fresh)
        code = move_aside(f->dir);
    if (code == OK)
        code = make_folder(f);
    if (code == OK)
        code = lock_and_log(f, fresh ? NULL : who);
    free(who);
    return code;
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
    char *path = inside(f, name), *text = json_dumps(line, JSON_COMPACT);
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

double folder_recorded(const struct folder *f, const char *name, const char *member)
{
    enum { LIMIT = 1 << 20 };
    char *path = inside(f, name);
    json_t *whole = NULL, *value = NULL;
    if (access(path, F_OK) == 0 && json_read_file(&whole, path, LIMIT) == OK)
        value = json_object_get(whole, member);
    double number = json_is_number(value) ? json_number_value(value) : (double)NAN;
    json_decref(whole);
    free(path);
    return number;
}

status folder_write_text(const struct folder *f, const char *name, const char *text)
{
    char *path = inside(f, name), *temporary = mem_format("%s.tmp", path);
    FILE *file = fopen(temporary, "w");
    bool good = file && fputs(text, file) >= 0;
    if (file && fclose(file) != 0)
        good = false;
    status code = good && rename(temporary, path) == 0
                      ? OK
                      : fail(E_SPACE, "%s: cannot be written: %s", path, strerror(errno));
    free(temporary);
    free(path);
    return code;
}

json_t *folder_number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}
