/* Which assignments fit an expert's capacity (D5). The domain is the whole micro-batch, so every rank
 * of the TP group gathers all choices and makes the same selection; it is decided at the source,
 * before dispatch, and an expert's ranks know nothing of it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "model/layers/layers.h"

struct candidate {
    float weight;
    int64_t at; /* n*k + j: ascending n breaks ties */
};

static int by_weight(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* Drop from idx [n*k] what does not fit; returns how many of those lie in [mine, mine_end). */
static int64_t select_kept(const struct config *c, int64_t n, int32_t *idx, const float *gate, struct candidate *list,
                           int64_t mine, int64_t mine_end, double *margin)
{
    int64_t dropped = 0, cap = config_capacity(c, n);
    for (int32_t e = 0; e < c->moe.experts; e++) {
        int64_t count = 0;
        for (int64_t a = 0; a < n * c->moe.top_k; a++)
            if (idx[a] == e)
                list[count++] = (struct candidate){gate[a], a};
        if (count <= cap)
            continue;
        if (c->moe.capacity_policy == BY_PROBABILITY) {
            qsort(list, (size_t)count, sizeof *list, by_weight);
            *margin = fmin(*margin, (double)list[cap - 1].weight - (double)list[cap].weight);
        }
        for (int64_t i = cap; i < count; i++) {
            idx[list[i].at] = -1;
            dropped += list[i].at >= mine && list[i].at < mine_end;
        }
    }
    return dropped;
}

/* Rows of all TP ranks [TP*c, k], as in seq_gather. */
static view gather_choice(struct net *net, const struct pass *p, view x)
{
    view mine = arena_scratch(&net->arena, x.type, 1, p->c, x.n[2]);
    view dead = view_rows(mine, p->own, p->c - p->own);
    dead.type = F32; /* zero bits either way */
    dev_copy(net->dev, view_rows(mine, 0, p->own), x);
    dev_fill(net->dev, dead, 0);
    return seq_gather(net, p, mine);
}

void capacity_keep(struct net *net, struct pass *p, view kept, view idx, view gate)
{
    int64_t k = net->config->moe.top_k, mark = arena_mark(&net->arena);
    view all_idx = live(p, gather_choice(net, p, idx)), all_gate = live(p, gather_choice(net, p, gate));
    if (!dev_is_dry(net->dev) && p->n > 0) {
        int32_t *choice = malloc((size_t)(p->n * k) * sizeof *choice);
        float *w = malloc((size_t)(p->n * k) * sizeof *w);
        struct candidate *list = malloc((size_t)p->n * sizeof *list); /* a token chooses an expert once */
        if (!choice || !w || !list)
            bug("out of host memory for the capacity of %lld tokens", (long long)p->n);
        dev_download(net->dev, choice, all_idx);
        dev_download(net->dev, w, all_gate);
        int64_t first = p->c * net->at.t * k;
        p->report->dropped += (double)select_kept(net->config, p->n, choice, w, list, first, first + p->own * k,
                                                  &p->report->margin);
        dev_upload(net->dev, kept, choice + first);
        free(choice);
        free(w);
        free(list);
    }
    arena_release(&net->arena, mark);
}
