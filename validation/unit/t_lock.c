/* The lock of a run folder: one process at a time holds it, whatever files are there, however many processes
 * come at once, and even if they are killed or stopped at any moment. The lock is compiled with a short
 * heartbeat and with a link() that can fail. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <unistd.h>
#include "base/io.h"
static int (*linking)(const char *, const char *) = io_link;
#define io_link(a, b) linking(a, b)
#define LOCK_BEAT 0.3
#include "../../src/ckpt/lock.c"
#undef io_link

#include <sys/mman.h>
#include <sys/wait.h>
#include "base/json.h"
#include "tap.h"

enum { JOBS = 8 };
static char dir[64], path[96];
static struct shared {
    atomic_int inside[JOBS], killed[JOBS];
    atomic_int both, odd, taken; /* two at work; exit codes other than E_DECK; how often it was taken */
} * shared;

/* ---- what stands in the folder ---- */

static void clear(void)
{
    char command[2 * sizeof dir + 32];
    snprintf(command, sizeof command, "rm -rf %s; mkdir %s", dir, dir);
    if (system(command) != 0)
        bug("%s", command);
}

static int names(void)
{
    int n = 0;
    DIR *d = opendir(dir);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

static void put(const char *at, const char *text)
{
    FILE *f = fopen(at, "w");
    fputs(text, f);
    fclose(f);
}

/* Never a number that kill() takes for many processes. */
static pid_t fork_one(void)
{
    pid_t pid = fork();
    if (pid < 0)
        bug("fork: %s", strerror(errno));
    return pid;
}

/* Seconds ago, by the clock of here. */
static void touch(const char *at, double ago)
{
    struct timespec t[2];
    clock_gettime(CLOCK_REALTIME, t);
    double when = (double)t[0].tv_sec + 1e-9 * (double)t[0].tv_nsec - ago;
    t[0] = t[1] = (struct timespec){(time_t)when, (long)((when - (double)(time_t)when) * 1e9)};
    utimensat(AT_FDCWD, at, t, AT_SYMLINK_NOFOLLOW);
}

static const char ELSEWHERE[] =
    "{\"token\":\"00112233445566778899aabbccddeeff\",\"host\":\"n1.b\",\"boot\":\"b\",\"pid\":4711,"
    "\"started\":1,\"job\":\"77\",\"cluster\":\"c\",\"restart\":1}\n";

static void foreign(double ago)
{
    clear();
    put(path, ELSEWHERE);
    touch(path, ago);
}

/* lock_take with the seconds that it took. */
static double took;
static struct lock *lock;
static status take(void)
{
    double begin = seconds();
    status code = lock_take(&lock, dir, NULL);
    took = seconds() - begin;
    return code;
}

static bool waits(double least, double most)
{
    return took >= least * LOCK_BEAT && took <= most * LOCK_BEAT + 0.4; /* of a busy machine */
}

/* ---- one process ---- */

static void check_alone(void)
{
    clear();
    ok(take() == OK && names() == 1 && lock_check(lock, true) == OK && !lock_taken_from(lock),
       "an empty folder");
    struct stat before, after;
    stat(path, &before);
    rest(2.5 * LOCK_BEAT);
    stat(path, &after);
    ok(after.st_mtim.tv_sec != before.st_mtim.tv_sec || after.st_mtim.tv_nsec != before.st_mtim.tv_nsec,
       "it is touched while the program does something else");
    lock_release(lock);
    ok(names() == 0, "given back, nothing is left");

    foreign(0);
    unlink(path);
    put(path, "");
    touch(path, 1e4);
    for (int i = 0; i < 3; i++) { /* leftovers of broken attempts, and what only looks like them */
        static const char *const name[] = {"00112233445566778899aabbccddeeff", "12-34567890123456789.new",
                                           "bad"};
        char left[160];
        snprintf(left, sizeof left, "%s.%s", path, name[i]);
        put(left, "");
        touch(left, 1e6);
    }
    ok(take() == OK && names() == 2 && strstr(lock_taken_from(lock), "unreadable"),
       "an empty lock of long ago, and old leftovers");
    lock_release(lock);
    ok(lock_take(&lock, "/nonexistent", NULL) == E_SPACE && lock == NULL, "no folder: %s", status_text());
    lock_release(NULL);
    ok(lock_check(NULL, true) == OK, "no lock is nobody's");
}

/* Things that nobody should put there. */
static void check_odd(void)
{
    clear();
    ok(symlink("nowhere", path) == 0, "run.lock is a link to nowhere");
    touch(path, 1e4);
    ok(take() == OK, "it is replaced");
    lock_release(lock);
    clear();
    ok(mkfifo(path, 0666) == 0, "run.lock is a FIFO");
    touch(path, 1e4);
    ok(take() == OK, "it is replaced, and nobody waits for its writer");
    lock_release(lock);
    clear();
    ok(mkdir(path, 0777) == 0, "run.lock is a folder");
    touch(path, 1e4);
    ok(take() == E_SPACE && names() == 1, "it is refused: %s", status_text());
    clear();
    put(path, "{\"token\":\"../../../../../../../../tmp/x/y\",\"pid\":1}");
    touch(path, 1e4);
    ok(take() == OK && names() == 1, "a token that is a path");
    lock_release(lock);
}

/* ---- of another host: only time tells ---- */

static int told;
static int stop_now(void)
{
    return told;
}

static void check_elsewhere(void)
{
    status code;

    foreign(1e4 * LOCK_BEAT);
    code = take();
    ok(code == OK && waits(0, 0) && !strcmp(lock_taken_from(lock), "job 77, process 4711 on n1.b"),
       "touched long ago: taken at once from %s", lock_taken_from(lock));
    lock_release(lock);
    foreign(2 * LOCK_BEAT);
    code = take();
    ok(code == OK && waits(1.2, 1.5), "touched two beats ago: watched for more than a beat (%.1f s)", took);
    lock_release(lock);
    foreign(0);
    code = take();
    ok(code == OK && waits(2.9, 3.3), "touched just now: three beats (%.1f s)", took);
    struct timespec now;
    struct stat lately;
    clock_gettime(CLOCK_REALTIME, &now);
    stat(path, &lately);
    ok((double)(now.tv_sec - lately.st_mtim.tv_sec) + 1e-9 * (double)(now.tv_nsec - lately.st_mtim.tv_nsec) <
           LOCK_BEAT,
       "and touched when it was taken, not when the waiting began");
    lock_release(lock);
    foreign(-1e4);
    code = take();
    ok(code == OK && waits(2.9, 3.3), "touched in the future: three beats (%.1f s)", took);
    lock_release(lock);
    foreign(0);
    told = 1;
    ok(lock_take(&lock, dir, stop_now) == E_STOP && names() == 1, "a stop while it waits: %s", status_text());
}

/* A holder whose clock stamps the file: `ago` seconds behind. */
static void check_clock(double ago)
{
    foreign(ago);
    pid_t pid = fork_one();
    while (pid == 0) {
        rest(LOCK_BEAT);
        touch(path, ago);
    }
    ok(take() == E_DECK && strstr(status_text(), "in use by job 77, process 4711 on n1.b"),
       "a living holder whose clock is %g beats behind", ago / LOCK_BEAT);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* ---- legs of one job ---- */

static void slurm(const char *job, const char *restart, const char *cluster, const char *after)
{
    const char *const pair[][2] = {{"SLURM_JOB_ID", job},
                                   {"SLURM_RESTART_COUNT", restart},
                                   {"SLURM_CLUSTER_NAME", cluster},
                                   {"SLURM_JOB_DEPENDENCY", after}};
    for (int i = 0; i < 4; i++)
        if (pair[i][1])
            setenv(pair[i][0], pair[i][1], 1);
        else
            unsetenv(pair[i][0]);
}

static void check_legs(void)
{
    static const struct {
        const char *what, *job, *restart, *cluster;
        bool at_once;
    } row[] = {
        {"the same job, requeued", "77", "2", "c", true},
        {"the same job, no cluster named", "77", "2", NULL, true},
        {"the same job and leg", "77", "1", "c", false},
        {"the same number on another cluster", "77", "2", "d", false},
        {"another job", "78", "2", "c", false},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        foreign(0);
        slurm(row[i].job, row[i].restart, row[i].cluster, NULL);
        status code = take();
        ok(code == OK && (row[i].at_once ? waits(0, 0) : waits(2.9, 3.3)), "%s: after %.1f s", row[i].what,
           took);
        lock_release(lock);
    }
    slurm(NULL, NULL, NULL, NULL);
}

/* ---- of another process here ---- */

/* A process that holds the lock until it loses it. Exit code of lock_check, 99 if it could not take it. */
static pid_t holder(void)
{
    int ready[2];
    char byte = 0;
    if (pipe(ready) != 0)
        bug("pipe");
    pid_t pid = fork_one();
    if (pid == 0) {
        status code = take();
        (void)!write(ready[1], &byte, 1);
        if (code != OK)
            _exit(99);
        while ((code = lock_check(lock, false)) == OK)
            rest(0.01);
        lock_release(lock);
        _exit(code);
    }
    (void)!read(ready[0], &byte, 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

/* In the file, as if the holder were another one: the first byte of a member's text. */
static void falsify(const char *member)
{
    char text[TEXT] = "", key[32];
    int file = open(path, O_RDWR);
    (void)!read(file, text, sizeof text - 1);
    snprintf(key, sizeof key, "\"%s\":\"", member);
    const char *at = strstr(text, key);
    if (!at)
        bug("no %s in %s", member, text);
    (void)!pwrite(file, "x", 1, at - text + (long)strlen(key));
    close(file);
}

static void follower_of(char next[256])
{
    struct seen s;
    if (chain_look(path, &s) != OK)
        bug("%s", status_text());
    snprintf(next, 256, "%s.%s", path, s.token);
    seen_free(&s);
}

static int ended(pid_t pid)
{
    int how = 0;
    waitpid(pid, &how, 0);
    return WIFEXITED(how) ? WEXITSTATUS(how) : -1;
}

static void check_living(void)
{
    static const struct {
        const char *what, *false_member;
        double most; /* beats */
    } row[] = {{"here", NULL, 0}, {"in another container", "pidns", 0}, {"on another host", "boot", 1.3}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        clear();
        pid_t pid = holder();
        if (row[i].false_member)
            falsify(row[i].false_member);
        status code = take();
        ok(code == E_DECK && waits(0, row[i].most) && strstr(status_text(), "in use by job -"),
           "a living holder %s: refused after %.1f s", row[i].what, took);
        slurm("7", "1", NULL, NULL);
        ok(take() == E_STOP, "%s, and a requeued job: comes again", row[i].what);
        slurm("7", NULL, NULL, "afterany:6");
        ok(take() == E_STOP, "%s, and a job of a chain: comes again", row[i].what);
        slurm(NULL, NULL, NULL, NULL);
        kill(pid, SIGKILL);
        rest(0.05); /* it is a zombie now */
        code = take();
        ok(code == OK && waits(0, row[i].most > 0 ? 3.3 : 0), "%s, killed: taken after %.1f s", row[i].what,
           took);
        ended(pid);
        lock_release(lock);
    }
}

/* A holder that is stopped for too long, and goes on. */
static void check_stopped(void)
{
    clear();
    pid_t pid = holder();
    kill(pid, SIGSTOP);
    status code = take();
    ok(code == E_DECK && waits(0, 0), "a stopped holder here lives");
    falsify("boot");
    code = take();
    ok(code == OK && waits(2.7, 3.3), "a stopped holder elsewhere: taken after %.1f s", took);
    char ours[TOKEN];
    memcpy(ours, lock->token, sizeof ours);
    kill(pid, SIGCONT);
    ok(ended(pid) == E_DECK, "it goes on, sees that it lost the folder and stops");
    ok(lock_check(lock, true) == OK && names() == 1, "and leaves the lock of its follower alone");
    lock_release(lock);

    char next[256];
    clear();
    pid = holder();
    follower_of(next);
    put(next, "");
    ok(ended(pid) == E_DECK, "a lock that somebody is about to follow is lost");
    clear();
    pid = holder();
    unlink(path);
    ok(ended(pid) == E_DECK && names() == 0, "a lock that somebody removed is lost");
    clear();
    pid = holder();
    put(path, ELSEWHERE);
    ok(ended(pid) == E_DECK && names() == 1, "so is one that somebody replaced, which stays");
}

/* ---- many at once ---- */

static int no_link(const char *from, const char *to)
{
    (void)from;
    errno = access(to, F_OK) == 0 ? EEXIST : EPERM;
    return -1;
}

static int link_unheard(const char *from, const char *to) /* NFS: done, and the answer got lost */
{
    if (io_link(from, to) == 0)
        errno = EEXIST;
    return -1;
}

static void work(int me, unsigned seed)
{
    for (int i = 0; i < 4; i++) {
        status code = lock_take(&lock, dir, NULL);
        if (code != OK) {
            shared->odd += code != E_DECK;
            rest(1e-4 * (double)(rand_r(&seed) % 8));
            continue;
        }
        shared->inside[me] = 1;
        for (int j = 0; j < JOBS; j++)
            shared->both += j != me && shared->inside[j] && !shared->killed[j];
        shared->taken++;
        rest(1e-3 * (double)(rand_r(&seed) % 3));
        shared->inside[me] = 0;
        lock_release(lock);
    }
    _exit(0);
}

/* All at once; some are killed at any moment. A killed one is marked before. */
static void storm(const char *what, int rounds, bool kills, void (*stage)(void))
{
    unsigned seed = 1;
    memset(shared, 0, sizeof *shared);
    int rounds_taken = 0;
    pid_t pid[JOBS];
    for (int r = 0; r < rounds; r++) {
        stage();
        memset(shared->inside, 0, sizeof shared->inside);
        memset(shared->killed, 0, sizeof shared->killed);
        int before = shared->taken;
        for (int j = 0; j < JOBS; j++) {
            pid[j] = fork_one();
            if (pid[j] == 0)
                work(j, (unsigned)(r * JOBS + j));
        }
        for (int j = 0; kills && j < JOBS / 2; j++) {
            rest(1e-4 * (double)(rand_r(&seed) % 30));
            shared->killed[j] = 1;
            kill(pid[j], SIGKILL);
        }
        for (int j = 0; j < JOBS; j++)
            waitpid(pid[j], NULL, 0);
        rounds_taken += shared->taken > before;
    }
    ok(shared->both == 0 && shared->odd == 0 && rounds_taken == rounds,
       "%s: %d rounds of %d, taken %d times in %d of them, two at once %d times, other exit codes %d", what,
       rounds, JOBS, shared->taken, rounds_taken, shared->both, shared->odd);
}

static void stage_old(void)
{
    foreign(1e4);
}

static void stage_garbage(void)
{
    clear();
    put(path, "{\"token\":");
    touch(path, 1e4);
}

/* One that died between being the only follower and the renaming, twice. */
static void stage_broken(void)
{
    char next[256];
    foreign(1e4);
    snprintf(next, sizeof next, "%s.00112233445566778899aabbccddeeff", path);
    put(next, "{\"token\":\"ffeeddccbbaa99887766554433221100\",\"boot\":\"x\"}");
    touch(next, 1e4);
    snprintf(next, sizeof next, "%s.ffeeddccbbaa99887766554433221100", path);
    put(next, "{\"tok");
    touch(next, 1e4);
}

static void check_storms(void)
{
    storm("no lock", 10, false, clear);
    storm("an old lock", 40, false, stage_old);
    storm("an unreadable lock", 10, false, stage_garbage);
    storm("takers that died half-way", 10, false, stage_broken);
    storm("an old lock, half of the jobs killed", 40, true, stage_old);
    linking = no_link;
    storm("no second names, an old lock", 10, false, stage_old);
    linking = link_unheard;
    storm("link() that worked and failed", 15, false, stage_old);
    linking = io_link;
}

int main(void)
{
    snprintf(dir, sizeof dir, "/tmp/t_lock.XXXXXX");
    if (!mkdtemp(dir))
        bug("mkdtemp: %s", strerror(errno));
    snprintf(path, sizeof path, "%s/run.lock", dir);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    log_open(false, true);
    slurm(NULL, NULL, NULL, NULL);
    check_alone();
    check_odd();
    check_elsewhere();
    check_clock(2 * LOCK_BEAT);
    check_clock(10 * LOCK_BEAT);
    check_clock(-100 * LOCK_BEAT);
    check_legs();
    check_living();
    check_stopped();
    check_storms();
    clear();
    rmdir(dir);
    return tap_done();
}
