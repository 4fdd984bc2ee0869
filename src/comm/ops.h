/* What a transport must offer, inside the room only. Two ways to move bytes among some ranks (a
 * link: the world's, and one for each group) are enough: comm.c and group.c build every collective
 * on them, with each rank's own part already copied and every sum made in rank order. A transport
 * for device memory is one more struct link_ops. */
#ifndef COMM_OPS_H
#define COMM_OPS_H
#include "comm/comm.h"

/* Member r's message is n[r] bytes at byte at[r] of a buffer. Arrays of the link's size. */
struct spans {
    int64_t *at, *n;
};
struct spans spans_new(int size);
void spans_free(struct spans *);
/** rows[r] rows (NULL: one each) of `bytes` bytes, one member after the other. Returns the total. */
int64_t spans_of_rows(struct spans *, int size, const int64_t *rows, int64_t bytes);

struct link;
struct link_ops {
    /** On return `data` holds every member's span; the caller has put this rank's own there. */
    void (*all_gather)(struct link *, char *data, struct spans);
    /** Sends in's spans to, and receives out's spans from, the other members. Own spans are skipped. */
    void (*exchange)(struct link *, char *out, struct spans recv, const char *in, struct spans send);
    void (*close)(struct link *);
};
struct link { /* the first member of each implementation's struct */
    const struct link_ops *ops;
    int rank, size;
};

enum reduction { SUM, MAX };
struct comm_ops {
    /** A link among the ranks that pass the same colour, ordered by key. Collective over the world. */
    struct link *(*link)(struct comm *, int colour, int key, const char *name);
    void (*barrier)(struct comm *);
    void (*bcast)(struct comm *, char *data, int64_t bytes, int root);
    /** Integers, so that the order does not matter; a sum is modulo 2^64. */
    void (*reduce)(struct comm *, int64_t *x, int n, enum reduction);
    int (*node_leader)(struct comm *);      /* the lowest rank on this rank's node */
    void (*abort)(struct comm *, int code); /* does not return */
    void (*close)(struct comm *);           /* also frees; no barrier */
};
struct comm { /* the first member of each implementation's struct */
    const struct comm_ops *ops;
    struct link *world;
    char about[64];
    int *node_of;       /* [size] */
    struct spans parts; /* of the gather in progress, [size] */
    double *gathered;   /* [gathered_n] numbers of all ranks that are being joined; it only grows */
    int64_t gathered_n;
    int node_rank, node_size;
};

struct comm *comm_self_open(void);
struct comm *comm_mpi_open(void);
/** Does MPI_Init of this library fail in a Slurm step that offers no PMI? Others find Slurm by themselves. */
bool comm_mpi_needs_pmix(void);
struct link *link_self(void); /* of one rank: nothing to move */
/** Did the launcher start as many tasks as MPI sees? E_DECK with the remedy if it sees one of several. */
status comm_check_world(int size) MUST_USE;
/** "Open MPI 4.1.4" from the many lines of MPI_Get_library_version. */
void comm_vendor(char out[64], const char *library_version);

#endif
