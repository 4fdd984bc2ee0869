/* The control plane: the choice of a transport, the nodes, and the collectives of comm.h, each made of the
 * few that a transport offers. */
#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/host.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/once.h"
#include "base/progress.h"
#include "comm/launch.h"
#include "comm/ops.h"

/* ---- opening ---- */

status comm_check_world(int size)
{
    struct launch l = comm_launch();

    if (size > 1 || l.tasks <= 1)
        return OK;
    if (l.rank > 0) /* each task takes itself for rank 0, so all but the first are silenced */
        log_open(false, true);
    return fail(E_DECK, "%s started %d tasks, MPI sees 1; try %s", l.slurm ? "srun" : "the launcher", l.tasks,
                l.slurm ? "--mpi=pmix" : "the mpirun of the MPI library that coppice was built with");
}

static void find_nodes(struct comm *comm)
{
    int size = comm_size(comm), rank = comm_rank(comm), mine = comm->ops->node_leader(comm), nodes = 0;
    int *leader = mem_new(size, sizeof *leader);

    comm->parts = spans_new(size);
    comm->node_of = mem_new(size, sizeof *comm->node_of);
    comm_all_gather(comm, leader, &mine, sizeof mine);
    for (int r = 0; r < size; r++) {
        comm->node_of[r] = leader[r] == r ? nodes++ : comm->node_of[leader[r]];
        comm->node_size += leader[r] == mine;
        comm->node_rank += r < rank && leader[r] == mine;
    }
    free(leader);
}

/* Refuse what would end MPI_Init, or the first matrix product, without a useful message. There are no ranks
 * yet: every task finds the same, and the first one reports it. */
static status check_start(const struct launch *l)
{
    status code = host_check_stack(host_stack_bytes(), "the main thread", "ulimit -s 8192");
    if (code == OK && l->slurm && l->tasks > 1 && !l->pmix && comm_mpi_needs_pmix(l->mpi))
        code = fail(E_DECK,
                    "srun started %d tasks without PMIx, and %s needs it: srun --mpi=pmix (srun --mpi=list "
                    "shows what there is)",
                    l->tasks, comm_mpi_library());
    if (code != OK && l->rank > 0)
        log_open(false, true);
    return code;
}

status comm_open(struct comm **out)
{
    struct launch l = comm_launch();
    TRY(check_start(&l));
    bool several = l.mpi || l.tasks > 1; /* one task in a Slurm step, such as a shell, needs no MPI */
    struct comm *comm = several ? comm_mpi_open() : comm_self_open();
    status outcome = comm_check_world(comm_size(comm));

    io_faults_rank(comm_rank(comm));
    find_nodes(comm);
    if (outcome == OK)
        *out = comm;
    else
        comm_close(comm);
    return outcome;
}

void comm_close(struct comm *comm)
{
    if (!comm)
        return;
    comm_barrier(comm);
    free(comm->node_of);
    spans_free(&comm->parts);
    free(comm->gathered);
    comm->ops->close(comm);
}

void comm_vendor(char out[64], const char *text)
{
    int n = 0;

    for (; *text && *text != '\n' && *text != ',' && n < 63; text++) {
        bool v = *text == 'v' && isdigit((unsigned char)text[1]);
        char c = *(text += !strncmp(text, "Version:", 8) ? 8 : v ? 1 : 0);

        if (!isspace((unsigned char)c))
            out[n++] = c;
        else if (n && out[n - 1] != ' ')
            out[n++] = ' ';
    }
    out[n] = 0;
}

/* ---- getters ---- */

int comm_rank(const struct comm *comm)
{
    return comm->world->rank;
}

int comm_size(const struct comm *comm)
{
    return comm->world->size;
}

bool comm_takes_threads(const struct comm *comm)
{
    return comm->takes_threads;
}

const char *comm_about(const struct comm *comm)
{
    return comm->about;
}

const int *comm_nodes(const struct comm *comm)
{
    return comm->node_of;
}

int comm_node_rank(const struct comm *comm)
{
    return comm->node_rank;
}

int comm_node_size(const struct comm *comm)
{
    return comm->node_size;
}

/* ---- spans ---- */

struct spans spans_new(int size)
{
    return (struct spans){mem_new(size, sizeof(int64_t)), mem_new(size, sizeof(int64_t))};
}

void spans_free(struct spans *spans)
{
    free(spans->at);
    free(spans->n);
    *spans = (struct spans){0};
}

int64_t spans_of_rows(struct spans *spans, int size, const int64_t *rows, int64_t bytes)
{
    int64_t end = 0;

    for (int r = 0; r < size; r++) {
        spans->at[r] = end;
        spans->n[r] = mem_mul(rows ? rows[r] : 1, bytes);
        end = mem_add(end, spans->n[r]);
    }
    return end;
}

/* ---- collectives ---- */

void comm_barrier(struct comm *comm)
{
    progress_enter("barrier", NULL);
    comm->ops->barrier(comm);
    progress_leave();
}

void comm_bcast(struct comm *comm, void *data, int64_t bytes, int root)
{
    progress_enter("broadcast", NULL);
    comm->ops->bcast(comm, data, bytes, root);
    progress_leave();
}

