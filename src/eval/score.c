#include "eval/score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/signals.h"

/* ---- requests ---- */

static struct request *add(struct requests *r, int64_t item, int choice)
{
    if (r->n % 1024 == 0)
        r->at = mem_grow(r->at, r->n + 1024, sizeof *r->at);
    r->at[r->n] = (struct request){.item = item, .choice = choice};
    return &r->at[r->n++];
}

static void take(struct requests *r, struct request *q, const int32_t *ids, int64_t n, int64_t scored,
                 int64_t most)
{
    int64_t cut = n - 1 > most ? n - 1 - most : 0; /* the last token is not fed */
    if (cut > n - scored - 1)
        cut = n - scored - 1;
    r->left_out += cut;
    q->n = n - cut;
    q->scored = scored;
    q->ids = mem_new(q->n, sizeof *q->ids);
    memcpy(q->ids, ids + cut, (size_t)q->n * sizeof *ids);
    r->longest = q->n > r->longest ? q->n : r->longest;
}

static int64_t spaces_at_end(const char *text)
{
    size_t n = strlen(text);
    while (n > 0 && strchr(" \t\r\n", text[n - 1]))
        n--;
    return (int64_t)(strlen(text) - n);
}

/* The white space between context and choice belongs to the choice. */
static status add_pair(struct requests *r, struct encoder *e, const struct question *q, int64_t item,
                       int choice, int64_t most, int32_t prefix)
{
    char *whole = mem_format("%s%s", q->context, q->choice[choice]);
    struct ids all = {0}, context = {0};
    int64_t left = (int64_t)strlen(q->context) - spaces_at_end(q->context);
    if (left == 0 && prefix >= 0)
        ids_add(&all, &prefix, 1), ids_add(&context, &prefix, 1);
    status code = encode(e, whole, (int64_t)strlen(whole), false, &all);
    if (code == OK)
        code = encode(e, q->context, left, false, &context);
    int64_t known = context.n < all.n ? context.n : all.n - 1, scored = all.n - (known > 0 ? known : 1);
    if (code == OK && (all.n < 2 || scored > most))
        code = fail(E_DATA, "question %lld: a choice of %lld tokens cannot be scored (1 to %lld)",
                    (long long)item + 1, (long long)scored, (long long)most);
    if (code == OK)
        take(r, add(r, item, choice), all.at, all.n, scored, most);
    free(all.at);
    free(context.at);
    free(whole);
    return code;
}

/* Windows that each score what the one before did not. */
static status add_text(struct requests *r, struct encoder *e, const struct question *q, int64_t item,
                       int64_t most, int32_t prefix)
{
    struct ids all = {0};
    if (prefix >= 0)
        ids_add(&all, &prefix, 1);
    status code = encode(e, q->choice[0], (int64_t)strlen(q->choice[0]), false, &all);
    for (int64_t at = 0, n; code == OK && at + 1 < all.n; at += n) {
        n = all.n - 1 - at < most ? all.n - 1 - at : most;
        take(r, add(r, item, 0), all.at + at, n + 1, n, most);
    }
    free(all.at);
    return code;
}

status requests_make(struct requests *r, const struct task *t, const struct tokenizer *tokenizer,
                     int64_t most, int32_t prefix)
{
    struct encoder *e = encoder_open(tokenizer);
    status code = OK;
    *r = (struct requests){0};
    for (int64_t i = 0; i < t->n && code == OK; i++) {
        const struct question *q = &t->item[i];
        if (t->kind == TASK_TEXT)
            code = add_text(r, e, q, i, most, prefix);
        for (int c = 0; t->kind != TASK_TEXT && c < q->n && code == OK; c++)
            code = add_pair(r, e, q, i, c, most, prefix);
    }
    encoder_close(e);
    if (code == OK && r->n == 0)
        code = fail(E_DATA, "%s: no text that can be scored", t->name);
    if (code != OK)
        requests_free(r);
    return code;
}

void requests_free(struct requests *r)
{
    for (int64_t i = 0; i < r->n; i++)
        free(r->at[i].ids);
    free(r->at);
    *r = (struct requests){0};
}

/* ---- batches: runs of the requests sorted by length, longest first ---- */

