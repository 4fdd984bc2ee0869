/* The control plane on any number of ranks. On one rank it also checks the transport without MPI and the
 * messages of opening. Expected values are computed here from the ranks' numbers. */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "comm/launch.h"
#include "comm/ops.h"
#include "tap_ranks.h"

static void check_moves(struct comm *c)
{
    int me = comm_rank(c), size = comm_size(c);
    int64_t all[64] = {0}, mine = 100 + me, bytes_of[64], at = 0;
    char text[300], *gathered;
    bool good = true;

    for (int root = 0; root < size; root++) {
        int64_t x[2] = {me, -me};
        comm_bcast(c, x, sizeof x, root);
        good &= x[0] == root && x[1] == -root;
    }
    comm_bcast(c, NULL, 0, 0);
    ok(good, "bcast from every root, and of nothing");

    comm_all_gather(c, all, &mine, sizeof mine);
    good = true;
    for (int r = 0; r < size; r++)
        good &= all[r] == 100 + r;
    all[me] = -me;
    comm_all_gather(c, all, &all[me], sizeof mine); /* from its own place */
    for (int r = 0; r < size; r++)
        good &= all[r] == -r;
    ok(good, "all_gather, also in place");

    memset(text, 'a' + me, sizeof text);
    comm_gather_v(c, &gathered, bytes_of, text, 100 * (int64_t)(me % 3)); /* ranks 0 and 3 have nothing */
    good = (me == 0) == (gathered != NULL);
    for (int r = 0; r < size && me == 0; at += bytes_of[r++])
        for (int64_t i = (good &= bytes_of[r] == 100 * (r % 3), 0); good && i < bytes_of[r]; i++)
            good &= gathered[at + i] == 'a' + r;
    ok(good, "gather_v of uneven and of no bytes");
    free(gathered);
}

static void check_reductions(struct comm *c)
{
    int me = comm_rank(c), size = comm_size(c);
    double x[3] = {1.0 / (1 + me), 1e16 * (me % 2 ? -1 : 1) + me, me}, sum[3] = {0};
    double big[2] = {-1.0 - me, me == size - 1 ? (double)NAN : 0};
    int64_t n[2] = {me + 1, -(int64_t)me}, most[2] = {me, -me - 5};

    for (int r = 0; r < size; r++) { /* in rank order, as the header promises */
        double term[3] = {1.0 / (1 + r), 1e16 * (r % 2 ? -1 : 1) + r, r};
        for (int i = 0; i < 3; i++)
            sum[i] = r ? sum[i] + term[i] : term[i];
    }
    comm_sum_f64(c, x, 3);
    ok(!memcmp(x, sum, sizeof x), "sum_f64 has the bits of a sum in rank order");
    comm_max_f64(c, big, 2);
    ok(fabs(big[0] + 1) == 0 && isnan(big[1]), "max_f64, where a NaN wins");
    comm_sum_i64(c, n, 2);
    ok(n[0] == size * (size + 1) / 2 && n[1] == -size * (size - 1) / 2, "sum_i64");
    comm_max_i64(c, most, 2);
    ok(most[0] == size - 1 && most[1] == -5, "max_i64");
    ok(comm_sum_u64(c, UINT64_MAX - (uint64_t)me) == (uint64_t)-size - (uint64_t)(size * (size - 1) / 2),
       "sum_u64 is modulo 2^64");
}

static void check_nodes(struct comm *c)
{
    const int *node = comm_nodes(c);
    int here = 0, before = 0, top = -1;
    bool numbered = true;

    for (int r = 0; r < comm_size(c); r++) {
        numbered &= node[r] >= 0 && node[r] <= top + 1;
        top = node[r] > top ? node[r] : top;
        here += node[r] == node[comm_rank(c)];
        before += node[r] == node[comm_rank(c)] && r < comm_rank(c);
    }
    ok(numbered && node[0] == 0, "nodes are numbered by their lowest rank");
    ok(here == comm_node_size(c) && before == comm_node_rank(c),
       "node_rank and node_size fit the list of nodes");
}

