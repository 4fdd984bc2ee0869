#include "weights/certificate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

static const double TOLERANCE = 1e-5; /* of the largest logit: D13 */

static bool same_rope(const struct rope *a, const struct rope *b)
{
    bool scaled = a->factor == b->factor && a->low_freq == b->low_freq && a->high_freq == b->high_freq &&
                  a->original_positions == b->original_positions;
    return a->theta == b->theta && a->llama3 == b->llama3 && (!a->llama3 || scaled);
}

bool plan_is_exact(const struct config *target, const struct config *source, const struct grow *grow,
                   const struct upcycle *u)
{
    return target->norm_eps == source->norm_eps && same_rope(&target->rope, &source->rope) &&
           grow_is_exact(target, source, grow) && upcycle_is_exact(target, source, u);
}

void certificate_open(struct certificate *c, const struct comm *comm, int64_t tokens, int64_t sequence,
                      int64_t vocab, bool equal)
{
    *c = (struct certificate){.tokens = tokens, .sequence = sequence, .vocab = vocab, .equal = equal};
    c->rank = comm_rank(comm);
    c->ranks = comm_size(comm);
    c->source = mem_new(mem_mul(tokens / c->ranks + 1, vocab), sizeof *c->source);
}

void certificate_close(struct certificate *c)
{
    free(c->source);
    c->source = NULL;
}

/* Logits of one window of tokens; `first` is the window's first token. */
struct window {
    struct certificate *certificate;
    int64_t first;
};

static void keep(void *with, int64_t row, int64_t rows, const float *logits)
{
    struct window *w = with;
    struct certificate *c = w->certificate;
    for (int64_t i = 0; i < rows; i++) {
        int64_t n = w->first + row + i;
        if (n % c->ranks == c->rank)
            memcpy(c->source + n / c->ranks * c->vocab, logits + i * c->vocab,
                   (size_t)c->vocab * sizeof *logits);
    }
}

static double log_sum_exp(const float *x, int64_t n)
{
    double most = -(double)INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, (double)x[i]);
    for (int64_t i = 0; i < n; i++)
        sum += exp((double)x[i] - most);
    return most + log(sum);
}

/* One token: a = source, b = target. */
static void compare(struct certificate *c, const float *a, const float *b)
{
    double za = log_sum_exp(a, c->vocab), zb = log_sum_exp(b, c->vocab);
    for (int64_t v = 0; v < c->vocab; v++) {
        double x = (double)a[v], d = fabs(x - (double)b[v]);
        c->max_difference = d <= c->max_difference ? c->max_difference : d; /* keeps a NaN */
        c->max_logit = fmax(c->max_logit, fabs(x));
        c->kl_sum += exp(x - za) * ((x - za) - ((double)b[v] - zb));
    }
}

static void compare_rows(void *with, int64_t row, int64_t rows, const float *logits)
{
    struct window *w = with;
    struct certificate *c = w->certificate;
    for (int64_t i = 0; i < rows; i++) {
        int64_t n = w->first + row + i;
        if (n % c->ranks == c->rank)
            compare(c, c->source + n / c->ranks * c->vocab, logits + i * c->vocab);
    }
}

/* All DP ranks run the same windows: simple, and nobody idles. */
static void run(struct certificate *c, struct net *net, const int32_t *ids,
                void (*take)(void *, int64_t, int64_t, const float *))
{
    struct net_report report = {.margin = (double)INFINITY};
    for (int64_t first = 0; first < c->tokens; first += c->sequence) {
        struct window w = {c, first};
        struct logits_sink sink = {take, &w};
        struct micro_batch batch = {.tokens = c->sequence, .ids = ids + first};
        net_eval(net, &batch, &report, &sink);
    }
}

void certificate_source(struct certificate *c, struct net *net, const int32_t *ids)
{
    run(c, net, ids, keep);
}

void certificate_target(struct certificate *c, struct net *net, const int32_t *ids, struct comm *comm)
{
    run(c, net, ids, compare_rows);
    double worst[2] = {c->max_difference, c->max_logit};
    comm_max_f64(comm, worst, 2);
    comm_sum_f64(comm, &c->kl_sum, 1);
    c->max_difference = worst[0];
    c->max_logit = worst[1];
    c->kl = c->kl_sum / (double)c->tokens;
    c->tolerance = TOLERANCE * c->max_logit;
    c->pass = !c->equal || c->max_difference <= c->tolerance;
}
