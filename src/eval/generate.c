#include "eval/generate.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/signals.h"

enum {
    PASS = 512,      /* tokens of a pass over prompts */
    PLACES = 32,     /* texts at work on a rank */
    CACHE = 1 << 30, /* bytes of the cache, unless one text needs more */
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void generate_shape(struct generate *g, int64_t dp, int64_t positions, int64_t bytes_a_token)
{
    int64_t longest = 1, mine = (g->n + dp - 1) / dp;
    for (int64_t i = 0; i < g->n; i++)
        longest = g->text[i].prompt > longest ? g->text[i].prompt : longest;
    int64_t room = least(longest + g->tokens, positions), fit = CACHE / mem_mul(room, bytes_a_token);
    g->shape.cached = least(least(mine, PLACES), fit > 1 ? fit : 1);
    g->shape.room = room;
    g->shape.micro = 1;
    g->shape.sequence = longest < PASS ? longest : PASS;
    if (g->shape.sequence < g->shape.cached)
        g->shape.sequence = g->shape.cached;
}

/* A token that follows a text, as ranks tell each other; text -1: none. */
struct said {
    int32_t text, id;
};

/* What this rank has at work. */
struct work {
    struct generate *g;
    int64_t next, step;            /* the next text of this DP rank that has no place yet */
    int64_t *at;                   /* [places] the text in each; -1: none */
    int32_t *ids;                  /* [sequence] of the pass */
    int32_t *slot, *past, *length; /* [sequence] of its sequences */
    int64_t sequences, longest;
    struct said *mine, *all; /* [places], [ranks, places] */
};

static void work_open(struct work *w, struct generate *g, int ranks, int64_t first, int64_t step)
{
    int64_t places = g->shape.cached, tokens = g->shape.sequence;
    *w = (struct work){.g = g, .next = first, .step = step, .at = mem_new(places, sizeof *w->at)};
    w->ids = mem_new(tokens, sizeof *w->ids);
    w->slot = mem_new(mem_mul(3, tokens), sizeof *w->slot);
    w->past = w->slot + tokens;
    w->length = w->past + tokens;
    w->mine = mem_new(mem_mul(places, ranks + 1), sizeof *w->mine);
    w->all = w->mine + places;
    memset(w->at, 0xff, (size_t)places * sizeof *w->at);
}

static void work_close(struct work *w)
{
    free(w->at);
    free(w->ids);
    free(w->slot);
    free(w->mine);
}

static int64_t unfed(const struct work *w, int64_t place)
{
    const struct continuation *t = w->at[place] < 0 ? NULL : &w->g->text[w->at[place]];
    return t ? t->ids.n - t->fed : 0;
}

/* Give places of texts that stopped to others. */
static void take_texts(struct work *w)
{
    for (int64_t i = 0; i < w->g->shape.cached; i++) {
        if (w->at[i] >= 0 && w->g->text[w->at[i]].stopped == GOES_ON)
            continue;
        w->at[i] = w->next < w->g->n ? w->next : -1;
        w->next += w->at[i] >= 0 ? w->step : 0;
    }
}

/* The next pass: as much of prompts as fits, padded to the longest part; without any, the last token of each
 * text. */
static void choose_pass(struct work *w)
{
    bool prompts = false;
    for (int64_t i = 0; i < w->g->shape.cached; i++)
        prompts = prompts || unfed(w, i) > 1;
    w->sequences = w->longest = 0;
    for (int64_t i = 0; i < w->g->shape.cached; i++) {
        int64_t n = least(unfed(w, i), w->g->shape.sequence), longest = n > w->longest ? n : w->longest;
        if (n == 0 || (prompts && n == 1) || longest * (w->sequences + 1) > w->g->shape.sequence)
            continue;
        w->slot[w->sequences] = (int32_t)i;
        w->past[w->sequences] = (int32_t)w->g->text[w->at[i]].fed;
        w->length[w->sequences++] = (int32_t)n;
        w->longest = longest;
    }
}

static struct continuation *text_of(const struct work *w, int64_t sequence)
{
    return &w->g->text[w->at[w->slot[sequence]]];
}

/* The sink: the next token of each text that was fed whole. */
static void take_logits(void *with, int64_t row, int64_t rows, const float *logits)
{
    struct work *w = with;
    int64_t vocab = w->g->vocab;
    for (int64_t s = row; s < row + rows; s++) {
        const struct continuation *t = text_of(w, s);
        int64_t number = t - w->g->text;
        if (t->fed + w->length[s] < t->ids.n)
            continue;
        int32_t id = sample(&w->g->sampling, logits + (s - row) * vocab, vocab, number, t->ids.n - t->prompt);
        w->mine[w->slot[s]] = (struct said){(int32_t)number, id};
    }
}

static void run_pass(struct work *w, struct net *net)
{
    struct logits_sink sink = {.take = take_logits, .with = w};
    struct cached cached = {.slot = w->slot, .past = w->past, .length = w->length, .ends = true};
    struct micro_batch m = {
        .tokens = w->sequences * w->longest, .sequence = w->longest, .ids = w->ids, .cached = &cached};
    for (int64_t s = 0; s < w->sequences; s++)
        for (int64_t i = 0; i < w->longest; i++)
            w->ids[s * w->longest + i] =
                text_of(w, s)->ids.at[w->past[s] + (i < w->length[s] ? i : w->length[s] - 1)];
    net_eval(net, m.tokens > 0 ? &m : &(struct micro_batch){0}, &sink);
    for (int64_t s = 0; s < w->sequences; s++)
        text_of(w, s)->fed += w->length[s];
}

static bool is_end(const struct generate *g, int32_t id)
{
    bool end = false;
    for (int64_t i = 0; i < g->ends->n; i++)
        end = end || g->ends->at[i] == id;
    return end;
}

static status add_token(struct generate *g, struct said x)
{
    struct continuation *t = &g->text[x.text];
    ids_add(&t->ids, &x.id, 1);
    t->stopped = is_end(g, x.id)                     ? AT_END
                 : t->ids.n - t->prompt >= g->tokens ? AT_TOKENS
                 : t->ids.n > g->shape.room          ? AT_POSITIONS
                                                     : GOES_ON;
    return g->told ? g->told(g->with, x.text, x.id) : OK;
}

/* What the first rank of every TP group says, which all ranks take: they would find the same, but need not
 * rely on it. */
static status share(struct work *w, struct comm *comm, const struct layout *l)
{
    int64_t places = w->g->shape.cached;
    status code = OK;
    comm_all_gather(comm, w->all, w->mine, places * (int64_t)sizeof *w->mine);
    for (int r = 0; r < comm_size(comm); r++)
        for (int64_t i = 0; i < places && layout_coords(l, r).t == 0 && code == OK; i++)
            if (w->all[r * places + i].text >= 0)
                code = add_token(w->g, w->all[r * places + i]);
    return code;
}

static bool all_stopped(const struct generate *g)
{
    bool stopped = true;
    for (int64_t i = 0; i < g->n; i++)
        stopped = stopped && g->text[i].stopped != GOES_ON;
    return stopped;
}

status generate(struct generate *g, struct comm *comm, struct net *net, const struct layout *l, int rank)
{
    struct work w;
    status code = OK;
    work_open(&w, g, comm_size(comm), layout_coords(l, rank).d, l->dp);
    while (code == OK && !all_stopped(g)) {
        memset(w.mine, 0xff, (size_t)g->shape.cached * sizeof *w.mine);
        take_texts(&w);
        choose_pass(&w);
        run_pass(&w, net);
        code = share(&w, comm, l);
        code = comm_agree(comm, code == OK ? signals_check() : code);
    }
    work_close(&w);
    return code;
}
