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

/* All choices of a micro-batch [n*k], and the candidates of each expert one after the other. */
struct choices {
    struct candidate *list; /* [n*k] */
    int64_t *end;           /* [X] behind each expert's candidates */
    float *weight;          /* [n*k] */
    int32_t *idx;           /* [n*k] */
};

int64_t capacity_bytes(const struct config *c, int64_t tokens)
{
    int64_t one = sizeof(struct candidate) + sizeof(float) + sizeof(int32_t);
    return c->moe.capacity_ppm > 0 ? tokens * c->moe.top_k * one + c->moe.experts * (int64_t)sizeof(int64_t)
                                   : 0;
}

static struct choices choices_of(const struct net *net, int64_t tokens)
{
    int64_t n = tokens * net->config->moe.top_k;
    struct choices c = {.list = net->host_capacity};
    c.end = (int64_t *)(c.list + n);
    c.weight = (float *)(c.end + net->config->moe.experts);
    c.idx = (int32_t *)(c.weight + n);
    return c;
}

/* Counting sort of assignments by expert, in token order. */
static void list_candidates(struct choices *c, int64_t n, int64_t experts)
{
    memset(c->end, 0, (size_t)experts * sizeof *c->end);
    for (int64_t a = 0; a < n; a++)
        if (c->idx[a] + 1 < experts)
            c->end[c->idx[a] + 1]++;
    for (int64_t e = 1; e < experts; e++)
        c->end[e] += c->end[e - 1]; /* where e begins; after the next loop, where it ends */
    for (int64_t a = 0; a < n; a++)
        c->list[c->end[c->idx[a]]++] = (struct candidate){c->weight[a], a};
}

/* What does not fit gets the choice -1; returns how many of those lie in [mine, mine_end). */
static int64_t drop(const struct config *config, struct choices *c, int64_t tokens, int64_t mine,
                    int64_t mine_end, double *margin)
{
    int64_t dropped = 0, cap = config_capacity(config, tokens), first = 0;
    for (int64_t e = 0; e < config->moe.experts; first = c->end[e++]) {
        struct candidate *list = c->list + first;
        int64_t count = c->end[e] - first;
        if (count <= cap)
            continue;
        if (config->moe.capacity_policy == BY_PROBABILITY) {
            qsort(list, (size_t)count, sizeof *list, by_weight);
            *margin = fmin(*margin, (double)list[cap - 1].weight - (double)list[cap].weight);
        }
        for (int64_t i = cap; i < count; i++) {
            c->idx[list[i].at] = -1;
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
        struct choices c = choices_of(net, p->n);
        int64_t first = p->c * net->at.t * k;
        dev_download(net->dev, c.idx, all_idx);
        dev_download(net->dev, c.weight, all_gate);
        list_candidates(&c, p->n * k, net->config->moe.experts);
        p->report->dropped +=
            (double)drop(net->config, &c, p->n, first, first + p->own * k, &p->report->margin);
        dev_upload(net->dev, kept, c.idx + first);
    }
    arena_release(&net->arena, mark);
}
