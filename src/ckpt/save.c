/* Saving. Where every piece goes follows from (model, layout, rank) alone: each rank computes the
 * sizes of its writer group's datasets by itself and looks only their offsets up in the file.
 * Fallible work is local, in functions of its own; ranks agree before the next step begins. */
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "ckpt/extent.h"
#include "ckpt/step_dir.h"
#include "format/h5.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

struct plan { /* of one rank: datasets [bucket * SAVED_KINDS + kind] of its group's file */
    const struct store *store;
    struct lock *lock; /* of the run folder, on rank 0 */
    char *path;        /* the group's file */
    int file, n_files;
    bool first; /* this rank lays the file out */
    int n;
    int64_t *size, *mine; /* elements of a dataset, and how many of them precede this rank's */
    int64_t *offset;      /* of a dataset in the file, in bytes */
};

struct extents {
    int64_t n;
    struct extent *at;
};

static int group_of(const struct comm *c, int64_t writers, int rank)
{
    return writers > 0 ? (int)(rank / writers) : comm_nodes(c)[rank];
}

/* Add what a rank of this group stores. */
static void plan_rank(struct plan *p, int rank, struct shard *shard)
{
    const struct model *m = p->store->model;
    if (rank == p->store->rank)
        memcpy(p->mine, p->size, (size_t)p->n * sizeof *p->mine);
    for (int k = 0; k < SAVED_KINDS; k++) {
        int n = model_shards(m, &p->store->layout, rank, saved_kind(k), shard, m->n_tensors);
        for (int i = 0; i < n; i++)
            p->size[shard[i].bucket * SAVED_KINDS + k] += shard[i].part.n;
    }
}

static void plan_open(struct plan *p, const struct comm *c, const struct store *s, struct lock *lock,
                      int64_t writers, const char *dir)
{
    struct shard *shard = mem_new(s->model->n_tensors, sizeof *shard);
    *p = (struct plan){.store = s, .lock = lock, .n = s->model->n_buckets * SAVED_KINDS, .first = true};
    p->file = group_of(c, writers, comm_rank(c));
    p->path = mem_format("%s/shard_%04d.h5", dir, p->file);
    p->size = mem_new(p->n, sizeof *p->size);
    p->mine = mem_new(p->n, sizeof *p->mine);
    p->offset = mem_new(p->n, sizeof *p->offset);
    for (int rank = 0; rank < comm_size(c); rank++) {
        int group = group_of(c, writers, rank);
        p->n_files = group >= p->n_files ? group + 1 : p->n_files;
        if (group != p->file)
            continue;
        p->first = p->first && rank >= comm_rank(c);
        plan_rank(p, rank, shard);
    }
    free(shard);
}

static void plan_close(struct plan *p)
{
    free(p->path);
    free(p->size);
    free(p->mine);
    free(p->offset);
}

/* "bucket_0003/master"; caller frees. */
static char *dataset_name(int i)
{
    return mem_format("bucket_%04d/%s", i / SAVED_KINDS, kind_name(saved_kind(i % SAVED_KINDS)));
}

/* Local, first rank of a group. */
static status lay_out(const struct plan *p)
{
    struct h5 *h;
    status s = OK;
    TRY(h5_create(&h, p->path));
    for (int i = 0; i < p->n && s == OK; i++) {
        char *name = dataset_name(i);
        int64_t offset;
        if (p->size[i] > 0)
            s = h5_layout_f32(h, name, p->size[i], &offset);
        free(name);
    }
    if (s == OK)
        return h5_close(h);
    h5_abandon(h);
    return s;
}

/* Local: the offsets of the datasets, from the file as the first rank closed it. */
static status find_offsets(struct plan *p)
{
    struct h5 *h;
    status s = OK;
    TRY(h5_open(&h, p->path));
    for (int i = 0; i < p->n && s == OK; i++) {
        char *name = dataset_name(i);
        int64_t n = 0;
        if (p->size[i] > 0)
            s = h5_find_f32(h, name, &n, &p->offset[i]);
        if (s == OK && n != p->size[i])
            s = fail(E_DATA, "%s: %s has %lld elements, not %lld", p->path, name, (long long)n,
                     (long long)p->size[i]);
        free(name);
    }
    h5_abandon(h);
    return s;
}

