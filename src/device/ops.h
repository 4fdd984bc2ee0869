/* The inside of the device room: the list of ops, the table of kernels that a device fills, and the device
 * itself. Only files of device/ include this; all others include device/dev.h.
 *
 * A kernel has exactly the arguments of its facade dev_NAME, which has checked them: types and shapes agree,
 * and views with elements are not NULL. In dry mode no kernel is called. */
#ifndef DEVICE_OPS_H
#define DEVICE_OPS_H
#include "device/dev.h"

/* OP(result, name, arguments) for every op of dev.h that a device must implement. */
#define DEV_OPS(OP)                                                                                          \
    OP(void, copy, (struct dev *, view dst, view src))                                                       \
    OP(void, fill, (struct dev *, view dst, float v))                                                        \
    OP(void, add, (struct dev *, view y, view x))                                                            \
    OP(void, scale, (struct dev *, view y, float by))                                                        \
    OP(void, gemm, (struct dev *, bool ta, bool tb, view a, view b, bool acc, view c))                       \
    OP(void, add_bias, (struct dev *, view y, view bias))                                                    \
    OP(void, colsum, (struct dev *, view x, bool acc, view y))                                               \
    OP(void, sum, (struct dev *, view total, view x))                                                        \
    OP(void, sumsq, (struct dev *, view total, view x))                                                      \
    OP(bool, finite, (struct dev *, view x))                                                                 \
    OP(void, sum_parts, (struct dev *, view out, view parts, int64_t own, view mine))                        \
    OP(void, embed_fwd, (struct dev *, view x, view ids, int64_t v0, view w))                                \
    OP(void, embed_bwd, (struct dev *, view ids, view dx, int64_t v0, bool acc, view dw))                    \
    OP(void, rmsnorm_fwd, (struct dev *, view y, view rstd, view x, view w, float eps))                      \
    OP(void, rmsnorm_bwd,                                                                                    \
       (struct dev *, bool acc_dx, view dx, bool acc_dw, view dw, view dy, view x, view rstd, view w))       \
    OP(void, rope, (struct dev *, view x, int64_t heads, view positions, view cos_sin, float sign))          \
    OP(void, attn_fwd, (struct dev *, struct attn_shape, view o, view lse, view q, view k, view v))          \
    OP(void, attn_bwd,                                                                                       \
       (struct dev *, struct attn_shape, view dq, view dk, view dv, view d_o, view o, view lse, view q,      \
        view k, view v))                                                                                     \
    OP(void, attn_cached,                                                                                    \
       (struct dev *, struct attn_shape, view o, view q, view k, view v, view first, view last))             \
    OP(void, swiglu_fwd, (struct dev *, view act, view gu, view weight))                                     \
    OP(void, swiglu_bwd,                                                                                     \
       (struct dev *, view d_gu, view act, view d_weight, view d_act, view gu, view weight))                 \
    OP(void, router_logits, (struct dev *, view logits, view x, view w))                                     \
    OP(void, router_choose,                                                                                  \
       (struct dev *, struct route, view idx, view gate, view counts, view stats, view logits, view bias))   \
    OP(void, router_losses,                                                                                  \
       (struct dev *, struct router_losses, view seeds, view total, view loads, view counts, view stats,     \
        view load))                                                                                          \
    OP(void, router_margin, (struct dev *, view least, int64_t top_k, view logits, view bias))               \
    OP(void, router_bwd,                                                                                     \
       (struct dev *, struct route, view d_logits, view logits, view idx, view gate, view d_gate, view aux,  \
        float z, float max_z))                                                                               \
    OP(void, jitter, (struct dev *, bool acc, view y, view x, float eps, uint64_t key, int64_t row))         \
    OP(void, sigmoid_fwd, (struct dev *, view y, view x))                                                    \
    OP(void, sigmoid_bwd, (struct dev *, view dx, view dy, view y))                                          \
    OP(void, capacity,                                                                                       \
       (struct dev *, struct capacity, view kept, view dropped, view least, view idx, view gate))            \
    OP(void, expert_order, (struct dev *, view order, view back, view cnt, int64_t q))                       \
    OP(void, balance_bias, (struct dev *, view value, view counts, int64_t first, float rate, view control)) \
    OP(void, balance_load, (struct dev *, view value, view counts, int64_t first, view control))             \
    OP(void, route_plan, (struct dev *, view counts, view slot, view pick, view idx, int64_t room))          \
    OP(void, gather_rows, (struct dev *, view y, view x, view row, int64_t div))                             \
    OP(void, put_rows, (struct dev *, view y, view x, view row))                                             \
    OP(void, combine, (struct dev *, view out, view y, view slot, bool acc))                                 \
    OP(void, ce_stats, (struct dev *, view stats, view logits, view target, int64_t v0))                     \
    OP(void, ce_merge, (struct dev *, view lse, view nll, view stats, view target))                          \
    OP(void, ce_grad, (struct dev *, view logits, view lse, view target, int64_t v0, float scale))           \
    OP(void, clip, (struct dev *, view control, view squares, view loss, struct clip))                       \
    OP(void, adamw, (struct dev *, struct adamw, view p, view m, view v, view g, view w, view control))

