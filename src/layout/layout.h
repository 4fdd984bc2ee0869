/* The layout of ranks (definitions D0, D3): two factorisations of the same world of ranks w,
 *   w = d*TP + t = (x*EP + p)*ETP + q.
 * Pure functions of (layout, rank): no MPI, no deck. */
#ifndef LAYOUT_LAYOUT_H
#define LAYOUT_LAYOUT_H
#include "layout/slab.h"

enum cut { WHOLE, BY_TP, BY_KV, BY_EP, BY_ETP }; /* the coordinate by which block() cuts a dimension */

enum group_id {
    G_TP,
    G_MB = G_TP, /* the ranks that share a micro-batch: those that share its dense layers */
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

/** Sizes of a model that the layout must divide; 0: the model has no such dimension. */
struct layout_needs {
    int64_t heads, kv_heads, experts;
};

/** Fill *l. Returns NULL on success, else a message that names the sizes that would fit; the caller frees it.
 *  It checks: tp | world, ep*etp | world, tp | heads, tp | kv or kv | tp, ep | experts. */
char *layout_make(struct layout *l, int world, int tp, int ep, int etp, const struct layout_needs *);
/** The layout of the source model of an upcycle on the same ranks (D0): TP is the largest divisor of tp that
 * its heads allow, EP = gcd(ep, its experts), ETP = 1. */
struct layout layout_for_source(const struct layout *l, const struct layout_needs *source);

struct coords layout_coords(const struct layout *l, int rank);
/** The slab of a global array [dim] that `rank` computes with. by[i] cuts dimension i. */
slab layout_slab(const struct layout *l, int rank, const int64_t dim[3], const enum cut by[3]);
/** The group of ranks that hold the same slab. Gradients are summed over it, and ZeRO-1 divides over it.
 *  Experts: G_EDP. BY_TP: G_DP. BY_KV: G_DP if kv = tp, else G_KVDP. All WHOLE: G_WORLD. */
enum group_id layout_replicas(const struct layout *l, const enum cut by[3]);
int layout_group_size(const struct layout *l, enum group_id g);
/** The index of `rank` in its group g, in coordinate order; and the world rank of member i of that group. */
int layout_group_index(const struct layout *l, int rank, enum group_id g);
int layout_group_member(const struct layout *l, int rank, enum group_id g, int i);
/** The micro-batches that DP rank d computes (D2): block(M, DP, d). There are ceil(M/DP) rounds. */
struct range layout_micros(const struct layout *l, int64_t micros, int d);
int64_t layout_rounds(const struct layout *l, int64_t micros);
/** The tokens of TP rank t out of N (D2): [t*c, min((t+1)*c, N)) with c = ceil(N/TP). */
struct range layout_tokens(const struct layout *l, int64_t tokens, int t);

#endif