/** Rank r passes code[r % n] with a text of its own: everybody must see `want` of rank `who`. */
static void check_agreement(struct comm *c, const status *code, int n, status want, int who, const char *what)
{
    char text[64];
    status mine = code[comm_rank(c) % n], all;

    status_set_text("");
    if (mine != OK)
        mine = fail(mine, "rank %d says %s", comm_rank(c), status_name(mine));
    all = comm_agree(c, mine);
    snprintf(text, sizeof text, "rank %d says %s", who, status_name(want));
    ok(all == want && (want == OK || !strcmp(status_text(), text)), "agree: %s", what);
}

static void check_agreements(struct comm *c)
{
    int last = comm_size(c) - 1;
    status worst[64] = {OK};

    check_agreement(c, (status[]){OK}, 1, OK, 0, "all is well");
    check_agreement(c, (status[]){E_DATA}, 1, E_DATA, 0, "a tie goes to the lowest rank");
    worst[last] = E_NOCKPT;
    check_agreement(c, worst, 64, E_NOCKPT, last, "the last rank alone");
    worst[0] = E_DECK;
    check_agreement(c, worst, 64, last ? E_NOCKPT : E_DECK, last, "the worst code, not the lowest rank");
    if (comm_size(c) >= 3)
        check_agreement(c, (status[]){OK, E_SPACE, E_SPACE}, 3, E_SPACE, 1, "two of three tie");
    status_set_text("");
    ok(comm_agree(c, comm_rank(c) == last ? E_BUG : OK) == E_BUG && !strcmp(status_text(), ""),
       "agree: an empty text");
}

static void check_vendors(void)
{
    static const char *const text[][2] = {
        {"Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4, repo rev: v4.1.4, May 26, 2022",
         "Open MPI 4.1.4"},
        {"MPICH Version:\t4.0.2\nMPICH Release date:\tThu Apr  7 12:34:45 CDT 2022\n", "MPICH 4.0.2"},
        {"Intel(R) MPI Library 2021.9 for Linux* OS\n\n", "Intel(R) MPI Library 2021.9 for Linux* OS"},
        {"MPI VERSION    : CRAY MPICH version 8.1.25.17 (ANL base 3.4a2)\nMPI BUILD INFO :",
         "MPI VERSION : CRAY MPICH version 8.1.25.17 (ANL base 3.4a2)"},
    };
    char out[64];

    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        comm_vendor(out, text[i][0]);
        ok(!strcmp(out, text[i][1]), "vendor: %s", out);
    }
}

/* What launchers set; all are taken away for a start without one. */
static const char *const traces[] = {"OMPI_COMM_WORLD_SIZE",
                                     "OMPI_COMM_WORLD_RANK",
                                     "PMIX_RANK",
                                     "PMIX_NAMESPACE",
                                     "PMI_RANK",
                                     "PMI_SIZE",
                                     "PMI_FD",
                                     "SLURM_STEP_NUM_TASKS",
                                     "SLURM_PROCID",
                                     "PALS_RANKID"};
enum { TRACES = sizeof traces / sizeof *traces };

static void hide_launcher(char *saved[TRACES])
{
    for (int i = 0; i < TRACES; i++) {
        saved[i] = mem_text(getenv(traces[i]));
        unsetenv(traces[i]);
    }
}

static void show_launcher(char *saved[TRACES])
{
    for (int i = 0; i < TRACES; i++)
        if (saved[i])
            setenv(traces[i], saved[i], 1);
        else
            unsetenv(traces[i]);
}

