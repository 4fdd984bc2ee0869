/* This process's host. Not collective. */
#ifndef BASE_HOST_H
#define BASE_HOST_H

/** Cores this process may run on (its cpuset); writes at most max numbers, returns how many there are. */
int host_cores(int *list, int max);
/** "0-3,8"; returns out. */
char *host_cores_text(char out[64]);
/** The host's name up to the first dot; returns out. */
char *host_name(char out[64]);

#endif
