/* The transport over MPI, in host memory and blocking. This is the only file that includes mpi.h. Errors of
 * MPI are fatal (exit code 74), because nothing useful can be done after a broken collective. */
#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "comm/ops.h"

/* The longest transfer that is passed to MPI as a count of bytes. Tests make it smaller. */
#ifndef MPI_LONGEST
#    define MPI_LONGEST INT_MAX
#endif

struct mpi_link {
    struct link link;
    MPI_Comm on;
    MPI_Request *request; /* [2 * size] */
    int *count, *at;      /* [size] */
};

struct mpi_comm {
    struct comm comm;
    MPI_Comm on; /* a duplicate of MPI_COMM_WORLD; the world's link owns it */
};

static MPI_Comm on(struct comm *comm)
{
    return ((struct mpi_comm *)comm)->on;
}

/* ---- sizes: here 64-bit numbers of bytes become MPI's ints ---- */

struct unit {
    MPI_Datatype type;
    int64_t bytes;
};

static int as_int(int64_t n)
{
    if (n < 0 || n > INT_MAX)
        bug("comm: %lld does not fit MPI's counts", (long long)n);
    return (int)n;
}

static int64_t gcd(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* A type of any number of bytes: blocks of 1 GiB, then the rest. */
static MPI_Datatype block_type(int64_t bytes)
{
    const int gib = 1 << 30;
    MPI_Datatype part[2] = {MPI_DATATYPE_NULL, MPI_BYTE}, whole;
    int n[2] = {as_int(bytes / gib), (int)(bytes % gib)};
    MPI_Aint at[2] = {0, (MPI_Aint)n[0] * gib};

    MPI_Type_contiguous(gib, MPI_BYTE, &part[0]);
    MPI_Type_create_struct(2, n, at, part, &whole);
    MPI_Type_commit(&whole);
    MPI_Type_free(&part[0]);
    return whole;
}

/** The unit in which MPI counts n spans: bytes if their numbers fit an int, else the largest block that
 * divides all spans. */
static struct unit unit_of(const int64_t *at, const int64_t *bytes, int n)
{
    int64_t end = 0, common = 0;

    for (int i = 0; i < n; i++)
        end = bytes[i] && at[i] + bytes[i] > end ? at[i] + bytes[i] : end;
    if (end <= MPI_LONGEST)
        return (struct unit){MPI_BYTE, 1};
    for (int i = 0; i < n; i++)
        common = bytes[i] ? gcd(gcd(common, at[i]), bytes[i]) : common;
    return (struct unit){block_type(common), common};
}

static struct unit unit_of_one(int64_t bytes)
{
    return unit_of(&(int64_t){0}, &bytes, 1);
}

static void unit_free(struct unit *unit)
{
    if (unit->type != MPI_BYTE)
        MPI_Type_free(&unit->type);
}

/* ---- a link ---- */

static void all_gather(struct link *link, char *data, struct spans spans)
{
    struct mpi_link *mpi = (struct mpi_link *)link;
    struct unit unit = unit_of(spans.at, spans.n, link->size);

    for (int i = 0; i < link->size; i++) {
        mpi->count[i] = as_int(spans.n[i] / unit.bytes);
        mpi->at[i] = mpi->count[i] ? as_int(spans.at[i] / unit.bytes) : 0;
    }
    MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, data, mpi->count, mpi->at, unit.type, mpi->on);
    unit_free(&unit);
}

static void exchange(struct link *link, char *out, struct spans recv, const char *in, struct spans send)
{
    struct mpi_link *mpi = (struct mpi_link *)link;
    int posted = 0;

    for (int i = 1; i < link->size; i++) { /* each rank begins with another partner */
        int from = (link->rank + link->size - i) % link->size, to = (link->rank + i) % link->size;
        struct unit coming = unit_of_one(recv.n[from]), going = unit_of_one(send.n[to]);

        if (recv.n[from])
            MPI_Irecv(out + recv.at[from], as_int(recv.n[from] / coming.bytes), coming.type, from, 0, mpi->on,
                      &mpi->request[posted++]);
        if (send.n[to])
            MPI_Isend(in + send.at[to], as_int(send.n[to] / going.bytes), going.type, to, 0, mpi->on,
                      &mpi->request[posted++]);
        unit_free(&coming); /* MPI itself keeps the type until the transfer ends */
        unit_free(&going);
    }
    MPI_Waitall(posted, mpi->request, MPI_STATUSES_IGNORE);
}

static void close_link(struct link *link)
{
    struct mpi_link *mpi = (struct mpi_link *)link;

    MPI_Comm_free(&mpi->on);
    free(mpi->request);
    free(mpi->count);
    free(mpi->at);
    free(mpi);
}

static struct link *link_on(MPI_Comm members)
{
    static const struct link_ops ops = {all_gather, exchange, close_link, NULL, NULL};
    struct mpi_link *mpi = mem_new(1, sizeof *mpi);

    mpi->link.ops = &ops;
    mpi->on = members;
    MPI_Comm_rank(members, &mpi->link.rank);
    MPI_Comm_size(members, &mpi->link.size);
    mpi->request = mem_new(mem_mul(2, mpi->link.size), sizeof *mpi->request);
    mpi->count = mem_new(mpi->link.size, sizeof *mpi->count);
    mpi->at = mem_new(mpi->link.size, sizeof *mpi->at);
    return &mpi->link;
}

