#include "base/cgroup.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/rng.h"

const struct cgroup_files cgroup_files = {"/proc/self/cgroup", "/sys/fs/cgroup"};

int64_t kernel_number(const char *path, const char *key)
{
    char line[512];
    long long value = -1;
    FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    while (value < 0 && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0 && sscanf(line + strlen(key), "%lld", &value) != 1)
            value = -1;
    fclose(f);
    return value;
}

/* ---- the groups around this process ---- */

/* Is `name` one of the names in a list such as "cpu,cpuacct"? */
static bool lists(const char *names, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = names; at; at = strchr(at, ','), at = at ? at + 1 : NULL)
        if (!strncmp(at, name, n) && (at[n] == ',' || at[n] == '\0'))
            return true;
    return false;
}

/* Find this process's group: *top is the folder with all groups of a controller, *path the group's path in
 * it. In version 1 each controller has a line of its own; the one line of version 2 names none. Caller frees.
 */
static bool find_group(const struct cgroup_files *files, const char *controller, char **top, char **path)
{
    char line[1024];
    FILE *f = fopen(files->own, "re");
    *top = *path = NULL;
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        char *names = strchr(line, ':'), *at = names ? strchr(names + 1, ':') : NULL;
        if (!at)
            continue;
        *at++ = '\0';
        bool own = lists(++names, controller);
        if (!own && (*names || *top))
            continue;
        free(*top);
        free(*path);
        *top = own ? mem_format("%s/%s", files->sys, controller) : mem_text(files->sys);
        *path = mem_text(strcmp(at, "/") ? at : "");
        if (own)
            break;
    }
    if (f)
        fclose(f);
    return *top;
}

/* Call visit(with, folder) for the group and for each group around it. In a container the path may be the
 * host's and lead nowhere; `top` exists all the same. */
static void walk(const struct cgroup_files *files, const char *controller,
                 void (*visit)(void *with, const char *folder), void *with)
{
    char *top, *path;
    for (bool more = find_group(files, controller, &top, &path); more;) {
        char *folder = mem_format("%s%s", top, path), *end = strrchr(path, '/');
        visit(with, folder);
        free(folder);
        more = end;
        if (end)
            *end = '\0';
    }
    free(top);
    free(path);
}

static int64_t number(const char *folder, const char *file, const char *key)
{
    char *path = mem_format("%s/%s", folder, file);
    int64_t n = kernel_number(path, key);
    free(path);
    return n;
}

/* ---- CPU time ---- */

struct limits {
    struct cpu_limit *list;
    int n, max;
};

/* Read "200000 100000", the microseconds of CPU time in each period. False if there is no limit ("max
 * 100000"). */
static bool read_quota(const char *folder, double *cores)
{
    char *path = mem_format("%s/cpu.max", folder);
    double quota = -1, period = 0;
    FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%lf %lf", &quota, &period) != 2)
        quota = -1;
    if (f)
        fclose(f);
    free(path);
    if (!f) {
        quota = (double)number(folder, "cpu.cfs_quota_us", "");
        period = (double)number(folder, "cpu.cfs_period_us", "");
    }
    *cores = quota / period;
    return quota > 0 && period > 0;
}

static void add_limit(void *with, const char *folder)
{
    struct limits *l = with;
    double cores;
    if (l->n < l->max && read_quota(folder, &cores))
        l->list[l->n++] = (struct cpu_limit){rng_name(folder), cores};
}

int cgroup_cpu_limits(const struct cgroup_files *files, struct cpu_limit *list, int max)
{
    struct limits l = {.list = list, .max = max};
    walk(files, "cpu", add_limit, &l);
    return l.n;
}

/* ---- memory ---- */

static void keep_least(void *with, const char *folder)
{
    int64_t *least = with, limit = number(folder, "memory.max", ""),
            used = number(folder, "memory.current", "");
    int64_t cache = number(folder, "memory.stat", "inactive_file "); /* the kernel frees it on demand */
    if (limit < 0)
        limit = number(folder, "memory.limit_in_bytes", ""); /* version 1: a huge number means none */
    if (used < 0)
        used = number(folder, "memory.usage_in_bytes", "");
    if (limit < 0 || used < 0)
        return;
    int64_t left = limit - used + (cache > 0 ? cache : 0);
    left = left > 0 ? left : 0;
    if (*least < 0 || left < *least)
        *least = left;
}

int64_t cgroup_free_bytes(const struct cgroup_files *files)
{
    int64_t least = -1;
    walk(files, "memory", keep_least, &least);
    return least;
}
