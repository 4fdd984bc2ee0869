/* Room on a disk. Not collective. */
#ifndef BASE_DISK_H
#define BASE_DISK_H
#include <stdbool.h>

/** Bytes that this user may still write under `path`, or under the nearest folder above it that is there: of
 *  the disk and of quotas for user and group, the least; -1 if nobody can tell. *quotas: does the system tell
 *  quotas there? Linux does of its own file systems; network file systems keep theirs to themselves. */
double disk_free(const char *path, bool *quotas);

#endif