/* One shard in extents of EXTENT_ELEMENTS, from `offset` on. The digest is taken from memory. */
static status write_shard(const struct plan *p, int fd, const struct shard *shard, int64_t offset,
                          float *host, struct extents *out)
{
    for (int64_t done = 0; done < shard->part.n; done += EXTENT_ELEMENTS) {
        int64_t left = shard->part.n - done, n = left < EXTENT_ELEMENTS ? left : EXTENT_ELEMENTS;
        struct extent e = {.shard = *shard, .file = p->file, .offset = offset + done * (int64_t)sizeof *host};
        e.shard.part.lo += done;
        e.shard.part.n = n;
        dev_download(p->store->dev, host, view_cols(store_shard(p->store, shard), done, n));
        e.digest = extent_digest(host, n);
        if (!io_write_all(fd, host, n * (int64_t)sizeof *host, e.offset))
            return fail(E_SPACE, "%s: cannot be written: %s", p->path, strerror(errno));
        out->at = mem_grow(out->at, out->n + 1, sizeof *out->at);
        out->at[out->n++] = e;
    }
    return OK;
}

static status write_kind(struct plan *p, int fd, int k, float *host, struct extents *out)
{
    const struct model *m = p->store->model;
    struct shard *shard = mem_new(m->n_tensors, sizeof *shard);
    int n = model_shards(m, &p->store->layout, p->store->rank, saved_kind(k), shard, m->n_tensors);
    status s = OK;
    for (int i = 0; i < n && s == OK; i++) {
        int dataset = shard[i].bucket * SAVED_KINDS + k;
        int64_t at = p->offset[dataset] + p->mine[dataset] * (int64_t)sizeof *host;
        s = write_shard(p, fd, &shard[i], at, host, out);
        p->mine[dataset] += shard[i].part.n;
    }
    free(shard);
    return s;
}

/* Local: this rank's pieces, on disk when it returns. */
static status write_pieces(struct plan *p, struct extents *out)
{
    if (find_offsets(p) != OK)
        return E_SPACE; /* our own file cannot be read back; the record says why */
    int fd = io_open(p->path, O_WRONLY, 0);
    if (fd < 0)
        return fail(E_SPACE, "%s: cannot open: %s", p->path, strerror(errno));
    float *host = mem_new(EXTENT_ELEMENTS, sizeof *host);
    status s = OK;
    for (int k = 0; k < SAVED_KINDS && s == OK; k++)
        s = write_kind(p, fd, k, host, out);
    free(host);
    if (s == OK && io_fsync(fd) != 0)
        s = fail(E_SPACE, "%s: cannot sync: %s", p->path, strerror(errno));
    if (io_close(fd) != 0 && s == OK)
        s = fail(E_SPACE, "%s: cannot close: %s", p->path, strerror(errno));
    return s;
}

/* Rank 0: the index, from the extents of all ranks and what all ranks know. */
static status write_index(const struct plan *p, const struct ckpt_state *state, const char *dir,
                          const uint64_t hash[KINDS], struct extent *extent, int64_t n_extents)
{
    const struct model *m = p->store->model;
    struct ckpt_index x = {.state = *state,
                           .config = m->config,
                           .n_tensors = m->n_tensors,
                           .tensor = m->tensor,
                           .n_extents = (int)n_extents,
                           .extent = extent,
                           .n_files = p->n_files};
    char *path = mem_format("%s/index.h5", dir);
    x.file = mem_new(x.n_files, sizeof *x.file);
    memcpy(x.hash, hash, sizeof x.hash);
    for (int i = 0; i < x.n_files; i++)
        x.file[i] = mem_format("shard_%04d.h5", i);
    status s = ckpt_index_write(&x, path);
    for (int i = 0; i < x.n_files; i++)
        free(x.file[i]);
    free(x.file);
    free(path);
    return s;
}

