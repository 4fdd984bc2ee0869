/* The device: about 40 typed ops behind one facade, which checks shapes, counts FLOPs and time, and applies
 * the modes `check` and `dry`. A device is a table of kernels: device/cpu/, device/cuda/. Not collective.
 *
 * Contract of every op: arguments are views, which are borrowed device memory. Ops run in order on the
 * COMPUTE stream. Outputs are overwritten, or added to if `acc` is true. Any size may be zero; a GEMM with K
 * = 0 and acc = false writes zeros. Sums have a fixed order for equal numbers of threads and instruction set.
 * Nothing returns a status: a wrong shape is a bug(). Weights are row-major [out, in]. T = tokens, H =
 * hidden, F = FFN width, X = experts, R = rows at the experts, k = choices, V = vocabulary, hd = head
 * dimension, S = sequence. */
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
/* The work that a stream was given up to some moment. {0} is no work, which is always done. */
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
/* Modes for tests. VALUES: fresh memory is NaN, guards lie around it, and every output must be finite.
 * HIDDEN: also, the host cannot touch device memory (memory.c). */
struct dev_options {
    int threads; /* 0: OpenMP decides */
    enum dev_transport transport;
    bool any_order; /* sums need not have one order, where the device or its transport is faster so */
    enum dev_check check;
    bool null; /* in its place the null device: nothing is computed, all is counted (device/null.c) */
};
/** Was a device of this name compiled into the program? */
bool dev_is_known(const char *name);
/** name: "cpu" or "cuda". E_RESOURCE if it was not compiled in or there is none ("no GPU: ..."). The ranks of
 * a node take its devices in turn. */
status dev_open(struct dev **, const char *name, int node_local_rank, const struct dev_options *) MUST_USE;
void dev_close(struct dev *);
const char *dev_name(const struct dev *);
/** One line about the device for the start of a run: "2 cores, AVX-512 kernels, 2 threads, GEMM by
 * oneDNN 2.6.3". The instruction set is that of our kernels; the library chooses its own. */
const char *dev_about(const struct dev *);
int dev_threads(const struct dev *); /* of the host */
/** Devices of its kind on this node. With more ranks than that, some share one. 0: they are not counted. */
int dev_count(const struct dev *);
/** Bytes that may still be allocated there, by all ranks that share it; INT64_MAX where nobody knows. */
int64_t dev_room(struct dev *);
/** What was asked for at opening; comm/links.c decides. */
enum dev_transport dev_transport(const struct dev *);
bool dev_any_order(const struct dev *);
/** Columns to allocate for rows of n elements that GEMMs read column by column. */
int64_t dev_pitch(const struct dev *, int64_t n);
/** The most rows of a chunk of the head's logits with so many columns of a type. */
int64_t dev_head_rows(const struct dev *, int64_t columns, dtype);
/** One sample of the GEMM ceiling: GFLOP/s of a 1024^3 GEMM of F32 or BF16 matrices with warm caches. It
 * takes about 10 ms. */
double dev_ceiling_sample(struct dev *, dtype);
/** Dry mode: ops and group calls do nothing. With a measuring arena it finds out sizes. */
void dev_set_dry(struct dev *, bool);
bool dev_is_dry(const struct dev *);
/** Does nobody know what ops compute: in dry mode, and on the null device? */
bool dev_is_blind(const struct dev *);

/* ---- streams (device/stream.c): the work of one stream is done in order; only tickets order the work of
 * different streams. Ops belong to COMPUTE, asynchronous copies to COPIES, group calls to the stream that
 * they are given. ---- */
/** A ticket for all work that the stream was given until now. */
ticket dev_mark(struct dev *, enum stream);
/** Work that the stream is given from now on waits for the ticket's work. The host does not wait. */
void dev_wait(struct dev *, enum stream, ticket);
void dev_wait_host(struct dev *, ticket);
void dev_sync(struct dev *); /* the host waits for everything */
/** Give a stream the work run(with). For links, which move device memory. A device with streams of its own is
 * given it at once: ops inside `run` then go to this stream. */
