/* The data plane: collectives on device memory among the ranks of one group, in coordinate order.
 * Every function is COLLECTIVE over the group and ordered within the stream, COMPUTE, where ops are, or COMM,
 * which waits for COMPUTE and is waited for by tickets (device/dev.h). Void: a failure is fatal. Rows of a
 * view must be contiguous (ld = columns). Zero-size participants are legal everywhere. Sums are made in an
 * order that group ranks alone fix (exchange, then a local sum), so they do not depend on arrival; large ones
 * go in rounds, so scratch stays at a few MB. In the device's dry mode nothing moves, but scratch needs are
 * recorded. A group of one copies (or does nothing where in and out are the same memory). Over MPI the
 * device's memory must be the host's, as the CPU's is; another device stages, or brings a transport of its
 * own (struct link_ops in comm/ops.h). */
#ifndef COMM_GROUP_H
#define COMM_GROUP_H
#include "comm/comm.h"
#include "device/dev.h"
#include "layout/layout.h"

struct group;

/** COLLECTIVE over the world: all groups of a layout, group[g] for each group_id. Order of opening:
 *  comm, hosts, layout, device, groups. */
status groups_open(struct group *group[GROUPS], struct comm *, struct dev *, const struct layout *) MUST_USE;
void groups_close(struct group *group[GROUPS]);
int group_size(const struct group *);
int group_rank(const struct group *);
const char *group_name(const struct group *);   /* "tp", "dp", ... */
int64_t group_bytes_sent(const struct group *); /* by this rank to others, since opening */
double group_seconds(const struct group *);     /* spent inside, since opening */
/** Ranks of a block in sums (they divide the size; 1: sums go straight). groups_open chooses 1 up to 16
 * ranks, else the largest divisor up to the square root: ranks of a block are added first, then the blocks.
 * All ranks of the group alike; for tests. */
void group_set_block(struct group *, int ranks);
/** Allocate what a dry run recorded (scratch for reductions). Local. */
status group_reserve(struct group *) MUST_USE;

/** out [size*rows, n] = in [rows, n] of all ranks, in group order. in may be its own part of out.
 *  Here and in reduce_scatter only the numbers of elements must fit: a vector may be cut, too. */
void group_all_gather(struct group *, enum stream, view out, view in);
/** out [rows, n] = sum over ranks of rows [rank*rows, ...) of in [size*rows, n]. F32, F64 or I32. out may be
 *  this rank's own part of in. */
void group_reduce_scatter(struct group *, enum stream, view out, view in);
/** x = sum over ranks, in place; without gaps. F32, F64 or I32. */
void group_all_reduce(struct group *, enum stream, view x);
/** Rows to and from each member; row counts are host arrays [size] that add up to the views' rows.
 *  in and out must not overlap, except in a group of one. */
void group_all_to_all(struct group *, enum stream, view out, const int64_t *recv_rows, view in,
                      const int64_t *send_rows);
/** out = rows of all ranks one after the other; rows[size]; in has rows[rank], and may be its own
 *  part of out. */
void group_all_gather_v(struct group *, enum stream, view out, const int64_t *rows, view in);
/** The adjoint: in has sum(rows) rows, out = sum over ranks of this rank's part. F32, F64 or I32. out may be
 *  this rank's own part of in. */
void group_reduce_scatter_v(struct group *, enum stream, view out, view in, const int64_t *rows);

#endif
