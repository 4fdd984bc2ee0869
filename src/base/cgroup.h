/* Limits that control groups (version 1 or 2) set for this process: those of a job, a container or a service.
 * The process's own group counts, and each group around it. Not collective. */
#ifndef BASE_CGROUP_H
#define BASE_CGROUP_H
#include <stdint.h>

/* The kernel's files. Tests name others. */
struct cgroup_files {
    const char *own; /* /proc/self/cgroup */
    const char *sys; /* /sys/fs/cgroup */
};
extern const struct cgroup_files cgroup_files;

/* CPU time that all processes of a group may use together. */
struct cpu_limit {
    uint64_t group; /* a hash of the group's path, equal in all its processes on this host */
    double cores;
};
/** CPU limits of this process's group, then of the groups around it. Writes at most max, returns how many. */
int cgroup_cpu_limits(const struct cgroup_files *, struct cpu_limit *, int max);
/** Bytes of memory that the tightest of these groups leaves; -1 if none has a limit. */
int64_t cgroup_free_bytes(const struct cgroup_files *);
/** The number behind `key` at the start of a line of a small file; -1 if there is no such line or number. */
int64_t kernel_number(const char *path, const char *key);

#endif