void dev_queue(struct dev *, enum stream, void (*run)(void *), void *with);
/** The stream that ops go to now: COMPUTE, except inside dev_queue. */
enum stream dev_at(const struct dev *);
/** The device's own handle of it (CUDA: a cudaStream_t), for a transport of the device's kind; NULL: none. */
void *dev_stream(struct dev *);
/** look(with) is called again and again while the host waits for a device with streams of its own. */
void dev_watch(struct dev *, void (*look)(void *with), void *with);
void dev_unwatch(struct dev *, const void *with);

/* ---- memory (device/memory.c) ---- */
enum dev_fresh { FRESH_ANY, FRESH_ZERO }; /* what a new block holds */
/** Allocate device memory for a store, a net or a region. bytes > 0. `what` names it in messages and must
 * stay. */
status dev_alloc(struct dev *, const char *what, void **, int64_t bytes, enum dev_fresh) MUST_USE;
void dev_free(struct dev *, void *, int64_t bytes);
/** Writes into `text` what byte `at` of a block belongs to. */
typedef void dev_tell(const void *owner, int64_t at, char text[128]);
/** Set the function that says, in the message of a fault, what a byte of the block at `p` belongs to. */
void dev_describe(struct dev *, const void *p, dev_tell *, const void *owner);
/** May the host touch device memory itself? False in the hidden mode. */
bool dev_host_memory(const struct dev *);
/** Has an op finished when it returns, so that a wait costs nothing? False in the hidden mode, where the CPU
 * stands for a GPU. */
bool dev_at_once(const struct dev *);
/** May a link of the host's touch device memory between dev_show and dev_hide? */
bool dev_can_show(const struct dev *);
/** In the check modes these bytes become NaN, because they must not be used any more. */
void dev_poison(struct dev *, void *, int64_t bytes);
/** Between dev_show and dev_hide a link may touch device memory. Calls nest. */
void dev_show(struct dev *);
void dev_hide(struct dev *);
void dev_upload(struct dev *, view dst, const void *src); /* host -> device, contiguous, same type */
void dev_download(struct dev *, void *dst, view src);     /* device -> host; waits */
/** Zeroed pinned host memory for asynchronous copies. bytes > 0; it aborts if there is no memory. */
void *dev_host_alloc(struct dev *, int64_t bytes);
void dev_host_free(struct dev *, void *);
/** The same as copies on the stream COPIES from and to pinned memory, which return at once. Before them
 * COPIES must wait for the work that last touched the device's side (dev_wait). The host's side may be
 * written (upload) or read (download) only after dev_wait_host for the ticket, or for later work that waited
 * for it. */
ticket dev_upload_async(struct dev *, view dst, const void *src);
ticket dev_download_async(struct dev *, void *dst, view src);
/** How often the host waited for the device since it was opened: for downloads, for tickets that were not yet
 * done, and in dev_finite and dev_sync. */
int64_t dev_waits(const struct dev *);

/** Time and FLOPs by op and shape, for run.profile. The first output has m rows of n columns (or the input,
 * where the output is a sum), each from k multiply-adds. In a row of zeros are the shapes for which there was
 * no room; dev_profile(true) makes room. */
struct dev_profile_row {
    const char *op;
    int64_t m, n, k, calls;
    double seconds, flops, bytes;
};
enum dev_profile_by { BY_SHAPE, BY_OP }; /* BY_OP: sums over the shapes of an op */
void dev_profile(struct dev *, bool on); /* switch counting on or off; earlier counts stay */
/** The rows, slowest first. Caller frees *out. Returns how many there are. */
int dev_profile_rows(struct dev *, enum dev_profile_by, struct dev_profile_row **out);
/** Rows of a block of expert FFNs that are composed of other ops; 0 where the device has an op of its own. */
int64_t dev_expert_rows(const struct dev *);
/** FLOPs that GEMM and attention executed since the device was opened. */
double dev_flops(const struct dev *);

