/* The device: about 40 typed ops behind one facade (device/dev.c), which checks shapes, counts
 * FLOPs and time, and applies the modes `check` and `dry`. Tables of kernels: device/cpu/ (and
 * cuda/ later). Not collective.
 *
 * Contract of every op: arguments are views (borrowed device memory); compute ops run in order on
 * the COMPUTE stream; outputs are overwritten unless `acc` says add; any size may be zero (a GEMM
 * with K = 0 and acc = false writes zeros); sums have a fixed order for equal threads and
 * instruction set; nothing returns a status: a wrong shape is a bug().
 * Weights are row-major [out, in]. T = tokens, H = hidden, F = FFN width, X = experts, R = rows at
 * the experts, k = choices, V = vocabulary, hd = head dimension, S = sequence. */
#ifndef DEVICE_DEV_H
#define DEVICE_DEV_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/dtype.h"
#include "base/status.h"
#include "deck/choices.h"

typedef struct {
    void *data;
    dtype type;
    int64_t n[3]; /* [stack, rows, columns]; a vector is [1, 1, n] */
    int64_t ld;   /* elements between rows; a stack's matrices lie n[1]*ld apart */
} view;

enum stream { COMPUTE, COMM, COPIES, STREAMS };
/* A stream's work up to a moment. {0}: nothing, always done. */
typedef struct {
    enum stream stream;
    int64_t number;
} ticket;
struct dev;

/* ---- views (pure) ---- */
view view_of(void *data, dtype, int64_t n0, int64_t n1, int64_t n2); /* contiguous */
view view_none(void);                                                /* data NULL, sizes 0 */
view view_rows(view v, int64_t from, int64_t n);                     /* of a matrix */
view view_cols(view v, int64_t from, int64_t n);                     /* of a matrix */
view view_at(view v, int64_t i);                                     /* matrix i of a stack */
view view_reshape(view v, int64_t n0, int64_t n1, int64_t n2);       /* reshape a contiguous view */
int64_t view_size(view v);                                           /* elements */
bool view_is_none(view v);

/* ---- the device ---- */
/* VALUES: fresh memory is NaN, guards stand around it, every output is finite. HIDDEN: that, and device
 * memory is unreadable for the host (memory.c). For tests. */
struct dev_options {
    int threads; /* 0: as OpenMP decides */
    enum dev_check check;
};
/** Was a device of this name compiled into the program? */
bool dev_is_known(const char *name);
/** name: "cpu" (or "cuda", refused in words where it was not compiled in). */
status dev_open(struct dev **, const char *name, int node_local_rank, const struct dev_options *) MUST_USE;
void dev_close(struct dev *);
const char *dev_name(const struct dev *);
/** One line about it for the start of a run: "2 cores, AVX-512 kernels, 2 threads, GEMM by oneDNN
 *  2.6.3". The instruction set is that of our kernels as compiled; the library chooses its own. */
const char *dev_about(const struct dev *);
int dev_threads(const struct dev *);
/** Columns to allocate for rows of n elements that GEMMs walk down. */
int64_t dev_pitch(const struct dev *, int64_t n);
/** Rows that a chunk of the head's logits has at most, with this many columns of a type. */
int64_t dev_head_rows(const struct dev *, int64_t columns, dtype);
/** GEMM ceiling: GFLOP/s of a hot 1024^3 GEMM of F32 or BF16 matrices, one sample (takes about 10 ms). */
double dev_ceiling_sample(struct dev *, dtype);
/** Dry mode: ops and group calls do nothing; used with a measuring arena to learn sizes. */
void dev_set_dry(struct dev *, bool);
bool dev_is_dry(const struct dev *);

/* ---- streams (device/stream.c): work of one stream is done in order, between streams nothing is ordered but
 * by tickets. Ops are COMPUTE's, group calls those of the stream they are given, asynchronous copies COPIES's
 * ---- */
