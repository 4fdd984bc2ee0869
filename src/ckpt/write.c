#include "ckpt/write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "base/file.h"
#include "base/io.h"
#include "base/mem.h"
#include "format/h5.h"

/* WRITE_ONCE: elements that are scanned, digested and written while the processor's cache holds them.
 * ALIGNED: a region of LARGE elements begins at a multiple of 1 MiB of the dataset, as stripes and locks of
 * parallel file systems do; a smaller one at a page. */
enum { WRITE_ONCE = 1 << 17, PAGE = 1 << 10, ALIGNED = 1 << 18, LARGE = 4 << 20 };

/* ---- where ---- */

static int group_of(const struct comm *c, int64_t writers, int rank)
{
    return writers > 0 ? (int)(rank / writers) : comm_nodes(c)[rank];
}

static int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

/* Elements that a rank saves. */
static int64_t region_size(const struct store *s, int rank, struct shard *shard)
{
    int64_t sum = 0;
    for (int k = 0; k < SAVED_KINDS; k++) {
        int n = model_shards(s->model, &s->layout, rank, saved_kind(k), shard, s->model->n_tensors);
        for (int i = 0; i < n; i++)
            sum += shard[i].part.n;
    }
    return sum;
}

struct region_plan region_plan(const struct comm *c, const struct store *s, int64_t writers)
{
    struct region_plan p = {.file = group_of(c, writers, comm_rank(c)), .first = true};
    struct shard *shard = mem_new(s->model->n_tensors, sizeof *shard);
    for (int rank = 0; rank < comm_size(c); rank++) {
        int group = group_of(c, writers, rank);
        p.n_files = group >= p.n_files ? group + 1 : p.n_files;
        if (group != p.file)
            continue;
        int64_t n = region_size(s, rank, shard);
        int64_t at = round_up(p.elements, n < LARGE ? PAGE : ALIGNED);
        p.first = p.first && rank >= comm_rank(c);
        p.elements = at + n;
        if (rank == comm_rank(c)) {
            p.before = at;
            p.mine = n;
        }
    }
    free(shard);
    return p;
}

/* ---- pieces ---- */

static void add_shard(struct writing *r, const struct region_plan *p, const struct shard *shard, int64_t *at)
{
    for (int64_t done = 0; done < shard->part.n; done += EXTENT_ELEMENTS) {
        int64_t left = shard->part.n - done, n = left < EXTENT_ELEMENTS ? left : EXTENT_ELEMENTS;
        struct piece_out *o;
        r->piece = mem_grow(r->piece, r->n + 1, sizeof *r->piece);
        o = &r->piece[r->n++];
        *o = (struct piece_out){.extent = {.shard = *shard, .file = p->file},
                                .tensor = &r->store->model->tensor[shard->tensor],
                                .whole = *shard,
                                .done = done,
                                .at = *at};
        o->extent.shard.part.lo += done;
        o->extent.shard.part.n = n;
        *at += n;
    }
}

void writing_open(struct writing *r, const struct store *s, const struct region_plan *p)
{
    const struct model *m = s->model;
    struct shard *shard = mem_new(m->n_tensors, sizeof *shard);
    int64_t at = 0;
    *r = (struct writing){.store = s, .fd = -1};
    for (int k = 0; k < SAVED_KINDS; k++) {
        int n = model_shards(m, &s->layout, s->rank, saved_kind(k), shard, m->n_tensors);
        for (int i = 0; i < n; i++)
            add_shard(r, p, &shard[i], &at);
    }
    free(shard);
}

static void close_file(struct writing *r)
{
    if (r->fd >= 0)
        io_close(r->fd);
    r->fd = -1;
}

void writing_close(struct writing *r)
{
    close_file(r);
    free(r->piece);
    free(r->path);
}

/* ---- the file ---- */

static status cannot(const struct writing *r, const char *what)
{
    return fail(E_SPACE, "%s: cannot %s: %s", r->path, what, strerror(errno));
}