/* ---- arena: saved blocks grow from one end, scratch from the other (device/arena.c) ---- */
struct arena {
    struct dev *dev;
    char *base;             /* NULL in a measuring arena, which only adds up sizes */
    int64_t size;           /* bytes */
    int64_t saved, scratch; /* bytes in use at each end */
    int64_t peak;           /* largest saved + scratch so far */
    int64_t peak_saved;     /* the saved part of it */
};
view arena_save(struct arena *, dtype, int64_t n0, int64_t n1, int64_t n2);
view arena_scratch(struct arena *, dtype, int64_t n0, int64_t n1, int64_t n2);
/** A matrix [rows, cols] whose rows lie dev_pitch apart. */
view arena_scratch_pitched(struct arena *, dtype, int64_t rows, int64_t cols);
int64_t arena_mark(const struct arena *); /* the bytes of scratch in use, for arena_release */
void arena_release(struct arena *, int64_t mark);
void arena_reset(struct arena *); /* release everything at both ends */
/** Allocate `bytes`, after freeing what it had. base != NULL afterwards. */
status arena_open(struct arena *, struct dev *, int64_t bytes) MUST_USE;
void arena_close(struct arena *);

/* A region holds a block whose size a routing decides. It only grows. */
struct region {
    struct dev *dev;
    char *data;           /* with the guards of the check modes */
    int64_t bytes, taken; /* its room, and what the last call took of it */
    int64_t regrown;
    struct region *next; /* in the device's list of regions */
};
/** Take room to write to. What was in the region is lost. In dry mode it only records the size. */
view region_take(struct region *, dtype, int64_t n0, int64_t n1, int64_t n2);
/** The room that was taken last, to read what was written there. */
view region_view(const struct region *, dtype, int64_t n0, int64_t n1, int64_t n2);
void region_close(struct region *);

/* ---- plain ops ---- */
void dev_copy(struct dev *, view dst, view src); /* equal shapes; converts F32 <-> BF16 (to nearest even) */
void dev_fill(struct dev *, view dst, float v);
void dev_add(struct dev *, view y, view x);     /* y += x, equal shapes */
void dev_scale(struct dev *, view y, float by); /* y *= by */
/** c[M,N] (+)= op(a)[M,K] op(b)[K,N]; ta: a is [K,M]; tb: b is [N,K]. y = x W^T is gemm(x, W, tb). */
void dev_gemm(struct dev *, bool ta, bool tb, view a, view b, bool acc, view c);
void dev_add_bias(struct dev *, view y, view bias);      /* y[T,N] += bias[N] */
void dev_colsum(struct dev *, view x, bool acc, view y); /* y[N] (+)= sum over rows of x[T,N] */
void dev_sum(struct dev *, view total, view x);   /* total F64 [1] += sum of x, in double, in a fixed order */
void dev_sumsq(struct dev *, view total, view x); /* the same for the squares of x */
bool dev_finite(struct dev *, view x);            /* the host waits */
/** out[n] = row 0 + row 1 + ... of parts [ranks, n], in this order. Row `own` is read from `mine` [n]
 * instead, which may be out. F32, F64 or I32. */
void dev_sum_parts(struct dev *, view out, view parts, int64_t own, view mine);

/* ---- embedding: ids I32 [T]; this rank holds rows [v0, v0+Vl) of the vocabulary ---- */
void dev_embed_fwd(struct dev *, view x, view ids, int64_t v0, view w); /* rows of other ids are 0 */
void dev_embed_bwd(struct dev *, view ids, view dx, int64_t v0, bool acc,
                   view dw); /* dw[v - v0] (+)= sum of dx rows, in token order */

/* ---- RMSNorm of each group of N columns, g groups a row: y = x * rstd * w, rstd = 1/sqrt(mean(x^2) + eps);
 * x, y [T, g*N], rstd [T, g], w [N]. A layer's norm has one group, that of queries one for each head ---- */
