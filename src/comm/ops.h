/* What a transport must offer, inside the room only. Two ways to move bytes among some ranks (a
 * link: the world's, and one for each group) are enough: comm.c and group.c build every collective
 * on them, with each rank's own part already copied and every sum made in rank order. A transport
 * for device memory is one more struct link_ops. */
#ifndef COMM_OPS_H
#define COMM_OPS_H
#include "base/dtype.h"
#include "comm/comm.h"

/* The span of member r is the n[r] bytes at byte at[r] of a buffer. The arrays have the link's size. */
struct spans {
    int64_t *at, *n;
};
struct spans spans_new(int size);
void spans_free(struct spans *);
/** Set the spans to rows[r] rows (NULL: one row each) of `bytes` bytes, one member after the other. Returns
 * the total.
 */
int64_t spans_of_rows(struct spans *, int size, const int64_t *rows, int64_t bytes);

struct link;
struct link_ops {
    /** Gather the spans of all members in `data`. The caller has put this rank's own span there. */
    void (*all_gather)(struct link *, char *data, struct spans);
    /** Send the spans of `in` to the other members, and receive those of `out` from them. This rank's own
     * spans are skipped. */
    void (*exchange)(struct link *, char *out, struct spans recv, const char *in, struct spans send);
    void (*close)(struct link *);
    /* Sums by the transport itself, in whatever order it adds; NULL: comm/sum.c makes them. `n` elements. */
    /** out [n] = the sum over members of this rank's part of in [size * n]. */
    void (*reduce_scatter)(struct link *, void *out, const void *in, int64_t n, dtype);
    /** x [n] = the sum over members. */
    void (*all_reduce)(struct link *, void *x, int64_t n, dtype);
};
struct link { /* the first member of each implementation's struct */
    const struct link_ops *ops;
    int rank, size;
};

enum reduction { SUM, MAX };
struct comm_ops {
    /** Make a link among the `size` ranks that pass the same colour, ordered by key. Collective over the
     * world.
     */
    struct link *(*link)(struct comm *, int colour, int key, int size, const char *name);
    void (*barrier)(struct comm *);
    void (*bcast)(struct comm *, char *data, int64_t bytes, int root);
    /** Reduce integers, whose sum does not depend on the order; it is modulo 2^64. */
    void (*reduce)(struct comm *, int64_t *x, int n, enum reduction);
    int (*node_leader)(struct comm *);      /* the lowest rank on this rank's node */
    void (*abort)(struct comm *, int code); /* does not return */
    void (*close)(struct comm *);           /* frees too; without a barrier */
};
struct comm { /* the first member of each implementation's struct */
    const struct comm_ops *ops;
    struct link *world;
    char about[64];
    int *node_of;       /* [size] */
    struct spans parts; /* [size], of the gather in progress */
    double *gathered;   /* [gathered_n] for the numbers of all ranks that are being joined; it only grows */
    int64_t gathered_n;
    int node_rank, node_size;
    bool takes_threads;
};

struct comm *comm_self_open(void);
struct comm *comm_mpi_open(void);
/** Does MPI_Init of this library fail in a Slurm step without PMIx? `pmi`: the step offers PMI-1 or PMI-2.
 * Libraries other than Open MPI need no PMIx. */
bool comm_mpi_needs_pmix(bool pmi);
struct link *link_self(void); /* a link of one rank, which moves nothing */
/** E_DECK with the remedy if a launcher started several tasks and MPI sees only one. */
status comm_check_world(int size) MUST_USE;
/** "Open MPI 4.1.4" from the many lines of MPI_Get_library_version. */
void comm_vendor(char out[64], const char *library_version);

#endif
