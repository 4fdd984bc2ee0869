#include "train/replicas.h"

#include <stdlib.h>
#include <xxhash.h>
#include "base/mem.h"

enum { PIECE = 1 << 22 }; /* bytes that go to the host at once */

static uint64_t hash_of(const struct store *s, int tensor, char *host)
{
    view w = store_view(s, tensor, WEIGHT);
    int64_t size = view_size(w), at_once = PIECE / dtype_size(w.type);
    uint64_t hash = 0;
    for (int64_t lo = 0; lo < size; lo += at_once) {
        int64_t n = size - lo < at_once ? size - lo : at_once;
        view part = view_of((char *)w.data + lo * dtype_size(w.type), w.type, 1, 1, n);
        dev_download(s->dev, host, part);
        hash = XXH3_64bits_withSeed(host, (size_t)(n * dtype_size(w.type)), hash);
    }
    return hash;
}

/* Hashes of one tensor in this rank's group. */
struct votes {
    const struct store *store;
    const uint64_t *all; /* [ranks, tensors] */
    int tensor, size;
    enum group_id over;
};

static int member(const struct votes *v, int i)
{
    return layout_group_member(&v->store->layout, v->store->rank, v->over, i);
}

static uint64_t hash_at(const struct votes *v, int i)
{
    return v->all[(int64_t)member(v, i) * v->store->model->n_tensors + v->tensor];
}

/* How many members hold what member i holds. */
static int agree_with(const struct votes *v, int i)
{
    int n = 0;
    for (int j = 0; j < v->size; j++)
        n += hash_at(v, j) == hash_at(v, i);
    return n;
}

static status differs(const struct votes *v)
{
    int most = 0;
    char *ranks = NULL;
    for (int i = 0; i < v->size; i++)
        most = agree_with(v, i) > most ? agree_with(v, i) : most;
    for (int i = 0; i < v->size; i++)
        if (agree_with(v, i) < most || 2 * most <= v->size)
            mem_append(&ranks, "%s%d", ranks ? ", " : "", member(v, i));
    status code =
        fail(E_NAN, "the copies of %s differ between ranks: look at the memory of rank %s%s",
             v->store->model->tensor[v->tensor].name, ranks, 2 * most <= v->size ? " (one of them)" : "");
    free(ranks);
    return code;
}

static status compare(const struct store *s, const uint64_t *all)
{
    for (int t = 0; t < s->model->n_tensors; t++) {
        enum group_id over = s->model->bucket[s->model->bucket_of[t]].over;
        struct votes v = {s, all, t, layout_group_size(&s->layout, over), over};
        if (agree_with(&v, layout_group_index(&s->layout, s->rank, over)) < v.size)
            return differs(&v);
    }
    return OK;
}

status replicas_check(struct comm *comm, const struct store *s)
{
    int n = s->model->n_tensors;
    uint64_t *all = mem_new(mem_mul(comm_size(comm), n), sizeof *all),
             *mine = all + (int64_t)comm_rank(comm) * n;
    char *host = mem_new(PIECE, 1);
    for (int t = 0; t < n; t++)
        if (layout_group_size(&s->layout, s->model->bucket[s->model->bucket_of[t]].over) > 1)
            mine[t] = hash_of(s, t, host);
    comm_all_gather(comm, all, mine, (int64_t)sizeof *all * n);
    status code = comm_agree(comm, compare(s, all));
    free(host);
    free(all);
    return code;
}