void dev_rmsnorm_fwd(struct dev *, view y, view rstd, view x, view w, float eps);
/** dx (+)= ..., dw (+)= ...; the two accumulate flags are separate. rstd comes from forward. Where acc_dx is
 * false, dx may be dy itself. */
void dev_rmsnorm_bwd(struct dev *, bool acc_dx, view dx, bool acc_dw, view dw, view dy, view x, view rstd,
                     view w);

/* ---- rotary embedding, half-split as in Hugging Face: in place on x [T, heads*hd] ---- */
/** cos_sin [S, hd]: cosines in the first hd/2 columns, sines in the rest. Row n has position n mod S, or
 * positions I32 [T], of which each is a row of cos_sin, unless they are none. sign: +1 forward, -1 backward.
 */
void dev_rope(struct dev *, view x, int64_t heads, view positions, view cos_sin, float sign);

/* ---- causal attention, scale 1/sqrt(hd), no T x T matrix in memory ---- */
/* Local heads; T = sequences*seq rows; heads % kv_heads == 0. Row r of a sequence sees its keys from first[r]
 * to r: first I32 [T], 0 <= first[r] <= r, must not fall within a sequence. The beginning of a document and a
 * sliding window are such bounds; none: 0. Keys that no row of a tile sees cost no time. */
struct attn_shape {
    int64_t seq, heads, kv_heads, head_dim;
    view first;
};
/** q [T, heads*hd], k, v [T, kv_heads*hd] -> o [T, heads*hd], lse [T, heads]. */
void dev_attn_fwd(struct dev *, struct attn_shape, view o, view lse, view q, view k, view v);
void dev_attn_bwd(struct dev *, struct attn_shape, view dq, view dk, view dv, view d_o, view o, view lse,
                  view q, view k, view v);
/** Attention of new tokens to a cache of keys and values: q [T, heads*hd] -> o [T, heads*hd]. The cache k, v
 * [C, kv_heads*hd] may hold many sequences. Row t sees rows first[t] to last[t] of it, both I32 [T]; if last
 * is smaller it sees none, and its output is 0. The shape's seq has no meaning. */
void dev_attn_cached(struct dev *, struct attn_shape, view o, view q, view k, view v, view first, view last);

/* ---- SwiGLU: gu [R, 2F] = gate columns, then up columns; weight [R] or none ---- */
void dev_swiglu_fwd(struct dev *, view act, view gu, view weight); /* act[R,F] = weight * silu(g) * u */
/** d_gu [R,2F] from d_act [R,F]. act [R,F] is computed again, with the weight, for the gradient of down.
 * d_weight [R] = sum_f d_act*silu(g)*u; none if weight is none. d_gu may be gu. */
void dev_swiglu_bwd(struct dev *, view d_gu, view act, view d_weight, view d_act, view gu, view weight);

/* ---- FFNs of E experts over rows x [R,H] ----
 * Expert e has rows [offs[e], offs[e+1]); offs is a host array. wgu [E, 2F, H], wd [E, H, F]. A dense FFN is
 * one expert with weight none. A device may have kernels of its own; else gemm and swiglu are called expert
 * by expert (device/ffn.c), with scratch of `arena` that is released again. */
void dev_expert_ffn_fwd(struct dev *, struct arena *, view y, view gu, int64_t experts, const int64_t *offs,
                        view x, view wgu, view wd, view weight,
                        bool acc_y); /* y [R,H] (+)=, gu [R,2F] saved; y none: gu alone */
/** dx [R,H], dwgu and dwd (+)= by acc, d_weight [R] or none. gu is destroyed. */
void dev_expert_ffn_bwd(struct dev *, struct arena *, view dx, view dwgu, view dwd, view d_weight,
                        int64_t experts, const int64_t *offs, view dy, view x, view gu, view wgu, view wd,
                        view weight, bool acc);

/* ---- router (definitions D1, D5, D6), in fp32 ---- */
/* topk-softmax: softmax_first = false. padding I32 [T] or none: a token for which it is negative is padding.
 */
