/* What the two halves of the closed form share: ops (closed.c) and messages (closed_messages.c). */
#ifndef PLAN_CLOSED_INSIDE_H
#define PLAN_CLOSED_INSIDE_H
#include "model/tensors.h"
#include "plan/closed.h"

struct form {
    struct closed *out;
    const struct dev *dev;
    const struct config *c;
    struct layout l;
    struct coords at;
    int64_t calls;                       /* how often what is added now happens */
    int64_t z;                           /* bytes of an activation, and of a matrix's weight */
    int64_t sequence, tokens, rows, own; /* S; N, c and live rows of definitions D2 */
    int64_t hidden, q, kv, heads;        /* H, and columns and heads of this rank */
    bool capacity, jitter;
    int64_t domains;
    /* rows at the experts */
    int64_t kept, received, routed, here, self;
};

/** An op by its first output (or what it sums over), FLOPs, and bytes read and written. */
void form_op(struct form *, const char *op, int64_t m, int64_t n, double flops, int64_t bytes);
/** Each member's part has `bytes`; copied: this rank's own lies elsewhere before. `size`: bytes of an
 * element. */
void form_gather(struct form *, enum group_id, int64_t bytes, int64_t size, bool copied);
/** Equal parts of `part` bytes; even: all parts by one call that may sum in blocks. */
void form_reduce_scatter(struct form *, enum group_id, int64_t part, int64_t size, bool even);
void form_all_reduce(struct form *, enum group_id, int64_t n, int64_t size);
/** `self` elements stay, `away` are sent. */
void form_exchange(struct form *, enum group_id, int64_t self, int64_t away, int64_t size);

#endif
