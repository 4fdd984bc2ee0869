/* A group, and what group.c and sum.c share. Only comm/ files include this. */
#ifndef COMM_INSIDE_H
#define COMM_INSIDE_H
#include "comm/group.h"
#include "comm/ops.h"

struct group {
    struct comm *comm;
    struct dev *dev;
    struct link *link;
    const char *name;
    int rank, size;
    int block;                      /* ranks of a block in sums; 1: no blocks */
    struct spans parts, recv, send; /* [size], of the call in progress */
    char *scratch;                  /* device memory for sums */
    int64_t reserved, needed;       /* bytes of scratch */
    int64_t sent, calls;            /* bytes to others, and how often the link moved some */
    double seconds;
};

/* What carries device memory among a group's members. */
enum carrier { BY_HOST, BY_NCCL, BY_STAGING };
/** By the device, its device.transport, and how many ranks of a node share a device. E_DECK if what was asked
 * for cannot be. COLLECTIVE over the world. */
status links_choose(struct comm *, struct dev *, enum carrier *) MUST_USE;
/** A link for device memory among the members of `host`, which it takes. COLLECTIVE over them. */
struct link *link_device(struct comm *, struct dev *, struct link *host, enum carrier);
struct link *link_staged(struct dev *, struct link *host);
struct link *link_nccl(struct comm *, struct dev *, struct link *host);
/** Opens NCCL; false, and why, if this machine has none. */
bool nccl_load(char why[256]);

/** A group call, which group_submit runs at once on COMPUTE, else when the stream comes to it. out_rows and
 * in_rows are NULL or [size]; the caller may change them when group_submit returns. */
typedef void group_call(struct group *, view out, view in, const int64_t *out_rows, const int64_t *in_rows);
void group_submit(struct group *g, enum stream s, group_call *call, view out, view in,
                  const int64_t *out_rows, const int64_t *in_rows);
/** Make sure that there are so many bytes of scratch. A dry run only records them. */
void group_scratch(struct group *, int64_t bytes);
void group_check_equal(const struct group *, const char *what, int64_t a, int64_t b);
int64_t group_bytes_of(const struct group *, view);
/** Cut a view into the members' rows, or into equal parts if rows is NULL. */
void group_cut_rows(const struct group *, struct spans *, view, const int64_t *rows);
void group_cut_even(const struct group *, struct spans *, view);
/** data + bytes, in device memory. data may be NULL if bytes is 0. */
void *group_at(const void *data, int64_t bytes);
/** Copy this rank's own part, unless both are the same memory. */
void group_keep_own(struct group *, void *to, const void *from, dtype, int64_t bytes);
void group_start_clock(struct group *);
void group_stop_clock(struct group *);
/** The link's calls, during which it may touch device memory. g->recv cuts out, g->send cuts in. */
void group_link_gather(struct group *, void *out);
void group_link_exchange(struct group *, void *out, const void *in);
/** Does the link add up itself? Then these do, with `n` elements a part, or in all. */
bool group_link_adds(const struct group *);
void group_link_scatter(struct group *, void *out, const void *in, int64_t n, dtype);
void group_link_reduce(struct group *, void *x, int64_t n, dtype);
/** All-gather, where g->recv cuts out. */
void group_gather(struct group *, view out, view in);

#endif
