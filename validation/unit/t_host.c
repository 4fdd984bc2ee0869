/* Cores: the share of each process of a node, when a process has too many threads, and the limits of control
 * groups of both versions, from files that are made here. */
#include "base/host.h"

#include <string.h>

#include "base/mem.h"
#include "scratch.h"
#include "tap.h"

/* ---- shares ---- */

enum { RANKS = 4 };

/* Cores of each rank as text: "01" is CPU 0 and CPU 1; NULL ends the list. */
static int place(struct host_cores all[RANKS], const char *const cores[RANKS])
{
    int n = 0;
    memset(all, 0, RANKS * sizeof *all);
    for (; n < RANKS && cores[n]; n++)
        for (const char *c = cores[n]; *c; c++)
            all[n].cpu[0] |= (uint64_t)1 << (*c - '0');
    return n;
}

static const struct {
    const char *name, *cores[RANKS];
    int threads[RANKS];
    bool crowded;
} sharing[] = {
    {"one rank, both cores", {"01"}, {2}, false},
    {"two ranks, a core each", {"0", "1"}, {1, 1}, false},
    {"two ranks share both cores", {"01", "01"}, {1, 1}, false},
    {"four ranks share two cores", {"01", "01", "01", "01"}, {1, 1, 1, 1}, true},
    {"srun -c 2: two cores each", {"01", "23", "45", "67"}, {2, 2, 2, 2}, false},
    {"half of the cores are shared", {"0123", "2345"}, {3, 3}, false},
    {"one within another", {"0", "01234567"}, {1, 7}, false},
    {"a chain", {"01", "12", "23"}, {1, 1, 1}, false},
    {"three ranks share three cores", {"012", "012", "012"}, {1, 1, 1}, false},
    {"three ranks share one core", {"7", "7", "7"}, {1, 1, 1}, true},
};

static void test_shares(void)
{
    static const int one_node[RANKS];
    struct host_cores all[RANKS];
    for (size_t i = 0; i < sizeof sharing / sizeof *sharing; i++) {
        int n = place(all, sharing[i].cores);
        bool good = true;
        double sum = 0;
        for (int r = 0; r < n; r++) {
            double share = host_cores_share(all, one_node, n, r);
            sum += share;
            good = good && host_threads(share) == sharing[i].threads[r] &&
                   host_is_crowded(all, one_node, sharing[i].threads, n, r) == sharing[i].crowded;
        }
        ok(good, "%s: threads of each, crowded or not (shares add up to %.3g)", sharing[i].name, sum);
    }
}

static void test_nodes(void)
{
    struct host_cores all[RANKS];
    const int node[] = {0, 1, 0, 1}, threads[] = {2, 1, 1, 3};
    place(all, (const char *const[RANKS]){"01", "01", "1", "01"});
    ok(host_cores_share(all, node, 4, 0) == 1.5 && host_cores_share(all, node, 4, 1) == 1,
       "equal numbers of other nodes' cores are other cores");
    ok(host_is_crowded(all, node, threads, 4, 0) && host_is_crowded(all, node, threads, 4, 3) &&
           !host_is_crowded(all, node, (const int[]){1, 1, 1, 1}, 4, 0),
       "three threads on two cores are too many, on either node");
}

static void test_limits(void)
{
    static const int node[RANKS];
    struct host_cores all[RANKS];
    const int threads[] = {3, 3};
    int n = place(all, (const char *const[RANKS]){"01234567", "01234567"});
    for (int r = 0; r < n; r++) {
        all[r].limits = 2;
        all[r].limit[0] = (struct cpu_limit){.group = (uint64_t)r + 1, .cores = 2};
        all[r].limit[1] = (struct cpu_limit){.group = 99, .cores = 3};
    }
    ok(host_cores_share(all, node, 1, 0) == 2, "a rank alone: its own group's limit");
    ok(host_cores_share(all, node, n, 0) == 1.5, "two ranks: what the group around both allows");
    ok(host_is_crowded(all, node, threads, n, 0), "more threads than a limit allows");
}

