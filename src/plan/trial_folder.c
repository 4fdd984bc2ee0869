/* What a folder promises to several nodes: names that one of all gets, files that all see at once. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/file.h"
#include "base/io.h"
#include "base/mem.h"
#include "plan/trial.h"

enum { ROUNDS = 20 };
static const double most_skew = 5; /* s; a lock counts as left behind after a minute */

/* Caller frees. */
static char *name_of(const struct trial *t, const char *what, int i)
{
    return mem_format("%s/coppice-trial.%s.%d", t->folder, what, i);
}

static status write_text(const char *path, const char *text)
{
    int fd = io_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    bool good = fd >= 0 && io_write_all(fd, text, (int64_t)strlen(text), -1) && io_fsync(fd) == 0;
    int error = errno;
    if (fd >= 0)
        io_close(fd);
    return good ? OK : fail(E_SPACE, "%s: cannot be written: %s", path, strerror(error));
}

static bool holds(const char *path, const char *text)
{
    char *found = NULL;
    int64_t n;
    bool same = file_load(path, 4096, &found, &n) == OK && !strcmp(found, text);
    free(found);
    return same;
}

/* ---- one of all gets a name ---- */

static void check_locks(struct trial *t, const char *mine)
{
    int64_t got, wrong = 0;
    int error = 0;
    for (int i = 0; i < ROUNDS; i++) {
        char *name = name_of(t, "lock", i), text[32];
        comm_barrier(t->comm);
        got = io_link(mine, name) == 0;
        error = got || errno == EEXIST ? error : errno;
        snprintf(text, sizeof text, "%d", comm_rank(t->comm));
        comm_sum_i64(t->comm, &got, 1);
        wrong += got != 1;
        if (comm_rank(t->comm) == 0)
            io_unlink(name);
        free(name);
    }
    char text[192];
    if (error)
        snprintf(text, sizeof text, "no hard links in %.80s: %s; run folders need them as locks", t->folder,
                 strerror(error));
    else
        snprintf(text, sizeof text, "%lld of %d times not one rank got a lock: no run folders here",
                 (long long)wrong, ROUNDS);
    trial_check(t, "locks", wrong == 0 && error == 0, text,
                "of all ranks at once one gets a lock, each time");
}

/* ---- what others wrote is seen at once ---- */

static void check_visible(struct trial *t)
{
    int n = comm_size(t->comm), me = comm_rank(t->comm);
    char *name = name_of(t, "rank", (me + 1) % n), text[32];
    snprintf(text, sizeof text, "rank %d", (me + 1) % n);
    comm_barrier(t->comm);
    trial_check(t, "visible", holds(name, text), "a file of another rank is not there, or has another text",
                "files of other ranks are seen at once");
    free(name);
}

/* Rank 0 puts another file in the place of one that all have read. */
static void check_rename(struct trial *t)
{
    char *old = name_of(t, "rank", 0), *new = name_of(t, "new", 0);
    bool good = holds(old, "rank 0");
    comm_barrier(t->comm);
    if (comm_rank(t->comm) == 0)
        good = good && write_text(new, "another") == OK && io_rename(new, old) == 0;
    comm_barrier(t->comm);
    good = good && holds(old, "another");
    trial_check(t, "rename", good, "a file that was replaced still has its old text",
                "a file that is replaced is seen as a whole");
    free(old);
    free(new);
}

static void check_clock(struct trial *t, const char *mine)
{
    struct stat s;
    struct timespec now;
    char text[128];
    double skew = INFINITY;
    bool good = write_text(mine, "now") == OK && io_stat(mine, &s) == 0;
    clock_gettime(CLOCK_REALTIME, &now);
    if (good)
        skew = fabs((double)(now.tv_sec - s.st_mtim.tv_sec));
    snprintf(text, sizeof text, "times of files differ by %.0f s from this node's clock", skew);
    trial_check(t, "file_clock", skew <= most_skew, text, "times of files are those of the nodes");
}

/* ---- all of it ---- */

static void sweep(struct trial *t, char *mine, char *shown)
{
    comm_barrier(t->comm);
    io_unlink(mine);
    io_unlink(shown);
    free(mine);
    free(shown);
}

status trial_folder(struct trial *t)
{
    int me = comm_rank(t->comm);
    char *mine = name_of(t, "own", me), *shown = name_of(t, "rank", me), text[32];
    snprintf(text, sizeof text, "rank %d", me);
    status code = write_text(mine, text);
    if (code == OK)
        code = write_text(shown, text);
    code = comm_agree(t->comm, code);
    if (code == OK) {
        check_locks(t, mine);
        check_visible(t);
        check_rename(t);
        check_clock(t, mine);
    }
    sweep(t, mine, shown);
    return code;
}
