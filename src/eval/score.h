/* Log-likelihoods of continuations, on any layout. Requests are spread over the DP ranks in batches of like
 * length; a batch is padded on the right, which no token sees. */
#ifndef EVAL_SCORE_H
#define EVAL_SCORE_H
#include "comm/comm.h"
#include "eval/task.h"
#include "model/net.h"
#include "text/tokenizer.h"

/* The tokens of one context with one of its choices. */
struct request {
    int32_t *ids; /* [n]: the context, then `scored` tokens */
    int64_t n, scored;
    int64_t item;
    int choice;
    double loglikelihood; /* in nats, of the last `scored` tokens */
    bool greedy;          /* each of them was the likeliest token */
};
struct requests {
    struct request *at; /* [n] in the order of items and choices */
    int64_t n, longest,
        left_out; /* left_out: tokens of contexts that are too long, cut off at their beginning */
};

/** The requests of a task: context and choice are encoded together, so that a token across their border
 *  belongs to the context only if it does so alone (lm-evaluation-harness does the same). A text is scored in
 *  windows of at most `most` tokens, each token once. Contexts are cut at the left so that at most `most`
 *  tokens are fed. prefix: the token before a text without context, -1 if there is none. E_DATA. */
status requests_make(struct requests *, const struct task *, const struct tokenizer *, int64_t most,
                     int32_t prefix) MUST_USE;
void requests_free(struct requests *);

/** COLLECTIVE: fill in log-likelihoods, the same on all ranks. The net must take `tokens` tokens in one
 *  micro-batch, and sequences of requests.longest - 1. told: called on this rank after each round with the
 *  share of tokens done; may be NULL. E_SIGNAL. */
status requests_score(struct requests *, struct comm *, struct net *, const struct layout *, int rank,
                      int64_t tokens, void (*told)(void *, double), void *with) MUST_USE;

/* A number with the standard error of its mean over the items. */
struct measure {
    const char *name;
    double value, error; /* error NAN: none */
};
enum { MEASURES = 3 };
/** What the answered requests say: choice: acc, acc_norm (by characters); last_word: acc, perplexity; text:
 *  perplexity a token, bits a byte. Returns how many. */
int task_measures(const struct task *, const struct requests *, struct measure out[MEASURES]);

#endif
