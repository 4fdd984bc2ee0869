/* Extents: runs of one tensor in a shard file, each under a digest. */
#include "ckpt/extent.h"

#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

enum kind saved_kind(int i)
{
    static const enum kind saved[SAVED_KINDS] = {MASTER, MOMENT1, MOMENT2};
    return saved[i];
}

const char *kind_name(enum kind kind)
{
    static const char *const name[KINDS] = {"weight", "gradient", "master", "moment1", "moment2"};
    return name[kind];
}

uint64_t extent_digest(const float *x, int64_t n)
{
    return XXH3_64bits(x, (size_t)n * sizeof *x);
}

void reader_open(struct reader *r, const struct ckpt_index *index, const char *dir)
{
    *r = (struct reader){.index = index, .dir = dir, .file = -1, .fd = -1, .held = -1};
    int64_t longest = 0;
    for (int i = 0; i < index->n_extents; i++)
        longest = index->extent[i].shard.part.n > longest ? index->extent[i].shard.part.n : longest;
    r->data = mem_new(longest, sizeof *r->data);
}

void reader_close(struct reader *r)
{
    if (r->fd >= 0)
        close(r->fd);
    free(r->data);
}

/* What is wrong with an extent, so that its file and its tensor are in every message. */
static status damaged(const struct reader *r, const struct extent *e, const char *what)
{
    return fail(E_NOCKPT, "%s/%s: %s of %s: %s", r->dir, r->index->file[e->file], kind_name(e->shard.kind),
                r->index->tensor[e->shard.tensor].name, what);
}

static status file_open(struct reader *r, const struct extent *e)
{
    if (r->file == e->file)
        return OK;
    if (r->fd >= 0)
        close(r->fd);
    char *path = mem_format("%s/%s", r->dir, r->index->file[e->file]);
    r->fd = open(path, O_RDONLY | O_CLOEXEC);
    r->file = r->fd >= 0 ? e->file : -1;
    free(path);
    return r->fd >= 0 ? OK : damaged(r, e, strerror(errno));
}

static status read_all(struct reader *r, const struct extent *e)
{
    char *to = (char *)r->data;
    int64_t bytes = mem_mul(e->shard.part.n, sizeof *r->data);
    for (int64_t done = 0; done < bytes;) {
        ssize_t n = pread(r->fd, to + done, (size_t)(bytes - done), e->offset + done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return damaged(r, e, n < 0 ? strerror(errno) : "the file is too short");
        done += n;
    }
    r->bytes += bytes;
    return OK;
}

/* Make extent i the one in memory. */
static status hold(struct reader *r, int i)
{
    const struct extent *e = &r->index->extent[i];
    if (r->held == i)
        return OK;
    r->held = -1;
    TRY(file_open(r, e));
    TRY(read_all(r, e));
    if (extent_digest(r->data, e->shard.part.n) != e->digest)
        return damaged(r, e, "its digest differs, the file was changed after it was written");
    r->held = i;
    return OK;
}

/* Copy what extent i has of the piece; its data are read only if there is something. */
static status copy_overlap(struct reader *r, int i, const piece *want, float *out, int64_t *copied)
{
    const piece *have = &r->index->extent[i].shard.part;
    int64_t n = piece_overlap(have, want, NULL, 0);
    if (n == 0)
        return OK;
    TRY(hold(r, i));
    struct run *run = mem_new(n, sizeof *run);
    piece_overlap(have, want, run, n);
    for (int64_t j = 0; j < n; j++) {
        memcpy(out + run[j].to, r->data + run[j].from, (size_t)run[j].n * sizeof *out);
        *copied += run[j].n;
    }
    free(run);
    return OK;
}

/* Index of the first extent that is not before (tensor, kind). */
static int lower_bound(const struct ckpt_index *index, int tensor, enum kind kind)
{
    int lo = 0, hi = index->n_extents;
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2;
        const struct shard *s = &index->extent[mid].shard;
        if (s->tensor < tensor || (s->tensor == tensor && s->kind < kind))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

status reader_fill(struct reader *r, int tensor, enum kind kind, const piece *want, float *out)
{
    const struct ckpt_index *index = r->index;
    int64_t copied = 0;
    for (int i = lower_bound(index, tensor, kind); i < index->n_extents; i++) {
        if (index->extent[i].shard.tensor != tensor || index->extent[i].shard.kind != kind)
            break;
        TRY(copy_overlap(r, i, want, out, &copied));
    }
    if (copied != want->n)
        return fail(E_NOCKPT, "%s: has %lld of %lld elements of %s of %s", r->dir, (long long)copied,
                    (long long)want->n, kind_name(kind), index->tensor[tensor].name);
    return OK;
}
