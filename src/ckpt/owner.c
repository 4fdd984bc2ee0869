#include "ckpt/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include "base/mem.h"

/* ---- this process ---- */

/* The begin of a small file, "" if it cannot be read. */
static char *first_bytes(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "re");
    size_t n = file ? fread(out, 1, size - 1, file) : 0;
    out[n] = '\0';
    if (file)
        fclose(file);
    return out;
}

/* When a process started, in the kernel's ticks since boot: with its number, a name that is not used
 * again. 0 if there is no such process, or if it is dead and only not yet waited for. */
static long long started(long pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    const char *at =
        strrchr(first_bytes(path, text, sizeof text), ')'); /* the name before it may hold anything */
    if (!at || strlen(at) < 3 || strchr("ZX", at[2]))
        return 0;
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoll(at, NULL, 10) : 0;
}

void owner_token(char out[TOKEN])
{
    unsigned char bytes[TOKEN / 2];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        bug("getrandom: %s", strerror(errno));
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static void add_text(json_t *to, const char *key, const char *text)
{
    if (text && *text)
        json_object_set_new(to, key, json_string(text)); /* nothing if it is not UTF-8 */
}

json_t *owner_self(const char *token, bool flocked)
{
    char host[256] = "", boot[64], pidns[64] = "";
    const char *restart = getenv("SLURM_RESTART_COUNT");
    long pid = (long)getpid();
    gethostname(host, sizeof host - 1);
    first_bytes("/proc/sys/kernel/random/boot_id", boot, sizeof boot)[strcspn(boot, "\n")] = '\0';
    if (readlink("/proc/self/ns/pid", pidns, sizeof pidns - 1) < 0)
        pidns[0] = '\0';
    json_t *me = json_pack("{sssIsIsIsbsI}", "token", token, "pid", (json_int_t)pid, "started",
                           (json_int_t)started(pid), "restart", (json_int_t)(restart ? atoll(restart) : 0),
                           "flock", flocked, "since", (json_int_t)time(NULL));
    add_text(me, "host", host);
    add_text(me, "boot", boot);
    add_text(me, "pidns", pidns);
    add_text(me, "job", getenv("SLURM_JOB_ID"));
    add_text(me, "cluster", getenv("SLURM_CLUSTER_NAME"));
    return me;
}

bool owner_comes_again(void)
{
    const char *restart = getenv("SLURM_RESTART_COUNT"), *after = getenv("SLURM_JOB_DEPENDENCY");
    return (restart && atoi(restart) > 0) || (after && *after);
}

/* ---- another one ---- */

static long long number(const json_t *owner, const char *key)
{
    return (long long)json_integer_value(json_object_get(owner, key));
}

static const char *text(const json_t *owner, const char *key)
{
    const char *value = json_string_value(json_object_get(owner, key));
    return value && *value ? value : NULL;
}

/* Known of both, and equal. */
static bool same(const json_t *a, const json_t *b, const char *key)
{
    return text(a, key) && text(b, key) && strcmp(text(a, key), text(b, key)) == 0;
}

char *owner_about(const json_t *owner)
{
    if (!owner)
        return mem_text("an unreadable lock");
    return mem_format("job %s, process %lld on %s", text(owner, "job") ? text(owner, "job") : "-",
                      number(owner, "pid"), text(owner, "host") ? text(owner, "host") : "?");
}

const char *owner_token_of(const json_t *owner)
{
    const char *token = text(owner, "token");
    bool good = token && strlen(token) == TOKEN - 1 && strspn(token, "0123456789abcdef") == TOKEN - 1;
    return good ? token : NULL;
}

/* By its number and start; a start of 0 is not known. */
static bool runs_here(const json_t *owner)
{
    long long pid = number(owner, "pid"), since = number(owner, "started"), now;
    if (pid <= 0 || (kill((pid_t)pid, 0) != 0 && errno != EPERM))
        return false;
    now = started((long)pid);
    return now > 0 && (since == 0 || since == now);
}

/* Of the same job, begun again since: Slurm has ended the older leg. */
static bool older_leg(const json_t *owner, const json_t *self)
{
    bool two_clusters = text(owner, "cluster") && text(self, "cluster") && !same(owner, self, "cluster");
    return same(owner, self, "job") && !two_clusters && number(owner, "restart") < number(self, "restart");
}

/* Does a process hold the kernel's lock on this file? Asked as a shared lock: others may ask at once. */
static enum verdict kernel_says(int file)
{
    if (flock(file, LOCK_SH | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? LIVES : UNKNOWN;
    flock(file, LOCK_UN);
    return GONE;
}

enum verdict owner_verdict(const json_t *owner, const json_t *self, int file)
{
    bool here = same(owner, self, "boot"), numbers = here && same(owner, self, "pidns");
    bool older_program = !text(owner, "boot") && number(owner, "started") && same(owner, self, "host");
    enum verdict kernel = UNKNOWN; /* it knows across containers */
    if (here && json_is_true(json_object_get(owner, "flock")))
        kernel = kernel_says(file);
    if (kernel == LIVES || ((numbers || older_program) && runs_here(owner)))
        return LIVES;
    return kernel == GONE || numbers || older_leg(owner, self) ? GONE : UNKNOWN;
}
