#define _GNU_SOURCE
#include "ckpt/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "ckpt/chain.h"
#include "ckpt/owner.h"

/* In seconds; shorter in tests only. */
#ifndef LOCK_BEAT
#    define LOCK_BEAT 20.0
#endif
enum { MISSED = 3, LONG_AGO = 30, TEXT = 4096 };

struct lock {
    char *path, *mine; /* run.lock, and the private file that it is linked from */
    char token[TOKEN];
    json_t *self;
    char *from; /* who held it before and is gone */
    int file;   /* the lock; open, so that the kernel's lock stays */
    int end[2]; /* a pipe: closing [1] ends the thread */
    pthread_t thread;
    bool beats;
    _Atomic double looked; /* when run.lock was last seen to be ours */
    atomic_bool lost;
};

/* Goes on while the program is stopped or the machine sleeps. */
static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void rest(double s)
{
    nanosleep(&(struct timespec){(time_t)s, (long)((s - (double)(time_t)s) * 1e9)}, NULL);
}

static status cannot(const char *what, const char *path)
{
    return fail(E_SPACE, "%s: cannot be %s: %s", path, what, strerror(errno));
}

static char *follower(const struct lock *l, const char *token)
{
    return chain_follower(l->path, token);
}

/* ---- looking ---- */

/* Is run.lock still ours, and has nobody been made its successor? Only what is certain counts as lost: a file
 * system may fail for a while. Nothing is allocated: the thread calls this. */
static void look_at_ours(struct lock *l)
{
    char text[TEXT], next[TEXT];
    int file = io_open(l->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    int64_t n = file >= 0 ? io_read_all(file, text, sizeof text - 1, -1) : -1;
    bool none = file < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP);
    if (file >= 0)
        io_close(file);
    text[n > 0 ? n : 0] = '\0';
    snprintf(next, sizeof next, "%s.%s", l->path, l->token);
    if (none || (n >= 0 && !strstr(text, l->token)) || io_exists(next))
        l->lost = true;
    else if (n > 0)
        l->looked = seconds();
}

/* ---- the heartbeat ---- */

static void *beat(void *of)
{
    struct lock *l = of;
    struct pollfd end = {.fd = l->end[0], .events = POLLIN};
    while (!l->lost && poll(&end, 1, (int)(LOCK_BEAT * 1000)) <= 0) {
        look_at_ours(l);
        if (!l->lost)
            futimens(l->file, NULL);
    }
    return NULL;
}

static status start_beating(struct lock *l)
{
    sigset_t all, before;
    if (pipe2(l->end, O_CLOEXEC) != 0)
        return fail(E_RESOURCE, "%s: no pipe for its heartbeat: %s", l->path, strerror(errno));
    sigfillset(&all); /* signals are for the thread that can act on them */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&l->thread, NULL, beat, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    l->beats = error == 0;
    return l->beats ? OK : fail(E_RESOURCE, "%s: no thread for its heartbeat: %s", l->path, strerror(error));
}

/* ---- taking ---- */

/* Make a file that says who we are and keep it open as the lock. The kernel's lock is taken first: who reads
 * the file may rely on it. *made: false if the name is taken. */
static status write_self(struct lock *l, const char *path, bool *made)
{
    int file = io_open(path, O_CREAT | O_EXCL | O_RDWR, 0666);
    *made = file >= 0;
    if (file < 0)
        return errno == EEXIST ? OK : cannot("made", path);
    if (l->file >= 0)
        io_close(l->file);
    l->file = file;
    json_decref(l->self);
    l->self = owner_self(l->token, flock(file, LOCK_EX | LOCK_NB) == 0);
    char *text = json_text(l->self, JSON_COMPACT);
    bool good = io_write_all(file, text, (int64_t)strlen(text), -1) && io_fsync(file) == 0;
    status code = good ? OK : cannot("written", path);
    free(text);
    if (!good)
        io_unlink(path);
    return code;
}

/* Give our file the name `path` if nobody has it. link() may have worked and its answer been lost on the way
 * (NFS): the number of names tells. Some file systems have no second names. */
static status claim(struct lock *l, const char *path, bool *got)
{
    struct stat s;
    futimens(l->file, NULL); /* it may have waited for a minute */
    *got = io_link(l->mine, path) == 0;
    int error = errno;
    if (*got || error == EEXIST) {
        *got = *got || (fstat(l->file, &s) == 0 && s.st_nlink == 2);
        return OK;
    }
    if (error == EPERM || error == ENOTSUP || error == ENOSYS || error == EMLINK)
        return write_self(l, path, got);
    return cannot("made", path);
}

static bool is_ours(const struct lock *l, const struct seen *s)
{
    return s->file >= 0 && strcmp(s->token, l->token) == 0;
}

/* Does run.lock lead to our claim, past a lock that is as dead as when it was judged? */
static status still_leads(const struct lock *l, const struct seen *dead, bool *leads)
{
    struct seen end, before = {.file = -1};
    status code = chain_end(l->path, &end);
    if (code == OK)
        code = chain_look(dead->path, &before);
    *leads = code == OK && is_ours(l, &end) && before.inode == dead->inode && before.touched == dead->touched;
    seen_free(&end);
    seen_free(&before);
    return code;
}

static status follow(struct lock *l, const struct seen *dead, bool *got)
{
    char *path = follower(l, dead->token);
    status code = claim(l, path, got);
    if (*got) {
        code = still_leads(l, dead, got);
        if (*got && io_rename(path, l->path) != 0) {
            *got = false;
            code = cannot("renamed to run.lock", path);
        }
        if (!*got)
            io_unlink(path);
    }
    free(path);
    if (*got)
        l->from = owner_about(dead->owner);
    return code;
}

