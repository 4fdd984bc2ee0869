/* This process's host, and its share of the cores. Not collective. */
#ifndef BASE_HOST_H
#define BASE_HOST_H
#include <stdbool.h>
#include <stdint.h>
#include "base/cgroup.h"
#include "base/status.h"

enum { HOST_CPUS = 4096, HOST_LIMITS = 4 };

/* The cores that a process may use. A plain value that can be sent to other processes. */
struct host_cores {
    uint64_t cpu[HOST_CPUS / 64]; /* bit i: it may run on CPU i */
    struct cpu_limit limit[HOST_LIMITS];
    int limits;
};

/** Fill in this process's cores: its cpuset, and the CPU limits of its control groups. */
void host_cores(struct host_cores *);
int host_cores_count(const struct host_cores *);
/** "0-3,8"; returns out. */
char *host_cores_text(const struct host_cores *, char out[64]);
/** The share of process i of n: each core, and each limit, is divided evenly among the processes of the node
 * that share it. The shares of a node's processes add up to its cores at most. */
double host_cores_share(const struct host_cores *, const int *node_of, int n, int i);
/** Threads for a share of the cores; at least 1. */
int host_threads(double share);
/** Are there more threads than cores for process i? This counts its own cores; the cores of all processes
 * that share some with it, directly or through others; and each of its limits. */
bool host_is_crowded(const struct host_cores *, const int *node_of, const int *threads, int n, int i);
/** The host's name up to the first dot; returns out. */
char *host_name(char out[64]);

/** Stack of the calling thread in bytes. The main thread has what ulimit -s says, INT64_MAX if unlimited. */
int64_t host_stack_bytes(void);
/** E_RESOURCE if a stack of this size is too small for matrix products, which keep blocks on it. For the
 * message: `whose` is "the main thread" or "OpenMP's threads", `setting` says how to set it. */
status host_check_stack(int64_t bytes, const char *whose, const char *setting) MUST_USE;

#endif
