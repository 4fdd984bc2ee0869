/* The rig of t_ops: matrices of a case, the description of an op with its reference in double, and the check
 * of one case. Views have gaps between their rows, whose content must not change. */
#ifndef UNIT_OPS_H
#define UNIT_OPS_H
#include "device/dev.h"

enum { MAX = 4 }; /* inputs or outputs of an op */
static const double EPS = 0x1p-24;
extern struct dev *dev;

/** Memory of the running case, zero; release() frees all of it. */
void *own(int64_t words);
void release(void);
/** A matrix with gaps between its rows; a vector without. */
view matrix(dtype, int64_t rows, int64_t columns);
view vector(dtype, int64_t n);
int64_t elements(view);
float *at(view, int64_t r, int64_t c);
int32_t *int_at(view, int64_t r, int64_t c);
/** Uniform in (-scale, scale); integers in [from, from + n). Every call draws other numbers. */
void fill(view, double scale);
void fill_ints(view, int64_t from, int64_t n);
void copy_rows(view dst, view src);
bool gaps_intact(view);

/* One run of an op: arguments and their gradients in the op's order; integers and saved values that
 * its setup makes. */
struct run {
    const int64_t *n; /* sizes of the case */
    view in[MAX], out[MAX], d_in[MAX], d_out[MAX];
    view ids, slot, pick, counts, saved;
    struct route route;
    unsigned acc; /* bit i: d_in[i] is added to */
    bool broken;  /* setup's own check failed */
};

struct op {
    const char *name;
    int ins, outs;
    int seeds;    /* outputs with a gradient */
    int accs;     /* inputs whose gradients may be added to */
    bool uniform; /* every element of d_out is the same */
    void (*shapes)(const int64_t *n, int64_t (*in)[2], int64_t (*out)[2]);
    void (*setup)(struct run *); /* or NULL */
    void (*ref)(const struct run *, double *const *in, double *const *out);
    void (*fwd)(struct run *);
    void (*bwd)(struct run *);          /* or NULL */
    int64_t (*terms)(const int64_t *n); /* of the longest sum in fp32 */
};

/* ops_model.c, ops_moe.c */
extern const struct op op_norm, op_rope, op_swiglu, op_embed, op_attention, op_cross_entropy;
extern const struct op op_router_logits, op_router, op_jitter, op_sigmoid, op_gather, op_combine;

/** Inputs, gradients and what setup adds, for the sizes r->n. */
void make(const struct op *, struct run *r);
/** Compare forward with the reference, and backward with central differences of the reference (along every
 * coordinate of small inputs, along random directions of large ones). Gaps must be unchanged, and repeating
 * must give equal bits. `text` says what was found. */
bool check(const struct op *, const int64_t *n, unsigned acc, char text[256]);

#endif