/* Ops that a device may leave out (NULL). The facade then composes them of others. */
#define DEV_OPTIONAL_OPS(OP)                                                                         \
    OP(void, expert_ffn_fwd,                                                                         \
       (struct dev *, struct arena *, view y, view gu, int64_t experts, const int64_t *offs, view x, \
        view wgu, view wd, view weight, bool acc_y))                                                 \
    OP(void, expert_ffn_bwd,                                                                         \
       (struct dev *, struct arena *, view dx, view dwgu, view dwd, view d_weight, int64_t experts,  \
        const int64_t *offs, view dy, view x, view gu, view wgu, view wd, view weight, bool acc))    \
    OP(void, head_loss_fwd,                                                                          \
       (struct dev *, view logits, view stats, view h, view w, view target, int64_t v0))             \
    OP(void, head_loss_bwd,                                                                          \
       (struct dev *, view d_h, bool acc, view dw, view logits, view lse, view target, int64_t v0,   \
        float scale, view h, view w))

#define OP_NUMBER(result, name, args) OP_##name,
enum dev_op { DEV_OPS(OP_NUMBER) DEV_OPTIONAL_OPS(OP_NUMBER) OP_COUNT };
#undef OP_NUMBER

/* What a device is: how it opens and holds memory, and its kernels. */
struct dev_ops {
    const char *name;
    status (*open)(struct dev *, int node_local_rank);
    void (*close)(struct dev *);
    bool host_memory; /* the host can touch the device's memory */
    bool at_once;     /* an op has finished when it returns */
    int64_t align;    /* alignment of the blocks of an arena, in bytes: a power of two, at least 8 */
    struct {
        int64_t every,
            more; /* in elements: a row whose length is a multiple of `every` is allocated `more` longer */
    } pitch;
    struct {
        int64_t bytes, least, most; /* a chunk of logits: about `bytes` at most, but `least` to `most` rows */
    } head;
    int64_t expert_rows; /* rows of a block, where expert_ffn is composed */
    /* Kernels that are called on a dry device too: they reserve the scratch that they will need, and return.
     */
    bool reserves[OP_COUNT];
    status (*alloc)(struct dev *, void **, int64_t bytes, enum dev_fresh);
    void (*free)(struct dev *, void *, int64_t bytes);
    int64_t (*room)(struct dev *); /* bytes that are free; NULL: nobody knows */
    void (*upload)(struct dev *, void *dst, const void *src, int64_t bytes);
    void (*download)(struct dev *, void *dst, const void *src, int64_t bytes);
    /* The same on the stream at work, of host memory that host_alloc gave; they do not wait. */
    void (*upload_async)(struct dev *, void *dst, const void *src, int64_t bytes);
    void (*download_async)(struct dev *, void *dst, const void *src, int64_t bytes);
    void *(*host_alloc)(struct dev *, int64_t bytes);
    void (*host_free)(struct dev *, void *);
    void (*sync)(struct dev *);
    /* Streams of its own; NULL: calls return when their work is done. */
    void (*mark)(struct dev *, enum stream, int64_t number); /* ticket `number` is all that it was given */
    void (*wait)(struct dev *, enum stream, ticket);
    bool (*wait_host)(struct dev *, ticket); /* true if it was not done yet */
    void *(*handle)(struct dev *);           /* of the stream at work */
    double (*ceiling)(struct dev *, dtype);
#define OP_POINTER(result, name, args) result(*name) args;
    DEV_OPS(OP_POINTER)
    DEV_OPTIONAL_OPS(OP_POINTER)
#undef OP_POINTER
};

