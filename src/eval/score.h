/* Log-likelihoods of continuations, on any layout. Requests are spread over the DP ranks in batches of like
 * length; a batch is padded on the right, which no token sees. */
#ifndef EVAL_SCORE_H
#define EVAL_SCORE_H
#include "base/json.h"
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

/* What requests are scored with. */
struct scorer {
    struct comm *comm;
    struct net *net;
    const struct layout *layout;
    int rank;
    int64_t tokens; /* of a micro-batch of the net */
    int64_t places; /* of its cache, each with room for requests.longest - 1 tokens; 0: none */
    void (*told)(void *with,
                 double share); /* on this rank after each round, with the tokens done; may be NULL */
    void *with;
};
/** COLLECTIVE: fill in log-likelihoods, the same on all ranks. The net must take sequences of
 *  requests.longest - 1. With a cache, what the choices of an item begin with is computed once. E_SIGNAL. */
status requests_score(struct requests *, const struct scorer *) MUST_USE;

/* A number with the standard error of its mean over the items. */
struct measure {
    const char *name;
    double value, error; /* error NAN: none */
};
enum { MEASURES = 3 };
/** What the answered requests say: choice: acc, acc_norm (by characters); last_word: acc, perplexity; text:
 *  perplexity a token, bits a byte. Returns how many. */
int task_measures(const struct task *, const struct requests *, struct measure out[MEASURES]);
/** The same for programs, {"task", "items", "acc", "acc_stderr", ...}, and as a line for people. The caller
 *  owns both. */
json_t *task_json(const struct task *, const struct requests *);
char *task_text(const struct task *, const struct requests *);

#endif
