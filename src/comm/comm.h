/* The control plane: host memory, blocking, small. Two implementations: `self` (one rank, no MPI is
 * touched) and `mpi` (the only file that includes mpi.h). Every function but comm_open's choice and
 * the getters is COLLECTIVE over all ranks. Communication failures abort the job (exit code 74). */
#ifndef COMM_COMM_H
#define COMM_COMM_H
#include <stdbool.h>
#include <stdint.h>
#include "base/status.h"

struct comm;

/** COLLECTIVE. "self" if no launcher started this process (no PMI, PMIx, PALS or Open MPI variable,
 *  no Slurm step of several tasks), else "mpi". If Slurm started several tasks and MPI sees one:
 *  E_DECK with the remedy. */
status comm_open(struct comm **) MUST_USE;
/** COLLECTIVE: barrier, then finalise. */
void comm_close(struct comm *);
int comm_rank(const struct comm *);
int comm_size(const struct comm *);
const char *comm_about(const struct comm *); /* "Open MPI 4.1.4", "MPICH 4.0.2", "one process" */
/** The MPI library of this program, without starting it. Not collective. */
const char *comm_mpi_library(void);
/** Which node each rank is on (nodes numbered by their lowest rank), by shared memory domains. */
const int *comm_nodes(const struct comm *);
int comm_node_rank(const struct comm *); /* index among the ranks of this node */
int comm_node_size(const struct comm *);

/** COLLECTIVE. Each rank passes its own outcome; all return the worst code (ties: lowest rank) and
 *  hold that rank's text in their record. One small reduction if all is well. */
status comm_agree(struct comm *, status mine) MUST_USE;
void comm_barrier(struct comm *);
void comm_bcast(struct comm *, void *data, int64_t bytes, int root);
/** out [size, bytes] on every rank. */
void comm_all_gather(struct comm *, void *out, const void *in, int64_t bytes);
/** Varying sizes to rank 0: *out (owned by the caller) and bytes_of[size] on rank 0, NULL elsewhere. */
void comm_gather_v(struct comm *, char **out, int64_t *bytes_of, const void *in, int64_t bytes);
/** Element-wise over ranks, in rank order, in place. Sums of doubles gather the numbers of all ranks: for a
 *  few. Long tables are integers. */
void comm_sum_f64(struct comm *, double *x, int n);
void comm_sum_i64(struct comm *, int64_t *x, int n);
void comm_max_i64(struct comm *, int64_t *x, int n);
void comm_max_f64(struct comm *, double *x, int n);
/** Sum modulo 2^64 (weight hash). */
uint64_t comm_sum_u64(struct comm *, uint64_t x);
/** End the whole job now with this exit code (not collective). */
NORETURN void comm_abort(struct comm *, int code);

#endif