struct route {
    int64_t top_k;
    bool softmax_first, renormalise;
    view padding;
};
/** logits [T,X] = x [T,H] w[X,H]^T. The order of summation depends on H alone. */
void dev_router_logits(struct dev *, view logits, view x, view w);
/** idx I32 [T,k]: the chosen experts by descending logit; of equal ones the lower expert first. gate [T,k]:
 * their weights. counts I32 [X]: assignments of each expert. stats [X+2]: sums over tokens of the softmax of
 * each expert, of lse^2, and of the squared largest logit. T = 0 writes zeros. bias [X] or none is added to
 * the logits for the choice only. Padding chooses -1 with weight 0, and has no part in counts and stats. */
void dev_router_choose(struct dev *, struct route, view idx, view gate, view counts, view stats, view logits,
                       view bias);
/** The losses of a MoE layer from the statistics of `domains` domains (D1), which have as many tokens as made
 * the counts I32 [domains, X]. seeds [domains, X]: the gradient of the loss by every token's softmax, for
 * dev_router_bwd. f_e comes from the counts, or from load [X] = X*f_e of the step before. If `told`, total
 * F64 [3] += the means over the domains of A, of lse^2 and of the squared largest logit from stats [domains,
 * X+2], and loads F64 [X] += counts. */
struct router_losses {
    int64_t top_k;
    double coeff;
    bool told;
};
void dev_router_losses(struct dev *, struct router_losses, view seeds, view total, view loads, view counts,
                       view stats, view load);
/** least F64 [1] = min(least, the smallest gap between the last chosen and the first rejected logit + bias).
 */
void dev_router_margin(struct dev *, view least, int64_t top_k, view logits, view bias);
/** d_logits [T,X] = d(gate)/d(logit)*d_gate + aux[X] through the full softmax + z*lse*softmax, + max_z*logit
 * at the largest logit (of equal ones, the lower expert's). aux [X] is the gradient of the loss by the
 * softmax, the same for every token: (c_a/M)*X*f_e/N. z = (c_z/M)*(2/N), and max_z likewise. Rows of tokens
 * without a choice (idx -1) become 0. */
void dev_router_bwd(struct dev *, struct route, view d_logits, view logits, view idx, view gate, view d_gate,
                    view aux, float z, float max_z);
/** y[t,j] (+)= x[t,j] * (1 + eps*u), with u uniform in [-1, 1] for (key, row + t, j). x, y [T,H]. */
void dev_jitter(struct dev *, bool acc, view y, view x, float eps, uint64_t key, int64_t row);
/** y = 1/(1 + exp(-x)); dx = dy*y*(1 - y). Equal shapes. */
void dev_sigmoid_fwd(struct dev *, view y, view x);
void dev_sigmoid_bwd(struct dev *, view dx, view dy, view y);

/* ---- moving rows ---- */
/** Which assignments of a micro-batch stay (D5). idx I32 and gate [N,k] are all choices, -1: none. Of each
 * expert's assignments the first `most` stay, in the order of tokens or by descending gate. kept I32 [own,k]
 * = the choices of tokens [first, first + own), -1 where dropped; dropped F64 [1] += the number of these;
 * least F64 [1] = min(least, the gap between the last gate that stays and the first that does not). */
struct capacity {
    int64_t experts, most, first;
    bool by_gate;
};
void dev_capacity(struct dev *, struct capacity, view kept, view dropped, view least, view idx, view gate);
/** Rows arrive in the order (q, p, expert), cnt I32 [Q*P, E] of each, and are needed in the order (expert, p,
 * q). order I32 [R] is where each needed row arrived, back I32 [R] the inverse. */
void dev_expert_order(struct dev *, view order, view back, view cnt, int64_t q);
/** Update a piece of routing state that begins at expert `first`, from the step's counts F64 [X]. bias:
 * value[e] += rate if the expert's count is below the mean, -= rate if it is above. load: value[e] =
 * count/mean, 1 if all counts are 0. Nothing changes if `go` of control [2] is 0: see dev_clip. */