/** All work that the stream was given until now. */
ticket dev_mark(struct dev *, enum stream);
/** What the stream is given from now on begins when the ticket's work is done. The host does not wait. */
void dev_wait(struct dev *, enum stream, ticket);
void dev_wait_host(struct dev *, ticket);
void dev_sync(struct dev *); /* the host waits for everything */
/** Work for a stream: run(with), once. For links and the like, which move device memory. */
void dev_queue(struct dev *, enum stream, void (*run)(void *), void *with);

/* ---- memory (device/memory.c) ---- */
enum dev_fresh { FRESH_ANY, FRESH_ZERO }; /* what a new block holds */
/** Device memory for the life of a store, a net or a region, in huge pages. bytes > 0. `what` names it in
 *  messages: a text that stays. */
status dev_alloc(struct dev *, const char *what, void **, int64_t bytes, enum dev_fresh) MUST_USE;
void dev_free(struct dev *, void *, int64_t bytes);
/** Writes into `text` what lies at byte `at` of a block. */
typedef void dev_tell(const void *owner, int64_t at, char text[128]);
/** Who tells, in the message of a fault, what lies in the block that begins at `p`. */
void dev_describe(struct dev *, const void *p, dev_tell *, const void *owner);
/** May the host touch device memory itself? False in the hidden mode. */
bool dev_host_memory(const struct dev *);
/** Check modes: what these bytes hold must not be used any more; they become NaN. */
void dev_poison(struct dev *, void *, int64_t bytes);
/** Between the two a link may touch device memory. Calls nest. */
void dev_show(struct dev *);
void dev_hide(struct dev *);
void dev_upload(struct dev *, view dst, const void *src); /* host -> device, contiguous, same type */
void dev_download(struct dev *, void *dst, view src);     /* device -> host; waits */
/** Pinned host memory, zero, for asynchronous copies. bytes > 0; aborts without memory. */
void *dev_host_alloc(struct dev *, int64_t bytes);
void dev_host_free(struct dev *, void *);
/** The same as copies of the stream COPIES from and to pinned memory: they return at once. COPIES must wait
 * for what last touched the device's side (dev_wait). The host's side may be written (upload) or read
 * (download) only after dev_wait_host for the ticket, or for later work that waited for it. */
ticket dev_upload_async(struct dev *, view dst, const void *src);
ticket dev_download_async(struct dev *, void *dst, view src);
/** How often the host waited for the device since it was opened: downloads, tickets not yet done, dev_finite,
 * dev_sync. */
int64_t dev_waits(const struct dev *);

/** Time and FLOPs by op and shape, for run.profile: m rows of n columns of its first output (of the input
 * where a sum makes it small), k multiply-adds for each; all 0: shapes that found no room since
 * dev_profile(true), which makes room. */
struct dev_profile_row {
    const char *op;
    int64_t m, n, k, calls;
    double seconds, flops, bytes;
};
enum dev_profile_by { BY_SHAPE, BY_OP }; /* BY_OP: sums over an op's shapes */
void dev_profile(struct dev *, bool on); /* what was counted stays */
/** Rows sorted by time, slowest first, into *out, which the caller frees; returns how many. */
int dev_profile_rows(struct dev *, enum dev_profile_by, struct dev_profile_row **out);
/** FLOPs executed by all ops since open (GEMM and attention). */
double dev_flops(const struct dev *);

/* ---- arena: what a step saves grows from one end, scratch from the other (device/arena.c) ---- */
struct arena {
    struct dev *dev;
    char *base;             /* NULL: a measuring arena that only adds up */
    int64_t size;           /* bytes */
    int64_t saved, scratch; /* bytes in use at each end */
    int64_t peak;           /* largest saved + scratch so far */
};
view arena_save(struct arena *, dtype, int64_t n0, int64_t n1, int64_t n2);
view arena_scratch(struct arena *, dtype, int64_t n0, int64_t n1, int64_t n2);
/** [rows, cols] whose rows lie dev_pitch apart. */
view arena_scratch_pitched(struct arena *, dtype, int64_t rows, int64_t cols);
int64_t arena_mark(const struct arena *); /* of the scratch end */
void arena_release(struct arena *, int64_t mark);
void arena_reset(struct arena *); /* both ends */
/** Make it hold `bytes`; base != NULL afterwards. Frees what it had. */
status arena_open(struct arena *, struct dev *, int64_t bytes) MUST_USE;
void arena_close(struct arena *);

