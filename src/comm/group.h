/* The data plane: collectives on device memory among the ranks of a group, in coordinate order.
 * Every function is COLLECTIVE over the group. Calls are ordered within their stream: COMPUTE, to which the
 * ops belong, or COMM, which is ordered against COMPUTE by tickets (device/dev.h). They return nothing,
 * because a failure is fatal. The rows of a view must be contiguous (ld = columns). A participant may have no
 * rows. Sums have an order that only group ranks fix (exchange, then a local sum), so they do not depend on
 * which message arrives first. Large sums go in rounds, so that scratch stays at a few MB. In the device's
 * dry mode nothing moves, but scratch needs are recorded. A group of one rank copies, or does nothing if in
 * and out are the same memory. MPI needs device memory that the host can read; another device copies through
 * the host, or brings a transport of its own (struct link_ops, comm/ops.h). */
#ifndef COMM_GROUP_H
#define COMM_GROUP_H
#include "comm/comm.h"
#include "device/dev.h"
#include "layout/layout.h"

struct group;

/** COLLECTIVE over the world: open all groups of a layout, group[g] for each group_id. */
status groups_open(struct group *group[GROUPS], struct comm *, struct dev *, const struct layout *) MUST_USE;
void groups_close(struct group *group[GROUPS]);
int group_size(const struct group *);
int group_rank(const struct group *);
const char *group_name(const struct group *);   /* "tp", "dp", ... */
int64_t group_bytes_sent(const struct group *); /* by this rank to others, since opening */
int64_t group_calls(const struct group *);      /* of its link, of several ranks, since opening */
int64_t group_scratch_bytes(const struct group *);
double group_seconds(const struct group *); /* spent in this group's calls, since opening */
/** For tests: the number of ranks in a block, which must divide the group's size and be the same on all its
 * ranks. Sums first add the ranks of each block, then the blocks; 1 means no blocks. groups_open chooses 1 up
 * to 16 ranks, else the largest divisor up to the square root. */
void group_set_block(struct group *, int ranks);
/** Allocate the scratch for sums that a dry run recorded. Local. */
status group_reserve(struct group *) MUST_USE;

/** out [size*rows, n] = in [rows, n] of all ranks, in group order. in may be this rank's part of out. Here
 * and in reduce_scatter only the numbers of elements must fit, so that a vector may be cut, too. */
void group_all_gather(struct group *, enum stream, view out, view in);
/** out [rows, n] = the sum over ranks of this rank's rows of in [size*rows, n]. F32, F64 or I32. out may be
 * this rank's part of in. */
void group_reduce_scatter(struct group *, enum stream, view out, view in);
/** x = the sum over ranks, in place. x has no gaps; F32, F64 or I32. */
void group_all_reduce(struct group *, enum stream, view x);
/** Exchange rows: to each member send_rows[member] rows of in, from each recv_rows[member] rows of out. These
 * host arrays [size] add up to the views' rows. in and out must not overlap, except in a group of one. */
void group_all_to_all(struct group *, enum stream, view out, const int64_t *recv_rows, view in,
                      const int64_t *send_rows);
/** out [sum(rows), n] = the rows of all ranks, in [rows[rank], n]; rows[size] is a host array. in may be this
 * rank's part of out. */
void group_all_gather_v(struct group *, enum stream, view out, const int64_t *rows, view in);
/** The adjoint: out [rows[rank], n] = the sum over ranks of this rank's part of in [sum(rows), n]. F32, F64
 * or I32. out may be this rank's part of in. */
void group_reduce_scatter_v(struct group *, enum stream, view out, view in, const int64_t *rows);

#endif