void dev_balance_bias(struct dev *, view value, view counts, int64_t first, float rate, view control);
void dev_balance_load(struct dev *, view value, view counts, int64_t first, view control);
/** Stable counting sort of the assignments idx [T,k] (an expert, or -1 = dropped) by (expert, n, j). counts
 * I32 [X]; slot I32 [T,k] = the sorted position or -1; pick I32 = n*k+j of each position, -1 if it stays
 * empty. room = 0: positions follow each other, pick [T*k]. room > 0: every expert has so many positions,
 * pick [X*room], and counts them all; none has more assignments. */
void dev_route_plan(struct dev *, view counts, view slot, view pick, view idx, int64_t room);
/** y[r] = x[row[r]/div]; row -1 gives a zero row. x [*,H], y [R,H], row I32 with R entries. */
void dev_gather_rows(struct dev *, view y, view x, view row, int64_t div);
/** y[row[r]] = x[r], not where row is -1. No two rows are the same. x [R,H], y [*,H], row I32 with R entries.
 */
void dev_put_rows(struct dev *, view y, view x, view row);
/** out[n] (+)= sum_j y[slot[n,j]], in the order of j, without slots of -1. */
void dev_combine(struct dev *, view out, view y, view slot, bool acc);

/* ---- cross-entropy with the vocabulary cut over ranks; target I32 [T], -1 = not counted ---- */
/** stats [3, T]: max, sum of exp(logit - max), logit of the target (0 if another rank has it). */
void dev_ce_stats(struct dev *, view stats, view logits, view target, int64_t v0);
/** lse [T] and nll [T] (0 if not counted) from the stats of all ranks [ranks, 3, T]. */
void dev_ce_merge(struct dev *, view lse, view nll, view stats, view target);
/** logits [T,Vl] become (softmax - onehot)*scale; rows that are not counted become 0. */
void dev_ce_grad(struct dev *, view logits, view lse, view target, int64_t v0, float scale);

/* ---- the head and its loss, of T tokens and the Vl rows w [Vl,H] of the vocabulary from v0 on; between the
 * two the stats of all ranks become lse. By a kernel of the device's own, or composed ---- */
/** logits [T,Vl] = h [T,H] w^T, and their dev_ce_stats. */
void dev_head_loss_fwd(struct dev *, view logits, view stats, view h, view w, view target, int64_t v0);
/** From the logits of forward, which are lost: d_h [T,H] = this rank's share of the gradient of scale times
 * the counted cross-entropies, dw [Vl,H] (+)= theirs. */
void dev_head_loss_bwd(struct dev *, view d_h, bool acc, view dw, view logits, view lse, view target,
                       int64_t v0, float scale, view h, view w);

/* ---- optimizer (definitions D4), on a contiguous piece ---- */
struct adamw {
    float lr, beta1, beta2, eps, decay, bias1, bias2;
}; /* bias1 = 1 - beta1^u, bias2 = 1 - beta2^u; decay is 0 for norms */
/** control [2] = {scale, go}. With norm = sqrt(squares F64 [1]), scale = min(1, limit / (norm + 1e-6)), or 1
 * if limit is 0. go stays 1 if norm and loss F64 [1] are finite and not above `norm` and `loss` (INFINITY:
 * any), else it becomes 0. It stays 0, because the host learns of it a step late and nothing may change until
 * then. */
struct clip {
    double limit, norm, loss;
};
void dev_clip(struct dev *, view control, view squares, view loss, struct clip);
/** Update the master weights p with gradient g*scale, and set w BF16 = p to nearest even, unless w is none.
 * Nothing changes if go is 0. */
void dev_adamw(struct dev *, struct adamw, view p, view m, view v, view g, view w, view control);

/** A known problem of the library behind the CPU's GEMMs; NULL if none is known. */
const char *dev_cpu_caution(void);
/** The library behind the CPU's GEMMs: "oneDNN 2.6.3". */
const char *dev_cpu_library(void);

#endif
