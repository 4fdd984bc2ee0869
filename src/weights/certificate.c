#include "weights/certificate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

static const double TOLERANCE = 1e-5; /* relative to the largest logit (definitions D13) */
const double certificate_deviation = 1e-4;

static bool same_rope(const struct rope *a, const struct rope *b)
{
    bool bands = a->low_freq == b->low_freq && a->high_freq == b->high_freq;
    bool yarn = a->attention_factor == b->attention_factor && a->beta_fast == b->beta_fast &&
                a->beta_slow == b->beta_slow && a->mscale == b->mscale &&
                a->mscale_all_dim == b->mscale_all_dim && a->exact_bounds == b->exact_bounds;
    return a->theta == b->theta && a->scaling == b->scaling && a->factor == b->factor &&
           a->original_positions == b->original_positions && bands && yarn;
}

static bool same_multipliers(const struct multipliers *a, const struct multipliers *b)
{
    return a->embedding == b->embedding && a->attention == b->attention && a->residual == b->residual &&
           a->logits_scaling == b->logits_scaling;
}

bool plan_is_exact(const struct config *target, const struct config *source, const struct grow *grow,
                   const struct upcycle *u)
{
    return target->norm_eps == source->norm_eps && target->window == source->window &&
           !memcmp(target->whole, source->whole, sizeof target->whole) &&
           same_rope(&target->rope, &source->rope) &&
           same_multipliers(&target->multiply, &source->multiply) && grow_is_exact(target, source, grow) &&
           upcycle_is_exact(target, source, u);
}

void certificate_open(struct certificate *c, const struct comm *comm, int64_t tokens, int64_t sequence,
                      const struct config *target, const struct config *source, const struct grow *grow,
                      const struct upcycle *up)
{
    *c = (struct certificate){.tokens = tokens, .sequence = sequence, .vocab = target->vocab};
    c->rank = comm_rank(comm);
    c->ranks = comm_size(comm);
    c->source = mem_new(mem_mul(tokens / c->ranks + 1, c->vocab), sizeof *c->source);
    gains_open(&c->gains, comm, target, source, up, tokens, sequence);
    c->theory = plan_is_exact(target, source, grow, up) ? THEORY_EXACT
                : c->gains.derived                      ? THEORY_APPROXIMATE
                                                        : THEORY_NONE;
}

void certificate_close(struct certificate *c)
{
    gains_close(&c->gains);
    free(c->source);
    c->source = NULL;
}

/* Where to put the logits of a window of tokens. `first` is the number of its first token. */
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

static void keep_stream(void *with, int layer, const float *x)
{
    struct window *w = with;
    gains_keep(&w->certificate->gains, w->first, layer, x);
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

/* Compare the logits of one token: a of the source, b of the target. */
static void compare(struct certificate *c, const float *a, const float *b)
{
    double za = log_sum_exp(a, c->vocab), zb = log_sum_exp(b, c->vocab);
    for (int64_t v = 0; v < c->vocab; v++) {
        double x = (double)a[v], d = fabs(x - (double)b[v]);
        c->max_difference = d <= c->max_difference ? c->max_difference : d; /* a NaN stays */
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

/* All DP ranks run the same windows, which is simple and leaves no rank idle. */
static void run(struct certificate *c, struct net *net, const int32_t *ids, struct logits_sink sink)
{
    for (int64_t first = 0; first < c->tokens; first += c->sequence) {
        struct window w = {c, first};
        struct micro_batch batch = {.tokens = c->sequence, .ids = ids + first};
        sink.with = &w;
        net_eval(net, &batch, &sink);
    }
}

void certificate_source(struct certificate *c, struct net *net, const struct store *store, const int32_t *ids,
                        struct comm *comm)
{
    run(c, net, ids, (struct logits_sink){.take = keep, .stream = keep_stream});
    gains_source(&c->gains, net, store, comm);
}

/* Layers are judged wherever their expected output is known, also after an exact upcycle. */
static bool passes(const struct certificate *c)
{
    bool equal = c->max_difference <= c->tolerance;
    bool expected = !c->gains.derived || gains_spread(&c->gains, DEVIATION).max <= certificate_deviation;
    return expected && (equal || c->theory != THEORY_EXACT);
}

void certificate_target(struct certificate *c, struct net *net, const struct store *store, const int32_t *ids,
                        struct comm *comm)
{
    run(c, net, ids, (struct logits_sink){.take = compare_rows});
    gains_target(&c->gains, net, store, comm);
    double worst[2] = {c->max_difference, c->max_logit};
    comm_max_f64(comm, worst, 2);
    comm_sum_f64(comm, &c->kl_sum, 1);
    c->max_difference = worst[0];
    c->max_logit = worst[1];
    c->kl = c->kl_sum / (double)c->tokens;
    c->tolerance = TOLERANCE * c->max_logit;
    c->pass = passes(c);
}
