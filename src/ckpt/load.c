/* Loading into any layout: this rank's pieces against the extents of the index. */
#include "base/crew.h"
#include "base/file.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/signals.h"
#include "ckpt/extent.h"
#include <stdlib.h>
#include <string.h>

/* Index of a tensor in the checkpoint by name, -1 if there is none. */
static int tensor_in(const struct ckpt_index *x, const char *name)
{
    for (int i = 0; i < x->n_tensors; i++)
        if (!strcmp(x->tensor[i].name, name))
            return i;
    return -1;
}

static status check_tensor(const struct ckpt_index *x, const char *dir, const struct tensor *t)
{
    int i = tensor_in(x, t->name);
    if (i < 0)
        return fail(E_DECK, "%s: is of another model: it has no tensor %s", dir, t->name);
    const int64_t *a = x->tensor[i].dim, *b = t->dim;
    if (memcmp(a, b, sizeof t->dim) != 0)
        return fail(E_DECK,
                    "%s: is of another model: its %s is %lld x %lld x %lld, the deck's %lld x %lld x %lld",
                    dir, t->name, (long long)a[0], (long long)a[1], (long long)a[2], (long long)b[0],
                    (long long)b[1], (long long)b[2]);
    return OK;
}

status ckpt_fits(const struct ckpt_index *x, const char *dir, const struct model *m)
{
    for (int i = 0; i < m->n_tensors; i++)
        TRY(check_tensor(x, dir, &m->tensor[i]));
    for (int i = 0; i < x->n_tensors; i++)
        if (model_find(m, x->tensor[i].name) < 0)
            return fail(E_DECK, "%s: is of another model: its tensor %s is not in the deck's", dir,
                        x->tensor[i].name);
    return OK;
}

static bool has_moments(const struct store *s)
{
    for (int b = 0; b < s->model->n_buckets; b++)
        if (s->bucket[b].mem[MOMENT1])
            return true;
    return false;
}

/* ---- one kind: the pieces that this rank owns, from the extents that have a part of them ---- */

struct task {
    int shard, extent;
    uint64_t hash; /* of what it brought */
};

struct loading {
    const struct store *store;
    const struct ckpt_index *index;
    const char *dir;
    struct shard *shard;
    float **to; /* host memory of each shard */
    int n_shards, n_tasks;
    struct task *task;
    int *fd;     /* of each file, -1: not needed */
    char **path; /* alike */
};

static void add_tasks(struct loading *l, int shard)
{
    const struct ckpt_index *x = l->index;
    const struct shard *want = &l->shard[shard];
    int tensor = tensor_in(x, l->store->model->tensor[want->tensor].name);
    for (int i = extent_first(x, tensor, want->kind); i < x->n_extents; i++) {
        const struct shard *have = &x->extent[i].shard;
        if (have->tensor != tensor || have->kind != want->kind)
            break;
        if (piece_overlap(&have->part, &want->part, NULL, 0) == 0)
            continue;
        l->task = mem_grow(l->task, l->n_tasks + 1, sizeof *l->task);
        l->task[l->n_tasks++] = (struct task){.shard = shard, .extent = i};
    }
}

/* Into the store itself, where the host may touch it; else into host memory, and from there. */
static void loading_open(struct loading *l, const struct store *s, const struct ckpt_index *x,
                         const char *dir, enum kind kind)
{
    *l = (struct loading){.store = s, .index = x, .dir = dir};
    l->shard = mem_new(s->model->n_tensors, sizeof *l->shard);
    l->n_shards = model_shards(s->model, &s->layout, s->rank, kind, l->shard, s->model->n_tensors);
    l->to = mem_new(l->n_shards, sizeof *l->to);
    l->fd = mem_new(x->n_files, sizeof *l->fd);
    l->path = mem_new(x->n_files, sizeof *l->path);
    for (int i = 0; i < x->n_files; i++)
        l->fd[i] = -1;
    for (int i = 0; i < l->n_shards; i++) {
        view v = store_shard(s, &l->shard[i]);
        l->to[i] = dev_host_memory(s->dev) ? v.data : mem_new(l->shard[i].part.n, sizeof **l->to);
        add_tasks(l, i);
    }
}

