/* A whole checkpoint against its digests. */
#include <stdlib.h>
#include "base/crew.h"
#include "base/file.h"
#include "base/io.h"
#include "base/mem.h"
#include "ckpt/extent.h"

struct verifying {
    const struct ckpt_index *index;
    const char *dir;
};

/* crew_work. */
static status verify_extent(void *with, int64_t i)
{
    const struct verifying *v = with;
    const struct extent *e = &v->index->extent[i];
    char *path = mem_format("%s/%s", v->dir, v->index->file[e->file]);
    int64_t size;
    int fd;
    status s = ckpt_verdict(file_open(&fd, &size, path), "");
    if (s == OK) {
        s = extent_load(fd, path, v->index, e, NULL);
        io_close(fd);
    }
    free(path);
    return s;
}

status ckpt_verify(const struct ckpt_index *x, const char *dir, int threads)
{
    struct verifying v = {x, dir};
    return crew_do(threads, x->n_extents, verify_extent, &v);
}
