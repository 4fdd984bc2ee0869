/* The control plane: small blocking collectives on host memory. There are two implementations: `self` for one
 * rank without MPI, and `mpi`. Every function but the getters is COLLECTIVE over all ranks. A communication
 * failure aborts the job with exit code 74. */
#ifndef COMM_COMM_H
#define COMM_COMM_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

struct comm;

/** Opens `self` if no launcher started this process (there is no variable of PMI, PMIx, PALS or Open MPI, and
 * no Slurm step of several tasks), else `mpi`. E_DECK with the remedy if Slurm started several tasks and MPI
 * sees one. */
status comm_open(struct comm **) MUST_USE;
/** Local: rank `rank` of a world of `size`, without the others: nothing moves (comm/self.c). */
struct comm *comm_null_open(int rank, int size);
/** Barrier, then finalise MPI. */
void comm_close(struct comm *);
int comm_rank(const struct comm *);
int comm_size(const struct comm *);
const char *comm_about(const struct comm *);  /* "Open MPI 4.1.4", "MPICH 4.0.2", "one process" */
bool comm_takes_threads(const struct comm *); /* does MPI work in a program with threads? Not collective. */
/** The MPI library of this program, without starting it. Not collective. */
const char *comm_mpi_library(void);
/** The NCCL library of this machine, "NCCL 2.28.9", or why there is none. Not collective. */
const char *comm_nccl_library(void);
/** The node of each rank [size]. A node is a domain of shared memory; nodes are numbered by their lowest
 * rank. */
const int *comm_nodes(const struct comm *);
int comm_node_rank(const struct comm *); /* index among the ranks of this node */
int comm_node_size(const struct comm *);

/** Each rank passes its own outcome. All return the worst code, and hold the message of the lowest rank with
 * that code in their record. It costs one small reduction if all outcomes are OK. */
status comm_agree(struct comm *, status mine) MUST_USE;
/** Local work that reads the same small files on all ranks, such as decks and headers: rank 0 does it first,
 * the others do it with what rank 0 read (base/once.h), so that nobody opens these files again; all agree. If
 * it fails on rank 0, the others do not begin. once_forget() ends the memory. */
status comm_once(struct comm *, status (*work)(void *with), void *with) MUST_USE;
void comm_barrier(struct comm *);
void comm_bcast(struct comm *, void *data, int64_t bytes, int root);
/** out [size, bytes] on every rank. */
void comm_all_gather(struct comm *, void *out, const void *in, int64_t bytes);
/** Gather different numbers of bytes on rank 0, which gets *out (caller frees) and bytes_of[size]; NULL
 * elsewhere. */
void comm_gather_v(struct comm *, char **out, int64_t *bytes_of, const void *in, int64_t bytes);
/** Element-wise sums, minima and maxima over ranks, in place. Sums of doubles are made in rank order from the
 * gathered numbers of all ranks, so they are for a few numbers; long tables must be integers. */
void comm_sum_f64(struct comm *, double *x, int n);
void comm_sum_i64(struct comm *, int64_t *x, int n);
void comm_max_i64(struct comm *, int64_t *x, int n);
void comm_max_f64(struct comm *, double *x, int n);
/** Sum modulo 2^64, for hashes of weights. */
uint64_t comm_sum_u64(struct comm *, uint64_t x);
/** End the whole job now with this exit code. Not collective. */
NORETURN void comm_abort(struct comm *, int code);

#endif