static void test_text(void)
{
    struct host_cores c = {.limits = 0}, here;
    char text[64];
    for (int i = 0; i < HOST_CPUS; i++)
        if (i < 3 || i == 5 || i >= 4000)
            c.cpu[i / 64] |= (uint64_t)1 << (i % 64);
    ok(!strcmp(host_cores_text(&c, text), "0-2,5,4000-4095") && host_cores_count(&c) == 100, "%s", text);
    memset(c.cpu, 0x55, sizeof c.cpu);
    host_cores_text(&c, text);
    ok(strlen(text) < 64 && strstr(text, ",..."), "a long list: %s", text);
    host_cores(&here);
    ok(host_cores_count(&here) > 0, "this process: cores %s", host_cores_text(&here, text));
}

/* ---- control groups ---- */

/* A file there, with its folders. */
static const char *put(const char *name, const char *text)
{
    char *command = mem_format("mkdir -p \"$(dirname '%s')\"", scratch(name));
    if (system(command) != 0)
        exit(99);
    free(command);
    return scratch_write(name, text, strlen(text));
}

static void test_version2(void)
{
    struct cpu_limit l[4];
    char *own = mem_text(put("own2", "0::/job/step/task\n")), *sys = mem_text(scratch("v2"));
    struct cgroup_files files = {own, sys};
    put("v2/job/cpu.max", "600000 100000\n");
    put("v2/job/step/cpu.max", "max 100000\n");
    put("v2/job/step/task/cpu.max", "150000 100000\n");
    put("v2/job/memory.max", "1000000\n");
    put("v2/job/memory.current", "700000\n");
    put("v2/job/memory.stat", "anon 1\ninactive_file 100000\n");
    put("v2/job/step/memory.max", "max\n");
    put("v2/job/step/memory.current", "10\n");
    int n = cgroup_cpu_limits(&files, l, 4);
    ok(n == 2 && l[0].cores == 1.5 && l[1].cores == 6 && l[0].group != l[1].group,
       "version 2: a quota of the own group and one around it");
    ok(cgroup_free_bytes(&files) == 400000,
       "version 2: memory of the tightest group, page cache counts as free");
    free(own);
    free(sys);
}

static void test_version1(void)
{
    struct cpu_limit l[4];
    char *own = mem_text(put("own1", "9:memory:/a\n4:cpu,cpuacct:/a/b\n3:cpuset:/\n0::/elsewhere\n"));
    char *sys = mem_text(scratch("v1"));
    struct cgroup_files files = {own, sys};
    put("v1/cpu/a/b/cpu.cfs_quota_us", "-1\n");
    put("v1/cpu/a/b/cpu.cfs_period_us", "100000\n");
    put("v1/cpu/a/cpu.cfs_quota_us", "250000\n");
    put("v1/cpu/a/cpu.cfs_period_us", "100000\n");
    put("v1/memory/memory.limit_in_bytes", "5000\n"); /* in a container the path may be the host's */
    put("v1/memory/memory.usage_in_bytes", "6000\n");
    int n = cgroup_cpu_limits(&files, l, 4);
    ok(n == 1 && l[0].cores == 2.5, "version 1: the quota of the group around the own");
    ok(cgroup_free_bytes(&files) == 0, "version 1: more used than allowed leaves nothing");
    free(own);
    free(sys);
}

static void test_no_limit(void)
{
    struct cpu_limit l[4];
    struct cgroup_files nowhere = {"/no/such/file", "/no/such/folder"};
    ok(cgroup_cpu_limits(&nowhere, l, 4) == 0 && cgroup_free_bytes(&nowhere) == -1,
       "no control groups, no limit");
}

int main(void)
{
    test_shares();
    test_nodes();
    test_limits();
    test_text();
    test_version2();
    test_version1();
    test_no_limit();
    scratch_remove();
    return tap_done();
}