/* COLLECTIVE: gather the extents, add the hashes, commit. */
static status finish(struct comm *c, const struct plan *p, const struct ckpt_state *state,
                     const char *run_dir, const char *dir, const struct extents *mine)
{
    uint64_t hash[KINDS] = {0};
    char *all = NULL;
    int64_t *bytes_of = mem_new(comm_size(c), sizeof *bytes_of), bytes = 0;
    for (int k = 0; k < SAVED_KINDS; k++)
        hash[saved_kind(k)] = comm_sum_u64(c, store_hash(p->store, saved_kind(k)));
    comm_gather_v(c, &all, bytes_of, mine->at, mine->n * (int64_t)sizeof *mine->at);
    status s = OK;
    if (comm_rank(c) == 0) {
        for (int i = 0; i < comm_size(c); i++)
            bytes += bytes_of[i];
        s = write_index(p, state, dir, hash, (struct extent *)(void *)all, bytes / (int64_t)sizeof *mine->at);
        if (s == OK)
            s = lock_check(p->lock, true);
        if (s == OK)
            s = step_dir_commit(run_dir, state->step);
        if (s == OK)
            step_dir_latest(run_dir, state->step);
    }
    free(all);
    free(bytes_of);
    return comm_agree(c, s);
}

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

int64_t ckpt_buffer_bytes(const struct store *s)
{
    int64_t longest = 0;
    for (int i = 0; i < s->n_owned; i++)
        longest = s->owned[i].part.n > longest ? s->owned[i].part.n : longest;
    return (longest < EXTENT_ELEMENTS ? longest : EXTENT_ELEMENTS) * (int64_t)sizeof(float);
}

status ckpt_room(const char *run_dir, int64_t bytes, int64_t n)
{
    struct statvfs disk;
    char each[32], there[32];
    char *at = io_nearest(run_dir);
    bool known = statvfs(at, &disk) == 0 && disk.f_blocks > 0;
    free(at);
    if (!known)
        return OK;
    double room = (double)disk.f_bavail * (double)disk.f_frsize;
    if (room >= (double)bytes * (double)n)
        return OK;
    return fail(E_SPACE, "%s: %lld checkpoint%s of %s do%s not fit in the %s that are free there", run_dir,
                (long long)n, n == 1 ? "" : "s", text_bytes(each, (double)bytes), n == 1 ? "es" : "",
                text_bytes(there, room));
}

/* Rank 0. */
static status begin(struct plan *p, const char *run_dir, int64_t step)
{
    TRY(lock_check(p->lock, true));
    ckpt_sweep(run_dir);
    TRY(ckpt_room(run_dir, ckpt_bytes(p->store->model), 1));
    return step_dir_begin(run_dir, step);
}

static status save(struct comm *c, struct plan *p, const struct ckpt_state *state, const char *run_dir,
                   const char *dir, struct extents *mine)
{
    TRY(comm_agree(c, comm_rank(c) == 0 ? begin(p, run_dir, state->step) : OK));
    TRY(comm_agree(c, p->first ? lay_out(p) : OK));
    TRY(comm_agree(c, write_pieces(p, mine)));
    return finish(c, p, state, run_dir, dir, mine);
}

status ckpt_save(struct comm *c, const struct store *store, const struct ckpt_state *state,
                 const char *run_dir, struct lock *lock, int64_t writers, int64_t *bytes)
{
    struct plan p;
    struct extents mine = {0};
    char *dir = step_dir_path(run_dir, state->step, ".tmp");
    plan_open(&p, c, store, lock, writers, dir);
    status s = save(c, &p, state, run_dir, dir, &mine);
    *bytes = 0;
    for (int64_t i = 0; i < mine.n; i++)
        *bytes += mine.at[i].shard.part.n * (int64_t)sizeof(float);
    comm_sum_i64(c, bytes, 1);
    if (s != OK && comm_rank(c) == 0 && lock_check(lock, true) == OK)
        step_dir_remove(dir);
    plan_close(&p);
    free(mine.at);
    free(dir);
    return s;
}