/* Seconds since it was touched, by the clock that stamped it: clocks of other hosts may differ. */
static double age(const struct lock *l, const struct seen *s)
{
    struct stat now;
    futimens(l->file, NULL);
    if (fstat(l->file, &now) != 0)
        return 0;
    return (double)now.st_mtim.tv_sec + 1e-9 * (double)now.st_mtim.tv_nsec - s->touched;
}

/* How long to watch a lock of this age before it counts as dead. Some file systems stamp files by the clocks
 * of their clients, which differ a little: less than one beat is not enough unless it is really old. */
static double patience(double age)
{
    double rest = MISSED * LOCK_BEAT - (age > 0 ? age : 0), least = 1.25 * LOCK_BEAT;
    return age >= LONG_AGO * LOCK_BEAT ? 0 : rest > least ? rest : least;
}

/* UNKNOWN becomes LIVES or GONE; it stays if the lock is another one now. */
static status watch(struct lock *l, struct seen *s, int (*stop)(void), enum verdict *v)
{
    double old = age(l, s), wait = patience(old), begin = seconds();
    char *about = owner_about(s->owner);
    status code = OK;
    if (wait > 0)
        log_say("lock      of %s, touched %.0f s ago: waiting up to %.0f s for a sign of life", about, old,
                wait);
    bool same = true;
    while (code == OK && *v == UNKNOWN && same && seconds() - begin < wait) {
        struct seen now;
        rest(LOCK_BEAT / 20);
        code = stop && stop() ? fail(E_STOP, "stopped while waiting for %s, the lock of %s", l->path, about)
                              : chain_end(l->path, &now);
        if (code != OK)
            break;
        same = now.file >= 0 && now.inode == s->inode;
        if (same && now.touched != s->touched)
            *v = LIVES;
        seen_free(&now);
    }
    if (code == OK && *v == UNKNOWN && same)
        *v = GONE;
    free(about);
    return code;
}

static status in_use(const struct lock *l, const struct seen *s)
{
    char *about = owner_about(s->owner), *dir = mem_text(l->path);
    *strrchr(dir, '/') = '\0';
    status code = fail(
        owner_comes_again() ? E_STOP : E_DECK,
        "%s: this run folder is in use by %s; wait for it, stop it (touch %s/stop) or set another run.dir",
        dir, about, dir);
    free(about);
    free(dir);
    return code;
}

/* One attempt; *got stays false if others were faster. */
static status attempt(struct lock *l, int (*stop)(void), bool *got)
{
    struct seen s;
    enum verdict v = UNKNOWN;
    status code = chain_end(l->path, &s);
    if (code == OK && s.file < 0) {
        code = claim(l, l->path, got);
    } else if (code == OK) {
        v = owner_verdict(s.owner, l->self, s.file);
        if (v == UNKNOWN)
            code = watch(l, &s, stop, &v);
        if (code == OK && v == LIVES)
            code = in_use(l, &s);
        if (code == OK && v == GONE)
            code = follow(l, &s, got);
    }
    seen_free(&s);
    return code;
}

status lock_take(struct lock **out, const char *dir, int (*stop)(void))
{
    struct lock *l = mem_new(1, sizeof *l);
    bool got = false;
    l->file = l->end[0] = l->end[1] = -1;
    owner_token(l->token);
    l->path = mem_format("%s/run.lock", dir);
    l->mine = mem_format("%s.%s.new", l->path, l->token);
    status code = write_self(l, l->mine, &got);
    for (got = false; code == OK && !got; got ? (void)0 : rest(LOCK_BEAT / 400))
        code = attempt(l, stop, &got);
    io_unlink(l->mine);
    l->lost = !got; /* nothing to give back */
    l->looked = seconds();
    if (code == OK) {
        chain_sweep(dir, l->file, 6 * LONG_AGO * LOCK_BEAT);
        code = start_beating(l);
    }
    if (code != OK)
        lock_release(l);
    *out = code == OK ? l : NULL;
    return code;
}

const char *lock_taken_from(const struct lock *l)
{
    return l->from;
}

/* ---- holding and giving back ---- */

status lock_check(struct lock *l, bool now)
{
    if (!l)
        return OK;
    if (!l->lost && (now || seconds() - l->looked > 1.25 * LOCK_BEAT))
        look_at_ours(l);
    if (!l->lost)
        return OK;
    struct seen s;
    char *about = chain_end(l->path, &s) == OK && s.file >= 0 ? owner_about(s.owner) : mem_text("nobody");
    status code =
        fail(E_DECK,
             "%s is no longer this job's (now: %s): this job stops and leaves the folder alone; what it "
             "did since its last checkpoint is dropped",
             l->path, about);
    seen_free(&s);
    free(about);
    return code;
}

/* Nobody can follow us once we are our own successor; only then may run.lock be removed. */
static void remove_ours(struct lock *l)
{
    char *next = follower(l, l->token);
    look_at_ours(l);
    int file = l->lost ? -1 : io_open(next, O_CREAT | O_EXCL | O_WRONLY, 0666);
    if (!l->lost && (file >= 0 || errno != EEXIST)) { /* on a full disk: without that certainty */
        io_unlink(l->path);
        io_unlink(next);
    }
    if (file >= 0)
        io_close(file);
    free(next);
}

void lock_release(struct lock *l)
{
    if (!l)
        return;
    if (l->end[1] >= 0)
        io_close(l->end[1]);
    if (l->beats)
        pthread_join(l->thread, NULL);
    if (l->end[0] >= 0)
        io_close(l->end[0]);
    remove_ours(l);
    if (l->file >= 0)
        io_close(l->file);
    json_decref(l->self);
    free(l->path);
    free(l->mine);
    free(l->from);
    free(l);
}
