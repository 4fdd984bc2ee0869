/* One process without MPI: the only rank of a run, or, for the null device, any rank of a world whose other
 * ranks do not exist. Nothing moves. What it gathers of other ranks is what was in the buffer; sums and
 * maxima are its own numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "comm/ops.h"

static void gather_nothing(struct link *link, char *data, struct spans spans)
{
    (void)link, (void)data, (void)spans;
}

static void exchange_nothing(struct link *link, char *out, struct spans recv, const char *in,
                             struct spans send)
{
    (void)link, (void)out, (void)recv, (void)in, (void)send;
}

static void close_link(struct link *link)
{
    free(link);
}

static struct link *link_alone(int rank, int size)
{
    static const struct link_ops ops = {gather_nothing, exchange_nothing, close_link, NULL, NULL};
    struct link *link = mem_new(1, sizeof *link);

    *link = (struct link){&ops, rank, size};
    return link;
}

struct link *link_self(void)
{
    return link_alone(0, 1);
}

static struct link *new_link(struct comm *comm, int colour, int key, int size, const char *name)
{
    (void)comm, (void)colour, (void)name;
    return link_alone(key, size);
}

static void barrier(struct comm *comm)
{
    (void)comm;
}

static void bcast(struct comm *comm, char *data, int64_t bytes, int root)
{
    (void)comm, (void)data, (void)bytes, (void)root;
}

static void reduce(struct comm *comm, int64_t *x, int n, enum reduction how)
{
    (void)comm, (void)x, (void)n, (void)how;
}

static int node_leader(struct comm *comm)
{
    return comm->world->rank;
}

static void end_job(struct comm *comm, int code)
{
    (void)comm;
    fflush(NULL);
    _Exit(code);
}

static void close_alone(struct comm *comm)
{
    close_link(comm->world);
    free(comm);
}

static struct comm *open_alone(int rank, int size)
{
    static const struct comm_ops ops = {new_link, barrier, bcast, reduce, node_leader, end_job, close_alone};
    struct comm *comm = mem_new(1, sizeof *comm);

    comm->ops = &ops;
    comm->world = link_alone(rank, size);
    comm->takes_threads = true;
    return comm;
}

struct comm *comm_self_open(void)
{
    struct comm *comm = open_alone(0, 1);

    strcpy(comm->about, "one process");
    return comm;
}

struct comm *comm_null_open(int rank, int size)
{
    struct comm *comm = open_alone(rank, size);

    comm->parts = spans_new(size);
    comm->node_of = mem_new(size, sizeof *comm->node_of);
    comm->node_size = size;
    snprintf(comm->about, sizeof comm->about, "rank %d of %d, alone", rank, size);
    return comm;
}
