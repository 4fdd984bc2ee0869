/* Loading into any layout: this rank's pieces against the extents of the index. */
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

/* host: room for the shard. */
static status load_shard(struct reader *r, const struct store *s, const struct shard *shard, float *host)
{
    int tensor = tensor_in(r->index, s->model->tensor[shard->tensor].name);
    TRY(signals_check());
    TRY(reader_fill(r, tensor, shard->kind, &shard->part, host));
    dev_upload(s->dev, store_shard(s, shard), host);
    return OK;
}

static status load_kind(struct reader *r, const struct store *s, enum kind kind)
{
    struct shard *shard = mem_new(s->model->n_tensors, sizeof *shard);
    int n = model_shards(s->model, &s->layout, s->rank, kind, shard, s->model->n_tensors);
    int64_t longest = 0;
    for (int i = 0; i < n; i++)
        longest = shard[i].part.n > longest ? shard[i].part.n : longest;
    float *host = mem_new(longest, sizeof *host);
    status result = OK;
    for (int i = 0; i < n && result == OK; i++)
        result = load_shard(r, s, &shard[i], host);
    free(host);
    free(shard);
    return result;
}

/* Local: all pieces that this rank owns. */
static status load_pieces(const struct store *s, const struct ckpt_index *x, const char *dir, int kinds)
{
    struct reader r;
    status result = ckpt_fits(x, dir, s->model);
    if (result != OK)
        return result;
    reader_open(&r, x, dir);
    for (int k = 0; k < kinds && result == OK; k++)
        result = load_kind(&r, s, saved_kind(k));
    reader_close(&r);
    return result;
}

status ckpt_load(struct comm *c, struct store *s, struct group *const group[GROUPS],
                 const struct ckpt_index *x, const char *dir)
{
    int kinds = has_moments(s) ? SAVED_KINDS : 1;
    TRY(comm_agree(c, load_pieces(s, x, dir, kinds)));
    for (int k = 0; k < kinds; k++) {
        enum kind kind = saved_kind(k);
        uint64_t hash = comm_sum_u64(c, store_hash(s, kind));
        status same =
            hash == x->hash[kind]
                ? OK
                : fail(E_NOCKPT, "%s: the hash of all %s differs from the one saved", dir, kind_name(kind));
        TRY(comm_agree(c, same));
    }
    store_round_weights(s);
    store_gather_weights(s, group);
    return OK;
}