enum { MAX_ARENAS = 8 };

struct profile_table {
    struct dev_profile_row *row; /* [room] by hash; op NULL: free */
    int64_t room, used;
    struct dev_profile_row rest[OP_COUNT]; /* for each op, the shapes for which there is no room */
};

struct queue {
    struct task *first; /* the first task that is not done */
    int64_t put, done;
};

struct dev {
    const struct dev_ops *ops;
    char about[256];
    int threads;
    enum dev_transport transport;
    bool any_order;
    enum dev_check check;
    bool dry, null, profiling;
    int count;                        /* devices of its kind on this node; 0: they are not counted */
    enum stream at;                   /* the stream that ops go to now: COMPUTE, except inside dev_queue */
    struct watcher *watchers;         /* stream.c */
    int64_t waits;                    /* how often the host has waited */
    struct block *blocks;             /* memory.c: the blocks of dev_alloc, in the check modes */
    int shown;                        /* how many ops and links are at work, so that memory is not hidden */
    const char *running, *last;       /* ops, for the message of a fault */
    double flops;                     /* executed so far */
    struct queue queue[STREAMS];      /* stream.c */
    struct profile_table profile;     /* profile.c */
    struct arena *arenas[MAX_ARENAS]; /* open arenas, whose guards the check modes verify */
    struct region *regions;           /* regions, whose guards they verify too */
    void *own;                        /* the device's own state: its open makes it, its close frees it */
};

/** The name of an op: "gemm" for OP_gemm. */
const char *dev_op_name(enum dev_op);
/** Count a call of an op with this shape; begin: omp_get_wtime() before it. */
void profile_count(struct dev *, enum dev_op, view shape, double begin, double flops, double bytes);
void profile_free(struct profile_table *);
/** Do blocks stand between guards, poisoned when fresh? In the check modes of a device whose memory is the
 * host's. Of another's only the outputs of ops are looked at. */
bool memory_watched(const struct dev *);
/** Report faults in this device's blocks from now on, until the device is closed. */
void memory_watch(const struct dev *);
void memory_unwatch(const struct dev *);
/** Fill memory with a pattern that is NaN as F32 and as BF16, and a huge number as I32. */
void poison(void *at, int64_t bytes);
/** In the check modes: bug() with the name of the op if a guard of an open arena or region was overwritten.
 */
void guards_verify(const struct dev *, const char *op);
/** A view in words for messages: "F32 [2, 3, 4] ld 4". Returns `out`. */
char *view_text(char out[96], view v);
/** Do the rows follow each other without gaps? */
bool view_contiguous(view v);

/** The table of the null device that stands for another one. Caller frees. */
struct dev_ops *null_ops(const struct dev_ops *like);
/** Tells the watchers that the host waits. */
void dev_look(struct dev *);

extern const struct dev_ops dev_cpu_ops;
/** All that the program was built with (devices.c); NULL behind the last. */
extern const struct dev_ops *const dev_devices[];

#endif
