/* The layout of ranks (definitions D0, D3): two factorisations of the same world,
 *   w = d*TP + t = (x*EP + p)*ETP + q.
 * Pure functions of (layout, rank): no MPI, no deck. Tested at 10,000 ranks. */
#ifndef LAYOUT_LAYOUT_H
#define LAYOUT_LAYOUT_H
#include "layout/slab.h"

enum cut { WHOLE, BY_TP, BY_KV, BY_EP, BY_ETP }; /* which coordinate cuts a dimension, by block() */

enum group_id {
    G_TP,
    G_MB = G_TP, /* the ranks that share a micro-batch: today those that share its dense layers */
    G_DP,
    G_KVDP,
    G_EP,
    G_ETP,
    G_EDP,
    G_WORLD,
    GROUPS
};

struct layout {
    int world, dp, tp, kv, edp, ep, etp; /* kv = min(tp, KV heads): parts that K and V are cut into */
};

extern const struct layout layout_alone; /* one rank, nothing cut */

struct coords {
    int d, t, x, p, q;
};

/** Sizes that must divide; 0: the model has no such dimension. */
struct layout_needs {
    int64_t heads, kv_heads, experts;
};

/** Fill *l. Returns NULL on success, else a message that names the sizes that would fit; the caller frees it.
 *  Checked: world % tp, world % (ep*etp), tp | heads, tp | kv or kv | tp, ep | experts. */
char *layout_make(struct layout *l, int world, int tp, int ep, int etp, const struct layout_needs *);
/** The layout of the source model on the same ranks (D0): TP' = the largest divisor of tp that its
 *  heads allow, EP' = gcd(ep, its experts), ETP' = 1. */
struct layout layout_for_source(const struct layout *l, const struct layout_needs *source);

struct coords layout_coords(const struct layout *l, int rank);
/** The box of a global array [dim] that `rank` computes with, dimension i cut by by[i]. */
slab layout_slab(const struct layout *l, int rank, const int64_t dim[3], const enum cut by[3]);
/** The ranks that hold an equal slab: gradients are summed over them and ZeRO-1 splits over them.
 *  Experts: G_EDP. BY_TP: G_DP. BY_KV: G_DP where kv = tp, else G_KVDP. All WHOLE: G_WORLD. */
enum group_id layout_replicas(const struct layout *l, const enum cut by[3]);
int layout_group_size(const struct layout *l, enum group_id g);
/** Rank's index in its group g (coordinate order), and the world rank of member i of that group. */
int layout_group_index(const struct layout *l, int rank, enum group_id g);
int layout_group_member(const struct layout *l, int rank, enum group_id g, int i);
/** The micro-batches that DP rank d computes (D2): block(M, DP, d). Rounds = ceil(M/DP). */
struct range layout_micros(const struct layout *l, int64_t micros, int d);
int64_t layout_rounds(const struct layout *l, int64_t micros);
/** Tokens of sequence-parallel rank t out of N (D2): [t*c, min((t+1)*c, N)), c = ceil(N/TP). */
struct range layout_tokens(const struct layout *l, int64_t tokens, int t);

#endif