void comm_all_gather(struct comm *comm, void *out, const void *in, int64_t bytes)
{
    char *mine = (char *)out + comm_rank(comm) * bytes;

    spans_of_rows(&comm->parts, comm_size(comm), NULL, bytes);
    if (bytes && mine != in)
        memmove(mine, in, (size_t)bytes);
    progress_enter("gather", NULL);
    comm->world->ops->all_gather(comm->world, out, comm->parts);
    progress_leave();
}

void comm_gather_v(struct comm *comm, char **out, int64_t *bytes_of, const void *in, int64_t bytes)
{
    int size = comm_size(comm);
    bool root = comm_rank(comm) == 0;
    int64_t *all = mem_new(size, sizeof *all);
    struct spans recv = spans_new(size), send = spans_new(size);

    comm_all_gather(comm, all, &bytes, sizeof bytes);
    if (root) {
        *out = mem_new(spans_of_rows(&recv, size, all, 1), 1);
        memcpy(bytes_of, all, (size_t)size * sizeof *all);
        if (bytes)
            memcpy(*out, in, (size_t)bytes);
    } else {
        *out = NULL;
        send.n[0] = bytes;
    }
    progress_enter("exchange", NULL);
    comm->world->ops->exchange(comm->world, *out, recv, in, send);
    progress_leave();
    spans_free(&recv);
    spans_free(&send);
    free(all);
}

/** Join the x of all ranks. They are gathered first, so that every rank joins them in rank order. A NaN of
 * any rank makes the result NaN. For a few numbers, because each rank holds those of all. */
static void join_f64(struct comm *comm, double *x, int n, double (*join)(double, double))
{
    int64_t size = mem_mul(comm_size(comm), n);
    double *all;

    if (size > comm->gathered_n) {
        comm->gathered = mem_grow(comm->gathered, size, sizeof *comm->gathered);
        comm->gathered_n = size;
    }
    all = comm->gathered;
    comm_all_gather(comm, all, x, mem_mul(n, sizeof *x));
    for (int i = 0; i < n; i++) {
        x[i] = all[i];
        for (int r = 1; r < comm_size(comm); r++)
            x[i] = join(x[i], all[(int64_t)r * n + i]);
    }
}

static double add(double a, double b)
{
    return a + b;
}

static double larger(double a, double b)
{
    return isnan(a) || a > b ? a : b;
}

void comm_sum_f64(struct comm *comm, double *x, int n)
{
    join_f64(comm, x, n, add);
}

void comm_max_f64(struct comm *comm, double *x, int n)
{
    join_f64(comm, x, n, larger);
}

static void reduce(struct comm *comm, int64_t *x, int n, enum reduction how)
{
    progress_enter("reduction", NULL);
    comm->ops->reduce(comm, x, n, how);
    progress_leave();
}

void comm_sum_i64(struct comm *comm, int64_t *x, int n)
{
    reduce(comm, x, n, SUM);
}

void comm_max_i64(struct comm *comm, int64_t *x, int n)
{
    reduce(comm, x, n, MAX);
}

uint64_t comm_sum_u64(struct comm *comm, uint64_t x)
{
    int64_t bits = (int64_t)x;

    reduce(comm, &bits, 1, SUM);
    return (uint64_t)bits;
}

status comm_agree(struct comm *comm, status mine)
{
    /* The maximum of this integer, made of code and rank, is the worst code on the lowest rank. */
    int64_t worst = (int64_t)mine * INT_MAX + (INT_MAX - 1 - comm_rank(comm));
    int from;
    int64_t length;
    char *text;

    comm_max_i64(comm, &worst, 1);
    if (worst / INT_MAX == OK)
        return OK;
    from = (int)(INT_MAX - 1 - worst % INT_MAX);
    length = (int64_t)strlen(status_text());
    comm_bcast(comm, &length, sizeof length, from);
    text = mem_new(length + 1, 1);
    if (comm_rank(comm) == from)
        memcpy(text, status_text(), (size_t)length);
    comm_bcast(comm, text, length, from);
    status_set_text(text);
    free(text);
    return (status)(worst / INT_MAX);
}

/* What rank 0 read since the last time. COLLECTIVE. */
static void share_read(struct comm *comm)
{
    int64_t n = 0;
    char *block = comm_rank(comm) == 0 ? once_pack(&n) : NULL;

    comm_bcast(comm, &n, sizeof n, 0);
    if (!block)
        block = mem_new(n, 1);
    comm_bcast(comm, block, n, 0);
    if (comm_rank(comm) != 0)
        once_unpack(block, n);
    free(block);
}

/* `work` with the memory of base/once.h. */
static status read_once(status (*work)(void *with), void *with)
{
    once_on();
    status code = work(with);
    once_off();
    return code;
}

status comm_once(struct comm *comm, status (*work)(void *with), void *with)
{
    bool first = comm_rank(comm) == 0;

    TRY(comm_agree(comm, first ? read_once(work, with) : OK));
    share_read(comm);
    return comm_agree(comm, first ? OK : read_once(work, with));
}

void comm_abort(struct comm *comm, int code)
{
    comm->ops->abort(comm, code);
    _Exit(code);
}
