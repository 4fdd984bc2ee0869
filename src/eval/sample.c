#include "eval/sample.h"

#include <math.h>
#include <stdlib.h>
#include "base/mem.h"
#include "base/rng.h"

static int32_t likeliest(const float *logits, int64_t vocab)
{
    int64_t best = 0;
    for (int64_t i = 1; i < vocab; i++)
        if (logits[i] > logits[best])
            best = i;
    return (int32_t)best;
}

struct candidate {
    double p;
    int32_t id;
};

static int by_probability(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    return x->p != y->p ? (x->p < y->p ? 1 : -1) : x->id - y->id;
}

/* The probabilities of all tokens but those that even together have less than 1 - top_p, and so are not among
 * the likeliest. Returns how many. */
static int64_t candidates(const struct sampling *s, const float *logits, int64_t vocab, struct candidate *c)
{
    double top = (double)logits[likeliest(logits, vocab)], sum = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < vocab; i++)
        sum += exp(((double)logits[i] - top) / s->temperature);
    for (int64_t i = 0; i < vocab; i++) {
        double p = exp(((double)logits[i] - top) / s->temperature) / sum;
        if (p * (double)vocab >= 1 - s->top_p)
            c[n++] = (struct candidate){p, (int32_t)i};
    }
    return n;
}

/* How many of the likeliest have top_p together: at least one. */
static int64_t nucleus(const struct sampling *s, struct candidate *c, int64_t n)
{
    double sum = 0;
    int64_t in = 0;
    if (s->top_p >= 1)
        return n;
    qsort(c, (size_t)n, sizeof *c, by_probability);
    while (in < n && (in == 0 || sum < s->top_p))
        sum += c[in++].p;
    return in;
}

int32_t sample(const struct sampling *s, const float *logits, int64_t vocab, int64_t text, int64_t position)
{
    if (s->temperature <= 0)
        return likeliest(logits, vocab);
    struct candidate *c = mem_new(vocab, sizeof *c);
    int64_t n = nucleus(s, c, candidates(s, logits, vocab, c)), i = 0;
    double sum = 0;
    for (int64_t j = 0; j < n; j++)
        sum += c[j].p;
    double left = sum * rng_uniform(s->seed, rng_mix(rng_name("text")) ^ (uint64_t)text, (uint64_t)position);
    while (i < n - 1 && (left -= c[i].p) >= 0)
        i++;
    int32_t id = c[i].id;
    free(c);
    return id;
}