/* A region holds what a routing decides the size of. It only grows. */
struct region {
    struct dev *dev;
    char *data;           /* guards included, where there are any */
    int64_t bytes, taken; /* it has room for, and the last call took */
    int64_t regrown;
    struct region *next; /* of the device's list, in the check modes */
};
/** Room to write to: what was in the region is lost. In dry mode it only records. */
view region_take(struct region *, dtype, int64_t n0, int64_t n1, int64_t n2);
/** What was written to the room that was taken last, to read. */
view region_view(const struct region *, dtype, int64_t n0, int64_t n1, int64_t n2);
void region_close(struct region *);

/* ---- plain ops ---- */
void dev_copy(struct dev *, view dst, view src); /* equal shapes; converts F32 <-> BF16 (to nearest even) */
void dev_fill(struct dev *, view dst, float v);
void dev_add(struct dev *, view y, view x); /* y += x, equal shapes */
/** c[M,N] (+)= op(a)[M,K] op(b)[K,N]; ta: a is [K,M]; tb: b is [N,K]. y = x W^T is gemm(x, W, tb). */
void dev_gemm(struct dev *, bool ta, bool tb, view a, view b, bool acc, view c);
void dev_add_bias(struct dev *, view y, view bias);      /* y[T,N] += bias[N] */
void dev_colsum(struct dev *, view x, bool acc, view y); /* y[N] (+)= sum over rows of x[T,N] */
void dev_sum(struct dev *, view total, view x);   /* total F64 [1] += sum of x, in double, fixed order */
void dev_sumsq(struct dev *, view total, view x); /* total F64 [1] += sum of squares of x, alike */
bool dev_finite(struct dev *, view x);            /* waits */
/** out[n] = row 0 + row 1 + ... of parts [ranks, n], in this order; row `own` is read from `mine` [n]
 *  instead, which may be out. F32, F64 or I32. */
void dev_sum_parts(struct dev *, view out, view parts, int64_t own, view mine);

/* ---- embedding: ids I32 [T]; this rank holds rows v0 .. v0+Vl of the vocabulary ---- */
void dev_embed_fwd(struct dev *, view x, view ids, int64_t v0, view w); /* rows of others' ids are 0 */
void dev_embed_bwd(struct dev *, view ids, view dx, int64_t v0, bool acc,
                   view dw); /* dw[v - v0] (+)= sum of dx rows, in token order */

/* ---- RMSNorm: y = x * rstd * w, rstd = 1/sqrt(mean(x^2) + eps); x, y [T,H], rstd [T], w [H] ---- */
void dev_rmsnorm_fwd(struct dev *, view y, view rstd, view x, view w, float eps);
/** dx (+)= ..., dw (+)= ...; the two accumulate flags are separate. rstd comes from forward. */
void dev_rmsnorm_bwd(struct dev *, bool acc_dx, view dx, bool acc_dw, view dw, view dy, view x, view rstd,
                     view w);

/* ---- RoPE, half-split (Hugging Face): in place on x [T, heads*hd] (ld free); row n has position n mod seq
 * ---- */
/** cos_sin [S, hd]: cos in the first hd/2 columns, sin in the rest. sign +1 forward, -1 backward. */
void dev_rope(struct dev *, view x, int64_t heads, int64_t seq, view cos_sin, float sign);

/* ---- causal attention, scale 1/sqrt(hd), no T x T matrix in memory ---- */
struct attn_shape {
    int64_t seq, heads, kv_heads, head_dim;
}; /* local heads; T = sequences*seq rows; heads % kv_heads == 0 */
/** q [T, heads*hd], k, v [T, kv_heads*hd] -> o [T, heads*hd], lse [T, heads]. */
void dev_attn_fwd(struct dev *, struct attn_shape, view o, view lse, view q, view k, view v);
void dev_attn_bwd(struct dev *, struct attn_shape, view dq, view dk, view dv, view d_o, view o, view lse,
                  view q, view k, view v);

