#define _GNU_SOURCE
#include "base/host.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"

static void add_cpu(struct host_cores *c, int cpu)
{
    if (cpu < HOST_CPUS)
        c->cpu[cpu / 64] |= (uint64_t)1 << (cpu % 64);
}

static bool has_cpu(const struct host_cores *c, int cpu)
{
    return c->cpu[cpu / 64] >> (cpu % 64) & 1;
}

/* With OMP_PROC_BIND this thread is bound to one place, but the process may use all places. */
static void add_places(struct host_cores *c)
{
    int list[HOST_CPUS];
    for (int p = 0; p < omp_get_num_places(); p++) {
        int n = omp_get_place_num_procs(p);
        if (n > HOST_CPUS)
            continue;
        omp_get_place_proc_ids(p, list);
        for (int i = 0; i < n; i++)
            add_cpu(c, list[i]);
    }
}

void host_cores(struct host_cores *c)
{
    union {
        cpu_set_t first; /* the usual set is too small for large machines */
        unsigned char bytes[HOST_CPUS / 8];
    } set = {.bytes = {0}};
    *c = (struct host_cores){.limits = 0};
    if (sched_getaffinity(0, sizeof set, &set.first) != 0)
        set.bytes[0] = 1;
    for (int i = 0; i < HOST_CPUS; i++)
        if (CPU_ISSET_S(i, sizeof set, &set.first))
            add_cpu(c, i);
    add_places(c);
    c->limits = cgroup_cpu_limits(&cgroup_files, c->limit, HOST_LIMITS);
}

int host_cores_count(const struct host_cores *c)
{
    int n = 0;
    for (int i = 0; i < HOST_CPUS / 64; i++)
        n += __builtin_popcountll(c->cpu[i]);
    return n;
}

char *host_cores_text(const struct host_cores *c, char out[64])
{
    int used = 0;
    out[0] = '\0';
    for (int i = 0; i < HOST_CPUS; i++) {
        int from = i;
        if (!has_cpu(c, i))
            continue;
        if (used > 44) {
            strcpy(out + used, ",...");
            break;
        }
        while (i + 1 < HOST_CPUS && has_cpu(c, i + 1))
            i++;
        used +=
            snprintf(out + used, 64 - (size_t)used, i > from ? "%s%d-%d" : "%s%d", used ? "," : "", from, i);
    }
    return out;
}

/* ---- shares ---- */

/* How many processes of a node may run on a CPU. */
static int users_of_cpu(const struct host_cores *all, const int *node_of, int n, int node, int cpu)
{
    int users = 0;
    for (int r = 0; r < n; r++)
        users += node_of[r] == node && has_cpu(&all[r], cpu);
    return users;
}

static bool is_limited(const struct host_cores *c, uint64_t group)
{
    for (int i = 0; i < c->limits; i++)
        if (c->limit[i].group == group)
            return true;
    return false;
}

static int users_of_limit(const struct host_cores *all, const int *node_of, int n, int node, uint64_t group)
{
    int users = 0;
    for (int r = 0; r < n; r++)
        users += node_of[r] == node && is_limited(&all[r], group);
    return users;
}

double host_cores_share(const struct host_cores *all, const int *node_of, int n, int i)
{
    const struct host_cores *mine = &all[i];
    double share = 0;
    for (int cpu = 0; cpu < HOST_CPUS; cpu++)
        if (has_cpu(mine, cpu))
            share += 1.0 / users_of_cpu(all, node_of, n, node_of[i], cpu);
    for (int l = 0; l < mine->limits; l++) {
        int users = users_of_limit(all, node_of, n, node_of[i], mine->limit[l].group);
        if (mine->limit[l].cores / users < share)
            share = mine->limit[l].cores / users;
    }
    return share;
}

int host_threads(double share)
{
    int n = (int)(share + 1e-6); /* the sum of seven sevenths may round to less than 1 */
    return n < 1 ? 1 : n;
}

static bool overlap(const struct host_cores *a, const struct host_cores *b)
{
    for (int i = 0; i < HOST_CPUS / 64; i++)
        if (a->cpu[i] & b->cpu[i])
            return true;
    return false;
}

/* Add to `sum` the cores of each process that shares cores with it, until no such process is left. */
static void close_over(struct host_cores *sum, const struct host_cores *all, const int *node_of, int n,
                       int node)
{
    int before = 0;
    while (host_cores_count(sum) > before) {
        before = host_cores_count(sum);
        for (int r = 0; r < n; r++)
            for (int i = 0; node_of[r] == node && i < HOST_CPUS / 64 && overlap(sum, &all[r]); i++)
                sum->cpu[i] |= all[r].cpu[i];
    }
}

bool host_is_crowded(const struct host_cores *all, const int *node_of, const int *threads, int n, int i)
{
    struct host_cores sum = all[i];
    int together = 0, within[HOST_LIMITS] = {0};
    close_over(&sum, all, node_of, n, node_of[i]);
    for (int r = 0; r < n; r++) {
        if (node_of[r] != node_of[i])
            continue;
        together += overlap(&sum, &all[r]) ? threads[r] : 0;
        for (int l = 0; l < all[i].limits; l++)
            within[l] += is_limited(&all[r], all[i].limit[l].group) ? threads[r] : 0;
    }
    for (int l = 0; l < all[i].limits; l++)
        if (within[l] > all[i].limit[l].cores + 0.999) /* 2 threads on 1.5 cores are not too many */
            return true;
    return threads[i] > host_cores_count(&all[i]) || together > host_cores_count(&sum);
}

char *host_name(char out[64])
{
    if (gethostname(out, 63) != 0)
        strcpy(out, "host");
    out[63] = '\0';
    out[strcspn(out, ".")] = '\0';
    return out;
}

/* ---- stacks ---- */

int64_t host_stack_bytes(void)
{
    pthread_attr_t attr;
    size_t bytes = 0;
    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        return INT64_MAX;
    pthread_attr_getstacksize(&attr, &bytes);
    pthread_attr_destroy(&attr);
    return bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes;
}

status host_check_stack(int64_t bytes, const char *whose, const char *setting)
{
    enum {
        LEAST = 500 << 10
    }; /* twice what oneDNN 2.6.3 was seen to need; a few pages of a stack of 512 KB are already in use */
    if (bytes >= LEAST)
        return OK;
    return fail(E_RESOURCE, "%s ha%s a stack of %lld KB, and matrix products need 512 KB: %s", whose,
                strchr(whose, '\'') ? "ve" : "s", (long long)(bytes >> 10), setting);
}
