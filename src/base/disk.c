#define _GNU_SOURCE
#include "base/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/quota.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/io.h"

/* Bytes below the limit of user or group `id`; infinite where there is none. The hard limit is what stops a
 * write; a soft one does after days. *told: did the system answer? It says ESRCH where quotas are off. */
static double quota_free(int fd, int type, int id, bool *told)
{
    *told = false;
#ifdef SYS_quotactl_fd
    struct dqblk q = {0};
    bool there = syscall(SYS_quotactl_fd, fd, QCMD(Q_GETQUOTA, type), id, &q) == 0;
    *told = there || errno == ESRCH;
    if (there && q.dqb_bhardlimit > 0)
        return fmax(0, (double)q.dqb_bhardlimit * 1024 - (double)q.dqb_curspace);
#else
    (void)fd, (void)type, (void)id;
#endif
    return (double)INFINITY;
}

double disk_free(const char *path, bool *quotas)
{
    struct statvfs disk;
    bool user, group;
    char *at = io_nearest(path);
    int fd = io_open(at, O_PATH, 0);
    free(at);
    *quotas = false;
    if (fd < 0)
        return -1;
    double room = fstatvfs(fd, &disk) == 0 && disk.f_blocks > 0
                      ? (double)disk.f_bavail * (double)disk.f_frsize
                      : (double)INFINITY;
    room = fmin(room, quota_free(fd, USRQUOTA, (int)geteuid(), &user));
    room = fmin(room, quota_free(fd, GRPQUOTA, (int)getegid(), &group));
    io_close(fd);
    *quotas = user && group;
    return isfinite(room) ? room : -1;
}
