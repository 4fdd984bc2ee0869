/* The null device stands for another device, computes nothing and holds nothing. Its memory is protected
 * address space with the sizes, alignment and pitch of the device that it stands for. Its ops check their
 * arguments and are counted. So the real step runs on it for any rank of any layout. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/mem.h"
#include "device/ops.h"

static status null_open(struct dev *dev, int node_local_rank)
{
    (void)node_local_rank;
    snprintf(dev->about, sizeof dev->about, "nothing, in the place of %s", dev->ops->name);
    return OK;
}

static void null_close(struct dev *dev)
{
    (void)dev;
}

static status null_alloc(struct dev *dev, void **out, int64_t bytes, enum dev_fresh fresh)
{
    (void)dev, (void)fresh;
    *out = mmap(NULL, (size_t)bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return *out != MAP_FAILED
               ? OK
               : fail(E_RESOURCE, "no address space for %lld bytes: ulimit -v", (long long)bytes);
}

static void null_free(struct dev *dev, void *p, int64_t bytes)
{
    (void)dev;
    munmap(p, (size_t)bytes);
}

static void null_upload(struct dev *dev, void *dst, const void *src, int64_t bytes)
{
    (void)dev, (void)dst, (void)src, (void)bytes;
}

static void null_download(struct dev *dev, void *dst, const void *src, int64_t bytes)
{
    (void)dev, (void)src;
    memset(dst, 0, (size_t)bytes);
}

static void *null_host_alloc(struct dev *dev, int64_t bytes)
{
    (void)dev;
    return mem_new(bytes, 1);
}

static void null_host_free(struct dev *dev, void *p)
{
    (void)dev;
    free(p);
}

static void null_sync(struct dev *dev)
{
    (void)dev;
}

static double null_ceiling(struct dev *dev, dtype type)
{
    (void)dev, (void)type;
    return 0;
}

struct dev_ops *null_ops(const struct dev_ops *like)
{
    struct dev_ops *ops = mem_new(1, sizeof *ops);
    *ops = *like; /* with its kernels, which are never called */
    ops->host_memory = false;
    ops->open = null_open;
    ops->close = null_close;
    ops->alloc = null_alloc;
    ops->free = null_free;
    ops->upload = null_upload;
    ops->download = null_download;
    ops->upload_async = null_upload;
    ops->download_async = null_download;
    ops->host_alloc = null_host_alloc;
    ops->host_free = null_host_free;
    ops->sync = null_sync;
    ops->mark = NULL; /* no streams of its own */
    ops->handle = NULL;
    ops->ceiling = null_ceiling;
    return ops;
}