/* What a launcher leaves, and what follows. Every row begins without any variable. */
static void check_one_task(void)
{
    static const struct {
        const char *what, *set[4][2];
        struct launch is;
    } row[] = {
        {"no launcher", {{0}}, {1, 0, false, false, false}},
        {"mpirun, Open MPI",
         {{"OMPI_COMM_WORLD_SIZE", "3"}, {"OMPI_COMM_WORLD_RANK", "2"}},
         {3, 2, true, false, true}},
        {"mpiexec, hydra",
         {{"PMI_FD", "9"}, {"PMI_SIZE", "3"}, {"PMI_RANK", "0"}},
         {3, 0, true, false, false}},
        {"srun --mpi=pmix",
         {{"PMIX_RANK", "1"}, {"PMIX_NAMESPACE", "x"}, {"SLURM_STEP_NUM_TASKS", "2"}, {"SLURM_PROCID", "1"}},
         {2, 1, true, true, true}},
        {"srun --mpi=pmi2",
         {{"PMI_FD", "9"}, {"PMI_RANK", "1"}, {"SLURM_STEP_NUM_TASKS", "2"}, {"SLURM_PROCID", "1"}},
         {2, 1, true, true, false}},
        {"srun --mpi=none",
         {{"SLURM_STEP_NUM_TASKS", "2"}, {"SLURM_PROCID", "0"}},
         {2, 0, false, true, false}},
        {"prterun, second task", {{"PMIX_RANK", "1"}, {"PMIX_NAMESPACE", "x"}}, {1, 1, true, false, true}},
        {"PALS, second task", {{"PALS_RANKID", "1"}}, {1, 1, true, false, false}},
        {"a batch script", {{"SLURM_PROCID", "0"}}, {1, 0, false, false, false}},
        {"mpirun -n 1 in a step of 64",
         {{"OMPI_COMM_WORLD_SIZE", "1"},
          {"OMPI_COMM_WORLD_RANK", "0"},
          {"SLURM_STEP_NUM_TASKS", "64"},
          {"SLURM_PROCID", "5"}},
         {1, 0, true, true, true}},
    };
    bool speaks = log_speaks();
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        for (int k = 0; k < 4 && row[i].set[k][0]; k++)
            setenv(row[i].set[k][0], row[i].set[k][1], 1);
        struct launch l = comm_launch();
        status code = comm_one_task("it works", "");
        ok(l.tasks == row[i].is.tasks && l.rank == row[i].is.rank && l.mpi == row[i].is.mpi &&
               l.slurm == row[i].is.slurm && l.pmix == row[i].is.pmix &&
               code == (l.tasks > 1 || l.rank > 0 ? E_DECK : OK),
           "%s: %d tasks, rank %d, code %d", row[i].what, l.tasks, l.rank, code);
        for (int k = 0; k < TRACES; k++)
            unsetenv(traces[k]);
    }
    log_open(speaks, false);
}

static void check_launchers(struct comm *c)
{
    char *saved[TRACES];
    struct comm *alone = NULL;

    hide_launcher(saved);
    check_one_task();
    ok(comm_open(&alone) == OK && !strcmp(comm_about(alone), "one process"),
       "no launcher: one process without MPI");
    tap_open(alone);
    check_moves(alone);
    check_reductions(alone);
    check_nodes(alone);
    check_agreements(alone);
    tap_open(c);
    comm_close(alone);

    ok(comm_check_world(1) == OK, "one task, one rank");
    setenv("SLURM_STEP_NUM_TASKS", "64", 1);
    ok(comm_check_world(1) == E_DECK &&
           !strcmp(status_text(), "srun started 64 tasks, MPI sees 1; try --mpi=pmix"),
       "srun without PMI: %s", status_text());
    ok(comm_check_world(64) == OK, "srun with PMI");
    setenv("PMI_FD", "9", 1); /* --mpi=pmi2 */
    ok(!comm_mpi_needs_pmix(true) ||
           (comm_open(&alone) == E_DECK && strstr(status_text(), "srun --mpi=pmix")),
       "srun with PMI-2: told before MPI_Init where the library cannot use it");
    unsetenv("PMI_FD");
    setenv("SLURM_STEP_NUM_TASKS", "1", 1);
    ok(comm_open(&alone) == OK && !strcmp(comm_about(alone), "one process"),
       "a Slurm step of one task needs no MPI");
    comm_close(alone);
    setenv("SLURM_STEP_NUM_TASKS", "64", 1);
    setenv("OMPI_COMM_WORLD_SIZE", "1", 1);
    ok(comm_check_world(1) == OK, "mpirun -n 1 inside a Slurm step of 64 tasks");
    show_launcher(saved);
    for (int i = 0; i < TRACES; i++)
        free(saved[i]);
}

int main(void)
{
    struct comm *c;

    if (comm_open(&c) != OK) {
        fprintf(stderr, "%s\n", status_text());
        return 1;
    }
    tap_open(c);
    check_moves(c);
    check_reductions(c);
    check_nodes(c);
    check_agreements(c);
    check_vendors();
    if (comm_size(c) == 1)
        check_launchers(c);
    comm_barrier(c);
    return tap_done();
}
