/* Texts go on, token by token, on any layout. The DP ranks share the texts; a rank has several at work, each
 * in a place of the net's cache, and takes the next one where a text ends. */
#ifndef EVAL_GENERATE_H
#define EVAL_GENERATE_H
#include "comm/comm.h"
#include "eval/sample.h"
#include "model/net.h"
#include "text/buffer.h"

enum stopped { GOES_ON, AT_END, AT_TOKENS, AT_POSITIONS };

struct continuation {
    struct ids ids; /* the prompt's tokens, then those that follow it; owned by the caller */
    int64_t prompt; /* tokens of the prompt, at least 1 */
    enum stopped stopped;
    int64_t fed; /* for generate: tokens that the cache holds */
};

struct generate {
    struct continuation *text; /* [n] */
    int64_t n;
    int64_t vocab;          /* of the model */
    int64_t tokens;         /* at most so many follow a prompt */
    const struct ids *ends; /* the tokens that end a text; each becomes its last one */
    struct sampling sampling;
    struct net_shape shape; /* of the net: see generate_shape */
    /* Called on every rank for each token of each text, in order; may be NULL. */
    status (*told)(void *with, int64_t text, int32_t id);
    void *with;
};

/** Set shape.sequence, micro, cached and room for these prompts. positions: most tokens of a text.
 *  bytes_a_token: of the cache on a rank. */
void generate_shape(struct generate *, int64_t dp, int64_t positions, int64_t bytes_a_token);
/** COLLECTIVE: add tokens to all texts, the same on all ranks. The net was opened with the shape. What `told`
 * returns ends all ranks. E_SIGNAL. */
status generate(struct generate *, struct comm *, struct net *, const struct layout *, int rank) MUST_USE;

#endif
