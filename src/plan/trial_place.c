/* Where ranks are: hosts, cores, threads, clocks, programs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/host.h"
#include "base/log.h"
#include "base/mem.h"
#include "plan/trial.h"

static const double most_skew = 1; /* s: locks and logs compare clocks of nodes; a beat is 20 s */

/* What a rank tells of itself. */
struct place {
    struct host_cores cores;
    int threads;
    char host[64], program[512];
};

static void show(const struct comm *comm, const struct place *all)
{
    char cores[64];
    for (int r = 0; r < comm_size(comm); r++)
        log_say("rank %d %s node %d cores %s threads %d", r, all[r].host, comm_nodes(comm)[r],
                host_cores_text(&all[r].cores, cores), all[r].threads);
}

static bool is_crowded(const struct comm *comm, const struct place *all)
{
    int n = comm_size(comm), *threads = mem_new(n, sizeof *threads);
    struct host_cores *cores = mem_new(n, sizeof *cores);
    for (int r = 0; r < n; r++) {
        threads[r] = all[r].threads;
        cores[r] = all[r].cores;
    }
    bool crowded = host_is_crowded(cores, comm_nodes(comm), threads, n, comm_rank(comm));
    free(threads);
    free(cores);
    return crowded;
}

static void check_binding(struct trial *t, const struct place *all)
{
    const struct place *mine = &all[comm_rank(t->comm)];
    char cores[64], text[192];
    snprintf(text, sizeof text,
             "%s: %d threads on cores %s, which others share: bind ranks to cores of their own", mine->host,
             mine->threads, host_cores_text(&mine->cores, cores));
    trial_check(t, "binding", !is_crowded(t->comm, all), text, "no core has more threads than one");
}

static void check_program(struct trial *t, const struct place *all)
{
    char text[256];
    int me = comm_rank(t->comm);
    snprintf(text, sizeof text, "%s has %.150s, and rank 0 another", all[me].host, all[me].program);
    trial_check(t, "program", !strcmp(all[me].program, all[0].program), text,
                "all ranks have the same program and libraries");
}

/* Wall clocks against rank 0's, as near as a barrier brings them together. */
static void check_clocks(struct trial *t, const struct place *all)
{
    struct timespec now;
    char text[192];
    int me = comm_rank(t->comm);
    comm_barrier(t->comm);
    clock_gettime(CLOCK_REALTIME, &now);
    double *time = mem_new(comm_size(t->comm), sizeof *time),
           mine = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec + trial_fault(t, "skew");
    comm_all_gather(t->comm, time, &mine, sizeof mine);
    double skew = fabs(time[me] - time[0]);
    free(time);
    snprintf(text, sizeof text, "the clock of %s differs by %.1f s from that of %s: is NTP at work?",
             all[me].host, skew, all[0].host);
    trial_check(t, "clocks", skew <= most_skew, text, "clocks differ by less than a second");
    trial_figure(t, "clock_skew", skew, "s", LOWER);
}

status trial_place(struct trial *t)
{
    struct place mine = {.threads = dev_threads(t->dev)}, *all = mem_new(comm_size(t->comm), sizeof *all);
    host_cores(&mine.cores);
    host_name(mine.host);
    snprintf(mine.program, sizeof mine.program, "%s%s", trial_fault(t, "other") > 0 ? "another build, " : "",
             t->program);
    comm_all_gather(t->comm, all, &mine, sizeof mine);
    show(t->comm, all);
    check_program(t, all);
    trial_check(t, "threads", comm_takes_threads(t->comm), "MPI gives no MPI_THREAD_FUNNELED",
                "MPI works in a program with threads");
    check_binding(t, all);
    check_clocks(t, all);
    free(all);
    return OK;
}
