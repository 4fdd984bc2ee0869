/* This process's host, and its share of the cores. Not collective. */
#ifndef BASE_HOST_H
#define BASE_HOST_H
#include <stdbool.h>
#include <stdint.h>
#include "base/cgroup.h"
#include "base/status.h"

enum { HOST_CPUS = 4096, HOST_LIMITS = 4 };

/* What a process may compute on. It can be copied to other processes. */
struct host_cores {
    uint64_t cpu[HOST_CPUS / 64]; /* bit i: it may run on CPU i */
    struct cpu_limit limit[HOST_LIMITS];
    int limits;
};

/** Of this process: its cpuset, and the CPU limits of its control groups. */
void host_cores(struct host_cores *);
int host_cores_count(const struct host_cores *);
/** "0-3,8"; returns out. */
char *host_cores_text(const struct host_cores *, char out[64]);
/** Cores that process `i` of n has to itself when each core, and each limit, is divided evenly among the
 *  processes of its node that share it: the shares of a node's processes never exceed its cores. */
double host_cores_share(const struct host_cores *, const int *node_of, int n, int i);
/** Threads for such a share: at least 1. */
int host_threads(double share);
/** Are there fewer cores than threads for process i: on its own cores, on those of all processes that share
 * some with it, directly or through others, or within one of its limits? */
bool host_is_crowded(const struct host_cores *, const int *node_of, const int *threads, int n, int i);
/** The host's name up to the first dot; returns out. */
char *host_name(char out[64]);

/** Stack of the calling thread in bytes; the main thread's by ulimit -s, INT64_MAX if unlimited. */
int64_t host_stack_bytes(void);
/** E_RESOURCE if a thread with a stack of this size cannot compute: matrix products keep blocks there.
 * `whose`: "the main thread", "OpenMP's threads"; `setting`: what sets it. */
status host_check_stack(int64_t bytes, const char *whose, const char *setting) MUST_USE;

#endif