struct batches {
    const struct request *of;
    int64_t *order; /* [requests] */
    int64_t *from;  /* [n + 1] into order */
    int64_t n;
};

static int by_length(const void *a, const void *b)
{
    const struct request *const *x = a, *const *y = b;
    return (*x)->n != (*y)->n ? ((*x)->n < (*y)->n ? 1 : -1) : *x < *y ? -1 : *x > *y;
}

static void batches_open(struct batches *b, const struct requests *r, int64_t tokens)
{
    const struct request **sorted = mem_new(r->n, sizeof *sorted);
    *b = (struct batches){
        .of = r->at, .order = mem_new(r->n, sizeof *b->order), .from = mem_new(r->n + 1, sizeof *b->from)};
    for (int64_t i = 0; i < r->n; i++)
        sorted[i] = &r->at[i];
    qsort(sorted, (size_t)r->n, sizeof *sorted, by_length);
    for (int64_t i = 0; i < r->n; i++)
        b->order[i] = sorted[i] - r->at;
    for (int64_t at = 0; at < r->n; b->n++) {
        int64_t room = tokens / (sorted[at]->n - 1);
        at += room < 1 ? 1 : room < r->n - at ? room : r->n - at;
        b->from[b->n + 1] = at;
    }
    free(sorted);
}

static void batches_close(struct batches *b)
{
    free(b->order);
    free(b->from);
}

/* A batch on its way through the net. */
struct running {
    struct requests *all;
    const int64_t *order; /* [sequences] */
    int64_t sequences, sequence;
    int32_t *ids, *targets; /* [sequences * sequence] */
};

static void fill(struct running *b)
{
    for (int64_t s = 0; s < b->sequences; s++) {
        const struct request *q = &b->all->at[b->order[s]];
        for (int64_t i = 0; i < b->sequence; i++) {
            bool fed = i < q->n - 1, counted = fed && i + 1 >= q->n - q->scored;
            b->ids[s * b->sequence + i] = fed ? q->ids[i] : q->ids[0];
            b->targets[s * b->sequence + i] = counted ? q->ids[i + 1] : -1;
        }
    }
}

static void take_scores(void *with, int64_t row, int64_t rows, const float *nll, const float *gap)
{
    struct running *b = with;
    for (int64_t i = 0; i < rows; i++) {
        struct request *q = &b->all->at[b->order[(row + i) / b->sequence]];
        if (b->targets[row + i] < 0)
            continue;
        q->loglikelihood -= (double)nll[i];
        q->greedy = q->greedy && gap[i] <= 0;
    }
}

static void run(struct running *b, const struct batches *all, int64_t i, struct net *net)
{
    b->order = all->order + all->from[i];
    b->sequences = all->from[i + 1] - all->from[i];
    b->sequence = all->of[b->order[0]].n - 1;
    fill(b);
    struct micro_batch m = {
        .tokens = b->sequences * b->sequence, .sequence = b->sequence, .ids = b->ids, .targets = b->targets};
    struct logits_sink sink = {.scores = take_scores, .with = b};
    net_eval(net, &m, &sink);
}

/* Every request was filled in by one DP rank: t = 0 of it tells the others. */
static void share(struct requests *r, struct comm *comm, bool mine)
{
    double *sum = mem_new(mem_mul(2, r->n), sizeof *sum);
    for (int64_t i = 0; i < r->n && mine; i++) {
        sum[2 * i] = r->at[i].loglikelihood;
        sum[2 * i + 1] = r->at[i].loglikelihood != 0 && r->at[i].greedy;
    }
    for (int64_t at = 0, n; at < 2 * r->n; at += n) {
        n = 2 * r->n - at < 1 << 20 ? 2 * r->n - at : 1 << 20;
        comm_sum_f64(comm, sum + at, (int)n);
    }
    for (int64_t i = 0; i < r->n; i++) {
        r->at[i].loglikelihood = sum[2 * i];
        r->at[i].greedy = sum[2 * i + 1] != 0;
    }
    free(sum);
}

