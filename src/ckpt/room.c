/* What a checkpoint takes on disk, and whether it is there. */
#include "base/disk.h"
#include "base/mem.h"
#include "base/text.h"
#include "ckpt/extent.h"

int64_t ckpt_bytes(const struct model *m)
{
    const int64_t page = 4096, line = 256; /* an aligned dataset, an extent in the index */
    int64_t bytes = (int64_t)m->n_buckets * SAVED_KINDS * page;
    for (int i = 0; i < m->n_tensors; i++) {
        const int64_t *dim = m->tensor[i].dim;
        int64_t kinds = m->tensor[i].trained ? SAVED_KINDS : 1, n = mem_mul(mem_mul(dim[0], dim[1]), dim[2]);
        bytes += kinds * (n * (int64_t)sizeof(float) + (n / EXTENT_ELEMENTS + 1) * line);
    }
    return bytes;
}

int64_t ckpt_copy_bytes(const struct store *s)
{
    int64_t n = 0;
    for (int i = 0; i < s->n_owned; i++)
        n += s->owned[i].part.n * (s->model->tensor[s->owned[i].tensor].trained ? SAVED_KINDS : 1);
    return n * (int64_t)sizeof(float);
}

status ckpt_room(const char *run_dir, int64_t bytes, int64_t n)
{
    bool quotas;
    char each[32], there[32];
    double room = disk_free(run_dir, &quotas);
    if (room < 0 || room >= (double)bytes * (double)n)
        return OK;
    return fail(E_SPACE, "%s: %lld checkpoint%s of %s do%s not fit in the %s that are free there", run_dir,
                (long long)n, n == 1 ? "" : "s", text_bytes(each, (double)bytes), n == 1 ? "es" : "",
                text_bytes(there, room));
}
