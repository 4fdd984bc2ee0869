/* Limits that control groups (version 1 or 2) set this process: a job's, a container's, those of a service.
 * Its own group counts, and each group around that. Not collective. */
#ifndef BASE_CGROUP_H
#define BASE_CGROUP_H
#include <stdint.h>

/* Where the kernel tells: fields for tests. */
struct cgroup_files {
    const char *own; /* /proc/self/cgroup */
    const char *sys; /* /sys/fs/cgroup */
};
extern const struct cgroup_files cgroup_files;

/* CPU time that all processes of a group may use together. */
struct cpu_limit {
    uint64_t group; /* of its path: equal in all processes of the group on this host */
    double cores;
};
/** Limits of the groups around this process, its own first. Writes at most max, returns how many. */
int cgroup_cpu_limits(const struct cgroup_files *, struct cpu_limit *, int max);
/** Memory that the tightest of them leaves, in bytes; -1 if none limits it. */
int64_t cgroup_free_bytes(const struct cgroup_files *);
/** The number that follows `key` at the start of a line of a small file; -1 if there is none ("max" is none).
 */
int64_t kernel_number(const char *path, const char *key);

#endif