status requests_score(struct requests *r, struct comm *comm, struct net *net, const struct layout *l,
                      int rank, int64_t tokens, void (*told)(void *, double), void *with)
{
    struct batches all;
    struct coords at = layout_coords(l, rank);
    int64_t room = tokens > r->longest ? tokens : r->longest;
    struct running b = {
        .all = r, .ids = mem_new(room, sizeof *b.ids), .targets = mem_new(room, sizeof *b.targets)};
    batches_open(&all, r, tokens);
    for (int64_t i = 0; i < r->n; i++)
        r->at[i].greedy = true;
    status code = OK;
    int64_t rounds = (all.n + l->dp - 1) / l->dp;
    for (int64_t i = 0; i < rounds && code == OK; i++) {
        int64_t batch = i * l->dp + at.d;
        code = comm_agree(comm, signals_check());
        if (code == OK && batch < all.n)
            run(&b, &all, batch, net);
        else if (code == OK)
            net_eval(net, &(struct micro_batch){0}, NULL);
        if (told)
            told(with, (double)(i + 1) / (double)rounds);
    }
    if (code == OK)
        share(r, comm, at.t == 0);
    batches_close(&all);
    free(b.ids);
    free(b.targets);
    return code;
}

/* ---- measures ---- */

struct mean {
    double sum, squares;
    int64_t n;
};

static void count(struct mean *m, double x)
{
    m->sum += x;
    m->squares += x * x;
    m->n++;
}

static double mean_of(const struct mean *m)
{
    return m->sum / (double)m->n;
}

/* Of the mean: sample deviation over sqrt(n). */
static double error_of(const struct mean *m)
{
    double n = (double)m->n, mean = mean_of(m);
    double variance = (m->squares - n * mean * mean) / (n - 1);
    return m->n > 1 ? sqrt(fmax(variance, 0) / n) : (double)NAN;
}

static int choice_measures(const struct task *t, const struct requests *r, struct measure *out)
{
    struct mean acc = {0}, norm = {0};
    const struct request *q = r->at;
    for (int64_t i = 0; i < t->n; i++) {
        const struct question *item = &t->item[i];
        int best = 0, best_norm = 0;
        for (int c = 1; c < item->n; c++) {
            double letters = (double)item->letters[c], others = (double)item->letters[best_norm];
            if (q[c].loglikelihood > q[best].loglikelihood)
                best = c;
            if (q[c].loglikelihood / letters > q[best_norm].loglikelihood / others)
                best_norm = c;
        }
        count(&acc, best == item->gold);
        count(&norm, best_norm == item->gold);
        q += item->n;
    }
    out[0] = (struct measure){"acc", mean_of(&acc), error_of(&acc)};
    out[1] = (struct measure){"acc_norm", mean_of(&norm), error_of(&norm)};
    return 2;
}

static int word_measures(const struct requests *r, struct measure *out)
{
    struct mean acc = {0}, likelihood = {0};
    for (int64_t i = 0; i < r->n; i++) {
        count(&acc, r->at[i].greedy);
        count(&likelihood, r->at[i].loglikelihood);
    }
    double perplexity = exp(-mean_of(&likelihood));
    out[0] = (struct measure){"acc", mean_of(&acc), error_of(&acc)};
    out[1] = (struct measure){"perplexity", perplexity, perplexity * error_of(&likelihood)};
    return 2;
}

static int text_measures(const struct task *t, const struct requests *r, struct measure *out)
{
    double sum = 0, tokens = 0, bytes = 0;
    for (int64_t i = 0; i < r->n; i++) {
        sum -= r->at[i].loglikelihood;
        tokens += (double)r->at[i].scored;
    }
    for (int64_t i = 0; i < t->n; i++)
        bytes += (double)strlen(t->item[i].choice[0]);
    out[0] = (struct measure){"loss", sum / tokens, (double)NAN};
    out[1] = (struct measure){"perplexity", exp(sum / tokens), (double)NAN};
    out[2] = (struct measure){"bits_per_byte", sum / bytes / log(2), (double)NAN};
    return 3;
}

int task_measures(const struct task *t, const struct requests *r, struct measure out[MEASURES])
{
    switch (t->kind) {
    case TASK_CHOICE: return choice_measures(t, r, out);
    case TASK_LAST_WORD: return word_measures(r, out);
    case TASK_TEXT:
    case TASK_KINDS: break;
    }
    return text_measures(t, r, out);
}