/* ---- SwiGLU: gu [R, 2F] = gate columns, then up columns; weight [R] or none ---- */
void dev_swiglu_fwd(struct dev *, view act, view gu, view weight); /* act[R,F] = weight * silu(g) * u */
/** d_act [R,F] -> d_gu [R,2F]; act [R,F] is written again (weighted, for the weight gradient);
 *  d_weight [R] = sum_f d_act*silu(g)*u, none if weight is none. d_gu may be gu itself. */
void dev_swiglu_bwd(struct dev *, view d_gu, view act, view d_weight, view d_act, view gu, view weight);

/* ---- FFNs of E experts over rows x [R,H]; expert e has rows offs[e] .. offs[e+1] (host array) ----
 * wgu [E, 2F, H], wd [E, H, F]. A dense FFN is one expert with weight none. A device may have its own; else
 * it is composed from gemm and swiglu expert by expert (device/ffn.c). `arena` gives scratch (released
 * inside). */
void dev_expert_ffn_fwd(struct dev *, struct arena *, view y, view gu, int64_t experts, const int64_t *offs,
                        view x, view wgu, view wd, view weight,
                        bool acc_y); /* y [R,H] (+)=, gu [R,2F] saved */
/** dx [R,H] (overwritten), dwgu, dwd (+)= by acc, d_weight [R] or none. gu is destroyed. */
void dev_expert_ffn_bwd(struct dev *, struct arena *, view dx, view dwgu, view dwd, view d_weight,
                        int64_t experts, const int64_t *offs, view dy, view x, view gu, view wgu, view wd,
                        view weight, bool acc);

/* ---- router (definitions D1, D5, D6): fp32, own kernel ---- */
struct route {
    int64_t top_k;
    bool softmax_first, renormalise;
}; /* topk-softmax: softmax_first = false */
/** logits [T,X] = x [T,H] w[X,H]^T; the order of summation depends on H alone. */
void dev_router_logits(struct dev *, view logits, view x, view w);
/** idx I32 [T,k] by descending logit (ties: lower expert first), gate [T,k] combine weights, counts I32 [X]
 *  assignments per expert, stats [X+2]: sum over tokens of softmax per expert, sum of lse^2, sum of the
 * squared largest logit. T = 0 writes zeros. bias [X] or none is added for the choice only. */
void dev_router_choose(struct dev *, struct route, view idx, view gate, view counts, view stats, view logits,
                       view bias);
/** The losses of a MoE layer from the statistics of `domains` domains of n tokens each (D1): seeds [domains,
 * X] = dL/dsoftmax of every token for dev_router_bwd, from f_e of counts I32 [domains, X], or of load [X] =
 * X*f_e of the step before. If `told`, total F64 [3] += means over the domains of A, of the lse^2 and of the
 * squared largest logit of stats [domains, X+2], and loads F64 [X] += counts. */
struct router_losses {
    int64_t top_k;
    double n, coeff;
    bool told;
};
void dev_router_losses(struct dev *, struct router_losses, view seeds, view total, view loads, view counts,
                       view stats, view load);
/** least F64 [1] = min(least, smallest gap between the last chosen and the first rejected logit + bias). */
void dev_router_margin(struct dev *, view least, int64_t top_k, view logits, view bias);
/** d_logits [T,X] = d(gate)/d(logit)*d_gate + aux[X] through the full softmax + z*lse*softmax, and
 *  max_z*logit at the largest logit (ties: the lower expert's).
 *  aux [X]: dL/dsoftmax_ne for every token, i.e. (c_a/M)*X*f_e/N; z = (c_z/M)*(2/N), max_z alike. */
void dev_router_bwd(struct dev *, struct route, view d_logits, view logits, view idx, view gate, view d_gate,
                    view aux, float z, float max_z);