static status reserve(const char *path, int64_t offset, int64_t bytes)
{
    int fd = io_open(path, O_WRONLY, 0);
    bool good = fd >= 0 && (bytes == 0 || io_reserve(fd, offset, bytes));
    status s =
        good ? OK
             : fail(E_SPACE, "%s: no room for its %lld bytes: %s", path, (long long)bytes, strerror(errno));
    if (fd >= 0)
        io_close(fd);
    return s;
}

status writing_lay_out(const struct region_plan *p, const char *path, int64_t *offset)
{
    struct h5 *h;
    TRY(h5_create(&h, path));
    status s = h5_layout_f32(h, "data", p->elements, offset);
    if (s != OK) {
        h5_abandon(h);
        return s;
    }
    TRY(h5_close_unsynced(h)); /* each writer syncs the file */
    return reserve(path, *offset, p->elements * (int64_t)sizeof(float));
}

void writing_place(struct writing *r, const struct region_plan *p, const char *path, int64_t offset)
{
    close_file(r);
    free(r->path);
    r->path = mem_text(path);
    for (int i = 0; i < r->n; i++)
        r->piece[i].extent.offset = offset + (p->before + r->piece[i].at) * (int64_t)sizeof(float);
}

status writing_begin(struct writing *r)
{
    r->fd = io_open(r->path, O_WRONLY, 0);
    return r->fd >= 0 ? OK : cannot(r, "open");
}

/* One block: its part of the digest and the hash, then to the file. */
static status write_block(const struct writing *r, struct piece_out *o, XXH3_state_t *digest, int64_t lo)
{
    const piece *all = &o->extent.shard.part;
    int64_t n = all->n - lo < WRITE_ONCE ? all->n - lo : WRITE_ONCE;
    piece part = {all->box, all->lo + lo, n};
    struct scanned s = tensor_scan(o->tensor->name, o->tensor->dim, &part, o->from + lo);
    if (!s.finite)
        return fail(E_NAN, "%s of %s is not finite: nothing is saved of this step",
                    kind_name(o->extent.shard.kind), o->tensor->name);
    o->hash += s.hash;
    XXH3_64bits_update(digest, o->from + lo, (size_t)n * sizeof *o->from);
    int64_t bytes = n * (int64_t)sizeof *o->from, at = o->extent.offset + lo * (int64_t)sizeof *o->from;
    return io_write_all(r->fd, o->from + lo, bytes, at) ? OK : cannot(r, "be written");
}

static status write_piece(const struct writing *r, struct piece_out *o)
{
    XXH3_state_t *digest = XXH3_createState();
    status s = OK;
    o->hash = 0;
    XXH3_64bits_reset(digest);
    for (int64_t lo = 0; lo < o->extent.shard.part.n && s == OK; lo += WRITE_ONCE)
        s = write_block(r, o, digest, lo);
    o->extent.digest = XXH3_64bits_digest(digest);
    XXH3_freeState(digest);
    if (s == OK)
        io_write_soon(r->fd, o->extent.offset, o->extent.shard.part.n * (int64_t)sizeof *o->from);
    return s;
}

static status sync_file(struct writing *r)
{
    status s = io_fsync(r->fd) == 0 ? OK : cannot(r, "sync");
    int fd = r->fd;
    r->fd = -1;
    if (io_close(fd) != 0 && s == OK)
        s = cannot(r, "close");
    return s;
}

status writing_write(void *region, int64_t i)
{
    struct writing *r = region;
    return i == r->n ? sync_file(r) : write_piece(r, &r->piece[i]);
}

/* ---- reading back ---- */

status writing_reopen(struct writing *r, const char *path)
{
    free(r->path);
    r->path = mem_text(path);
    r->fd = io_open(path, O_RDONLY, 0);
    if (r->fd < 0)
        return fail(E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    io_forget(r->fd, 0, 0);
    return OK;
}

status writing_verify(void *region, int64_t i)
{
    struct writing *r = region;
    const struct piece_out *o = &r->piece[i];
    uint64_t digest;
    TRY(ckpt_verdict(extent_read(r->fd, r->path, &o->extent, NULL, &digest), ""));
    return digest == o->extent.digest
               ? OK
               : fail(E_NOCKPT, "%s: what the disk gives back is not what was written (%s of %s)", r->path,
                      kind_name(o->extent.shard.kind), o->tensor->name);
}