/* ---- the world ---- */

static struct link *new_link(struct comm *comm, int colour, int key, int size, const char *name)
{
    MPI_Comm members;

    (void)size; /* it counts itself */
    MPI_Comm_split(on(comm), colour, key, &members);
    MPI_Comm_set_name(members, name);
    return link_on(members);
}

static void barrier(struct comm *comm)
{
    MPI_Barrier(on(comm));
}

static void bcast(struct comm *comm, char *data, int64_t bytes, int root)
{
    struct unit unit = unit_of_one(bytes);

    MPI_Bcast(data, as_int(bytes / unit.bytes), unit.type, root, on(comm));
    unit_free(&unit);
}

static void reduce(struct comm *comm, int64_t *x, int n, enum reduction how)
{
    if (how == SUM) /* an unsigned sum wraps, and has the bits of the signed sum if that does not overflow */
        MPI_Allreduce(MPI_IN_PLACE, x, n, MPI_UINT64_T, MPI_SUM, on(comm));
    else
        MPI_Allreduce(MPI_IN_PLACE, x, n, MPI_INT64_T, MPI_MAX, on(comm));
}

static int node_leader(struct comm *comm)
{
    int leader = comm->world->rank;
    MPI_Comm node;

    MPI_Comm_split_type(on(comm), MPI_COMM_TYPE_SHARED, leader, MPI_INFO_NULL, &node);
    MPI_Bcast(&leader, 1, MPI_INT, 0, node);
    MPI_Comm_free(&node);
    return leader;
}

static void end_job(struct comm *comm, int code)
{
    fflush(NULL);
    MPI_Abort(on(comm), code);
}

static void close_mpi(struct comm *comm)
{
    close_link(comm->world);
    free(comm);
    MPI_Finalize();
}

/* MPI calls this on an error of a communicator, with more arguments than are needed here. */
static void die(MPI_Comm *where, int *error, ...)
{
    char text[MPI_MAX_ERROR_STRING] = "", name[MPI_MAX_OBJECT_NAME] = "";
    int length, rank;

    MPI_Error_string(*error, text, &length);
    MPI_Comm_get_name(*where, name, &length);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    fprintf(stderr, "coppice: rank %d: communication failed (%s): %s\n", rank, name, text);
    fflush(NULL);
    MPI_Abort(MPI_COMM_WORLD, E_COMM);
    _Exit(E_COMM);
}

static MPI_Comm duplicate_world(void)
{
    MPI_Comm world;
    MPI_Errhandler handler;

    MPI_Comm_create_errhandler(die, &handler);
    MPI_Comm_dup(MPI_COMM_WORLD, &world);
    MPI_Comm_set_name(world, "world");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, handler); /* also for errors of datatypes */
    MPI_Comm_set_errhandler(world, handler);          /* all communicators made from it inherit this */
    MPI_Errhandler_free(&handler);
    return world;
}

struct comm *comm_mpi_open(void)
{
    static const struct comm_ops ops = {new_link, barrier, bcast, reduce, node_leader, end_job, close_mpi};
    struct mpi_comm *mpi = mem_new(1, sizeof *mpi);
    char version[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int threads, length;

    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &threads);
    if (threads < MPI_THREAD_FUNNELED)
        log_warn("this MPI library does not promise to work in a program with threads");
    mpi->comm.takes_threads = threads >= MPI_THREAD_FUNNELED;
    mpi->comm.ops = &ops;
    mpi->on = duplicate_world();
    mpi->comm.world = link_on(mpi->on);
    MPI_Get_library_version(version, &length);
    comm_vendor(mpi->comm.about, version);
    return &mpi->comm;
}

const char *comm_mpi_library(void)
{
    static char about[64];
    char version[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length;
    MPI_Get_library_version(version, &length); /* this call is legal before MPI_Init */
    comm_vendor(about, version);
    return about;
}

/* Open MPI up to version 4 may have been built with Slurm's PMI-1 or PMI-2: it then has these components, and
 * each has variables. MPI_T may be asked before MPI_Init. */
static bool open_mpi_takes_pmi(void)
{
    static const char *const component[] = {"pmix_s1_", "pmix_s2_", "pmix_cray_"};
    int threads, n = 0, verbosity, bind, scope, length;
    bool takes = false;
    if (MPI_T_init_thread(MPI_THREAD_SINGLE, &threads) != MPI_SUCCESS)
        return true;
    MPI_T_cvar_get_num(&n);
    for (int i = 0; i < n; i++) {
        char name[64] = "";
        MPI_Datatype type;
        MPI_T_enum set;
        length = sizeof name;
        MPI_T_cvar_get_info(i, name, &length, &verbosity, &type, &set, NULL, NULL, &bind, &scope);
        for (size_t c = 0; c < sizeof component / sizeof *component; c++)
            takes = takes || !strncmp(name, component[c], strlen(component[c]));
    }
    MPI_T_finalize();
    return takes;
}

bool comm_mpi_needs_pmix(bool pmi)
{
    bool open_mpi = !strncmp(comm_mpi_library(), "Open MPI", strlen("Open MPI"));
    return open_mpi && !(pmi && open_mpi_takes_pmi());
}
