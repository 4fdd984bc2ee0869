#define _GNU_SOURCE
#include "train/watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/host.h"
#include "base/io.h"
#include "base/mem.h"
#include "ckpt/owner.h"
#include "train/hang.h"
#include "train/mark.h"

struct watchdog {
    struct crew crew;
    double limit;
    _Atomic double longest; /* the longest step of this leg; 0: none is done */
    int end[2];             /* a pipe; closing [1] ends the thread */
    int next;               /* a descriptor that becomes readable when the next rank dies; -1: none */
    pthread_t thread;
    bool runs;
};

/* ---- when is it a hang? ---- */

enum { FIRST = 3, STEPS = 10, GRACE = 10 };

static double patience(const struct watchdog *w)
{
    double longest = w->longest;
    return fmax(longest > 0 ? w->limit : FIRST * w->limit, STEPS * longest);
}

/* How long to wait for the reports of others. */
static double grace(double patience)
{
    return fmin(patience / 4, GRACE);
}

static _Noreturn void hang(const struct watchdog *w, const struct progress *p, double still)
{
    hang_tell(&w->crew, p, still, grace(patience(w)));
    _exit(E_HANG);
}

/* ---- a rank dies ---- */

/* Set the state "died". The main thread of rank 0 may still write "running" once, so it is set again. */
static _Noreturn void next_died(const struct watchdog *w)
{
    enum { TENTHS = 80 };
    char who[128], text[192];
    crew_text(&w->crew, w->crew.next, who);
    snprintf(text, sizeof text, "%s died", who);
    bool told = mark_end(w->crew.dir, "died", text);
    if (told)
        mark_event(w->crew.dir, "died", (long long)progress_look().step, text);
    dprintf(STDERR_FILENO, "coppice: %s; the launcher should end the other ranks now\n", text);
    for (int i = 0; i < TENTHS; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
        mark_end(w->crew.dir, "died", text);
    }
    _exit(E_COMM);
}

/* ---- the thread ---- */

static void *watch(void *of)
{
    struct watchdog *w = of;
    struct pollfd fd[] = {{.fd = w->end[0], .events = POLLIN}, {.fd = w->next, .events = POLLIN}};
    double still = 0, tick = w->limit > 0 ? fmin(1, w->limit / 20) : 1;
    int64_t beats = -1;
    for (;;) {
        double start = clock_seconds();
        poll(fd, 2, (int)(tick * 1000));
        if (fd[0].revents)
            return NULL;
        if (fd[1].revents)
            next_died(w);
        struct progress p = progress_look();
        still = p.beats == beats ? still + fmin(clock_seconds() - start, 2 * tick) : 0;
        beats = p.beats;
        if (w->limit > 0 && still > patience(w) - grace(patience(w)))
            hang(w, &p, still);
    }
}

/* ---- opening ---- */

static void introduce(struct mate *me)
{
    struct stat s;
    *me = (struct mate){.pid = getpid(), .space = stat("/proc/self/ns/pid", &s) == 0 ? (int64_t)s.st_ino : 0};
    host_name(me->host);
}

/* The next rank on this node, or the first one for the last. -1 if its process cannot be seen. */
static int next_of(const struct crew *c, const int *node_of)
{
    for (int i = 1; i < c->size; i++) {
        int r = (c->rank + i) % c->size;
        if (node_of[r] == node_of[c->rank])
            return c->mate[c->rank].space && c->mate[r].space == c->mate[c->rank].space ? r : -1;
    }
    return -1;
}

static void meet(struct crew *c, struct comm *comm, const char *dir)
{
    *c = (struct crew){.dir = dir, .rank = comm_rank(comm), .size = comm_size(comm)};
    c->mate = mem_new(c->size, sizeof *c->mate);
    introduce(&c->mate[c->rank]);
    comm_all_gather(comm, c->mate, &c->mate[c->rank], sizeof *c->mate);
    owner_token(c->token);
    comm_bcast(comm, c->token, sizeof c->token, 0);
    c->next = next_of(c, comm_nodes(comm));
}

/* Kernels before 5.3 have no such descriptors. Then only the launcher notices a death. */
static int open_next(const struct crew *c)
{
#ifdef SYS_pidfd_open
    if (c->next >= 0)
        return (int)syscall(SYS_pidfd_open, (pid_t)c->mate[c->next].pid, 0);
#endif
    (void)c;
    return -1;
}

static status start(struct watchdog *w)
{
    if (pipe2(w->end, O_CLOEXEC) != 0)
        return fail(E_RESOURCE, "no pipe for the watchdog: %s", strerror(errno));
    int error = pthread_create(&w->thread, NULL, watch, w);
    w->runs = error == 0;
    return w->runs ? OK : fail(E_RESOURCE, "no thread for the watchdog: %s", strerror(error));
}

status watchdog_open(struct watchdog **out, struct comm *comm, const char *dir, double limit)
{
    struct watchdog *w = *out = mem_new(1, sizeof *w);
    w->limit = limit;
    w->end[0] = w->end[1] = -1;
    progress_begin();
    meet(&w->crew, comm, dir);
    w->next = open_next(&w->crew);
    if (w->crew.rank == 0)
        mark_begin(dir);
    return comm_agree(comm, start(w));
}

void watchdog_pace(struct watchdog *w, double seconds)
{
    if (w && seconds > w->longest)
        w->longest = seconds;
}

void watchdog_close(struct watchdog *w, struct comm *comm)
{
    if (!w)
        return;
    comm_barrier(comm);
    if (w->end[1] >= 0)
        io_close(w->end[1]);
    if (w->runs)
        pthread_join(w->thread, NULL);
    if (w->end[0] >= 0)
        io_close(w->end[0]);
    if (w->next >= 0)
        close(w->next);
    comm_barrier(comm);
    free(w->crew.mate);
    free(w);
}