static void loading_close(struct loading *l)
{
    for (int i = 0; i < l->n_shards && !dev_host_memory(l->store->dev); i++)
        free(l->to[i]);
    for (int i = 0; i < l->index->n_files; i++) {
        if (l->fd[i] >= 0)
            io_close(l->fd[i]);
        free(l->path[i]);
    }
    free(l->fd);
    free(l->path);
    free(l->shard);
    free(l->to);
    free(l->task);
}

static status open_files(struct loading *l)
{
    int64_t size;
    for (int i = 0; i < l->n_tasks; i++) {
        int f = l->index->extent[l->task[i].extent].file;
        if (l->fd[f] >= 0)
            continue;
        l->path[f] = mem_format("%s/%s", l->dir, l->index->file[f]);
        status s = file_open(&l->fd[f], &size, l->path[f]);
        if (s != OK)
            l->fd[f] = -1;
        TRY(ckpt_verdict(s, ""));
    }
    return OK;
}

/* Copy what an extent has of a shard; from NULL: it is there. */
static void copy_runs(const struct run *run, int64_t n, const float *from, float *to)
{
    for (int64_t i = 0; i < n && from; i++)
        memcpy(to + run[i].to, from + run[i].from, (size_t)run[i].n * sizeof *to);
}

/* crew_work. An extent that is wanted whole is read to its place. */
static status do_task(void *with, int64_t i)
{
    struct loading *l = with;
    struct task *t = &l->task[i];
    const struct extent *e = &l->index->extent[t->extent];
    const struct shard *want = &l->shard[t->shard];
    const struct tensor *tensor = &l->store->model->tensor[want->tensor];
    TRY(signals_check());
    int64_t n = piece_overlap(&e->shard.part, &want->part, NULL, 0);
    struct run *run = mem_new(n, sizeof *run);
    piece_overlap(&e->shard.part, &want->part, run, n);
    float *to = l->to[t->shard], *between = NULL;
    if (n > 1 || run[0].n < e->shard.part.n)
        between = mem_new(e->shard.part.n, sizeof *between);
    status s = extent_load(l->fd[e->file], l->path[e->file], l->index, e, between ? between : to + run[0].to);
    if (s == OK)
        copy_runs(run, n, between, to);
    for (int64_t r = 0; r < n && s == OK; r++) {
        piece part = {want->part.box, want->part.lo + run[r].to, run[r].n};
        t->hash += tensor_scan(tensor->name, tensor->dim, &part, to + run[r].to).hash;
    }
    free(between);
    free(run);
    return s;
}

/* *hash: of what this rank owns now. */
static status load_kind(const struct store *s, const struct ckpt_index *x, const char *dir, enum kind kind,
                        uint64_t *hash)
{
    struct loading l;
    loading_open(&l, s, x, dir, kind);
    status result = open_files(&l);
    if (result == OK)
        result = crew_do(dev_threads(s->dev), l.n_tasks, do_task, &l);
    *hash = 0;
    for (int i = 0; i < l.n_tasks; i++)
        *hash += l.task[i].hash;
    for (int i = 0; i < l.n_shards && result == OK && !dev_host_memory(s->dev); i++)
        dev_upload(s->dev, store_shard(s, &l.shard[i]), l.to[i]);
    loading_close(&l);
    return result;
}

/* Local: all pieces that this rank owns. */
static status load_pieces(const struct store *s, const struct ckpt_index *x, const char *dir, int kinds,
                          uint64_t hash[SAVED_KINDS])
{
    TRY(ckpt_fits(x, dir, s->model));
    dev_sync(s->dev);
    for (int k = 0; k < kinds; k++)
        TRY(load_kind(s, x, dir, saved_kind(k), &hash[k]));
    return OK;
}

status ckpt_load(struct comm *c, struct store *s, struct group *const group[GROUPS],
                 const struct ckpt_index *x, const char *dir)
{
    int kinds = has_moments(s) ? SAVED_KINDS : 1;
    uint64_t hash[SAVED_KINDS] = {0};
    TRY(comm_agree(c, load_pieces(s, x, dir, kinds, hash)));
    for (int k = 0; k < kinds; k++) {
        enum kind kind = saved_kind(k);
        status same =
            comm_sum_u64(c, hash[k]) == x->hash[kind]
                ? OK
                : fail(E_NOCKPT, "%s: the hash of all %s differs from the one saved", dir, kind_name(kind));
        TRY(comm_agree(c, same));
    }
    store_round_weights(s);
    store_gather_weights(s, group, COMPUTE);
    return OK;
}
