/* What the files of the closed form share: the step (closed.c), its layers (closed_layers.c), and messages
 * (closed_messages.c). */
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

enum { WIDE = sizeof(float) }; /* bytes of what is always fp32 */

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

/** A product c [m, n] = a [m, k] b [k, n], of so many bytes an element. */
void form_gemm(struct form *, int64_t m, int64_t n, int64_t k, int64_t a, int64_t b, int64_t c);
/** Rows [c, n] of all tensor ranks. */
void form_seq_gather(struct form *, int64_t n, int64_t size);
/** Room for a partial sum. */
void form_seq_partial(struct form *, int64_t n);
/** The sum of fp32 parts into [c, n] of `out` bytes an element. */
void form_seq_reduce(struct form *, int64_t n, int64_t out, bool acc);
void form_norm_fwd(struct form *);
/** Parts of the gradient by a norm's output, summed, and the norm's backward. */
void form_into_norm(struct form *);
void form_attention_fwd(struct form *);
void form_attention_bwd(struct form *);
void form_moe_layer(struct form *);
void form_dense_layer(struct form *);

#endif
