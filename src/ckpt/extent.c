/* Extents: runs of one tensor in a shard file, each under a digest. */
#include "ckpt/extent.h"

#include "base/file.h"
#include "base/half.h"
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

int64_t extent_bytes(const struct extent *e)
{
    return mem_mul(e->shard.part.n, dtype_size(e->type));
}

/* Read in blocks that the processor's cache holds until they are digested. BF16 is widened behind that. */
static status read_block(int fd, const char *path, const struct extent *e, int64_t lo, int64_t n, float *out,
                         void *raw, XXH3_state_t *state)
{
    int64_t size = dtype_size(e->type);
    void *to = e->type == F32 && out ? (void *)(out + lo) : raw;
    TRY(file_read(fd, path, e->offset + lo * size, n * size, to));
    XXH3_64bits_update(state, to, (size_t)(n * size));
    for (int64_t i = 0; i < n && out && e->type == BF16; i++)
        out[lo + i] = float_of_bf16(((const uint16_t *)raw)[i]);
    return OK;
}

status extent_read(int fd, const char *path, const struct extent *e, float *out, uint64_t *digest)
{
    enum { READ_ONCE = 1 << 18 };
    int64_t all = e->shard.part.n, block = all < READ_ONCE ? all : READ_ONCE;
    void *raw = e->type == F32 && out ? NULL : mem_new(block, sizeof(float));
    XXH3_state_t *state = XXH3_createState();
    status s = OK;
    XXH3_64bits_reset(state);
    for (int64_t lo = 0; lo < all && s == OK; lo += block)
        s = read_block(fd, path, e, lo, all - lo < block ? all - lo : block, out, raw, state);
    int error = errno;
    *digest = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    free(raw);
    errno = error;
    return s;
}

static status load_checked(int fd, const char *path, const struct extent *e, float *out)
{
    uint64_t digest;
    TRY(extent_read(fd, path, e, out, &digest));
    errno = 0;
    if (digest != e->digest)
        return fail(E_DATA, "%s: its digest differs, the file was changed after it was written", path);
    return OK;
}

status extent_load(int fd, const char *path, const struct ckpt_index *x, const struct extent *e, float *out)
{
    status s = load_checked(fd, path, e, out);
    if (s == OK)
        return OK;
    char *where = mem_format(" (%s of %s)", kind_name(e->shard.kind), x->tensor[e->shard.tensor].name);
    s = ckpt_verdict(s, where);
    free(where);
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

/* Make extent i the one in memory. */
static status hold(struct reader *r, int i)
{
    const struct extent *e = &r->index->extent[i];
    if (r->held == i)
        return OK;
    r->held = -1;
    TRY(ckpt_verdict(open_file(r, e), ""));
    TRY(extent_load(r->fd, r->path, r->index, e, r->data));
    r->bytes += extent_bytes(e);
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

int extent_first(const struct ckpt_index *index, int tensor, enum kind kind)
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
    for (int i = extent_first(index, tensor, kind); i < index->n_extents; i++) {
        if (index->extent[i].shard.tensor != tensor || index->extent[i].shard.kind != kind)
            break;
        TRY(copy_overlap(r, i, want, out, &copied));
    }
    if (copied != want->n)
        return fail(E_NOCKPT, "%s: has %lld of %lld elements of %s of %s", r->dir, (long long)copied,
                    (long long)want->n, kind_name(kind), index->tensor[tensor].name);
    return OK;
}
