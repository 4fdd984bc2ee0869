/* Extents: runs of one tensor in a shard file, each under a digest. */
#include "ckpt/extent.h"

#include "base/file.h"
#include "base/io.h"
#include "base/mem.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
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

/* Read in blocks that the processor's cache holds until they are digested. */
status extent_read(int fd, const char *path, const struct extent *e, float *out, uint64_t *digest)
{
    enum { READ_ONCE = 1 << 18 };
    int64_t n = e->shard.part.n;
    float *room = out ? NULL : mem_new(n < READ_ONCE ? n : READ_ONCE, sizeof *room);
    XXH3_state_t *state = XXH3_createState();
    status s = OK;
    XXH3_64bits_reset(state);
    for (int64_t lo = 0; lo < n && s == OK; lo += READ_ONCE) {
        int64_t bytes = (n - lo < READ_ONCE ? n - lo : READ_ONCE) * (int64_t)sizeof *out;
        float *to = out ? out + lo : room;
        s = file_read(fd, path, e->offset + lo * (int64_t)sizeof *out, bytes, to);
        if (s == OK)
            XXH3_64bits_update(state, to, (size_t)bytes);
    }
    int error = errno;
    *digest = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    free(room);
    errno = error;
    return s;
}

void reader_open(struct reader *r, const struct ckpt_index *index, const char *dir)
{
    *r = (struct reader){.index = index, .dir = dir, .file = -1, .held = -1};
    int64_t longest = 0;
    for (int i = 0; i < index->n_extents; i++)
        longest = index->extent[i].shard.part.n > longest ? index->extent[i].shard.part.n : longest;
    r->data = mem_new(longest, sizeof *r->data);
}

static void reader_forget(struct reader *r)
{
    if (r->file >= 0)
        io_close(r->fd);
    free(r->path);
    r->path = NULL;
    r->file = -1;
}

void reader_close(struct reader *r)
{
    reader_forget(r);
    free(r->data);
}

status ckpt_verdict(status s, const char *where)
{
    if (s == OK || s == E_IO)
        return s;
    char *why = mem_text(status_text());
    bool denied = errno == EACCES || errno == EPERM;
    s = fail(denied ? E_IO : E_NOCKPT, "%s%s", why, where);
    free(why);
    return s;
}

/* About an extent, so that its tensor is in every message. */
static char *in_tensor(const struct reader *r, const struct extent *e)
{
    return mem_format(" (%s of %s)", kind_name(e->shard.kind), r->index->tensor[e->shard.tensor].name);
}

/* Local: make the file of an extent the one that is open. */
static status open_file(struct reader *r, const struct extent *e)
{
    int64_t size;
    if (r->file == e->file)
        return OK;
    reader_forget(r);
    r->path = mem_format("%s/%s", r->dir, r->index->file[e->file]);
    TRY(file_open(&r->fd, &size, r->path));
    r->file = e->file;
    return OK;
}

static status read_extent(struct reader *r, const struct extent *e)
{
    int64_t bytes = mem_mul(e->shard.part.n, sizeof *r->data);
    TRY(open_file(r, e));
    uint64_t digest;
    TRY(extent_read(r->fd, r->path, e, r->data, &digest));
    r->bytes += bytes;
    errno = 0;
    if (digest != e->digest)
        return fail(E_DATA, "%s: its digest differs, the file was changed after it was written", r->path);
    return OK;
}

/* Make extent i the one in memory. */
static status hold(struct reader *r, int i)
{
    const struct extent *e = &r->index->extent[i];
    if (r->held == i)
        return OK;
    r->held = -1;
    char *where = in_tensor(r, e);
    status s = ckpt_verdict(read_extent(r, e), where);
    free(where);
    r->held = s == OK ? i : -1;
    return s;
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