/** y[t,j] (+)= x[t,j] * (1 + eps*u), u uniform in [-1, 1] for (key, row + t, j); x, y [T,H]. */
void dev_jitter(struct dev *, bool acc, view y, view x, float eps, uint64_t key, int64_t row);
/** y = 1/(1 + exp(-x)); dx = dy*y*(1 - y). Equal shapes. */
void dev_sigmoid_fwd(struct dev *, view y, view x);
void dev_sigmoid_bwd(struct dev *, view dx, view dy, view y);

/* ---- moving rows ---- */
/** Which assignments of a micro-batch stay (D5). idx I32, gate [N,k]: all choices; of each expert the first
 *  `most` stay, in order of tokens or by descending gate. kept I32 [own,k] = the choices of tokens first ..
 *  first + own, -1 where dropped; dropped F64 [1] += how many of those; least F64 [1] = min(least, gap
 * between the last gate that stays and the first that does not). */
struct capacity {
    int64_t experts, most, first;
    bool by_gate;
};
void dev_capacity(struct dev *, struct capacity, view kept, view dropped, view least, view idx, view gate);
/** Rows arrive as runs (q, p, expert) of cnt I32 [Q*P, E] rows and are wanted as (expert, p, q): order I32
 * [R] = place of arrival of each wanted row, back I32 [R] the inverse. */
void dev_expert_order(struct dev *, view order, view back, view cnt, int64_t q);
/** Routing state after a step, a piece of it that begins at expert `first`, from counts F64 [X] of the step.
 *  bias: value[e] +-= rate towards the mean of the counts; load: value[e] = count/mean (1 without any).
 *  Nothing where `go` of control [2] is 0: see dev_clip. */
void dev_balance_bias(struct dev *, view value, view counts, int64_t first, float rate, view control);
void dev_balance_load(struct dev *, view value, view counts, int64_t first, view control);
/** Stable counting sort of the assignments idx [T,k] (expert, or -1 = dropped) by (expert, n, j):
 *  counts I32 [X]; slot I32 [T,k] = sorted position or -1; pick I32 [T*k] = n*k+j of each position. */
void dev_route_plan(struct dev *, view counts, view slot, view pick, view idx);
/** y[r] = x[row[r]/div], row -1 gives a zero row. x [*,H], y [R,H], row I32 with R entries. */
void dev_gather_rows(struct dev *, view y, view x, view row, int64_t div);
/** out[n] (+)= sum_j y[slot[n,j]] in order of j, -1 skipped. */
void dev_combine(struct dev *, view out, view y, view slot, bool acc);

/* ---- cross-entropy with the vocabulary cut over ranks; target I32 [T], -1 = not counted ---- */
/** stats [3, T]: max, sum exp(logit - max), logit of the target (0 if it is another rank's). */
void dev_ce_stats(struct dev *, view stats, view logits, view target, int64_t v0);
/** stats of `ranks` ranks one after the other [ranks, 3, T] -> lse [T], nll [T] (0 if not counted). */
void dev_ce_merge(struct dev *, view lse, view nll, view stats, view target);
/** logits [T,Vl] -> in place (softmax - onehot)*scale, rows not counted are 0. */
void dev_ce_grad(struct dev *, view logits, view lse, view target, int64_t v0, float scale);

/* ---- optimizer (definitions D4), on a contiguous piece ---- */
struct adamw {
    float lr, beta1, beta2, eps, decay, bias1, bias2;
}; /* bias1 = 1 - beta1^u, ...; decay 0 for norms */
/** control [2] = {scale, go}: scale = min(1, limit / (norm + 1e-6)) for norm = sqrt(squares F64 [1]), 1
 * without a limit (0); go = 1 if norm and loss F64 [1] are finite, else 0. */
void dev_clip(struct dev *, view control, view squares, view loss, double limit);
/** One update of the master weights p with gradient g*scale; w BF16 = p to nearest even, or none. Nothing
 * where go is 0. */
void dev_adamw(struct dev *, struct adamw, view p, view m, view v, view g, view w, view control);

/** What to beware of with this library of matrix products; NULL if nothing is known. */
const char *dev_cpu_caution(void);
/** The library behind the CPU's GEMMs: "oneDNN 2.6.3". */
const char *dev_cpu_library(void);

#endif
