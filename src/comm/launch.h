/* Who started this process, by the variables of Open MPI, PMI, PMIx, PALS and Slurm. Nothing of MPI is
 * touched: good before MPI_Init and in commands that never call it. Not collective. */
#ifndef COMM_LAUNCH_H
#define COMM_LAUNCH_H
#include <stdbool.h>
#include "base/status.h"

struct launch {
    int tasks;  /* how many were started together, 1 if nobody says */
    int rank;   /* which of them this is, 0 if nobody says */
    bool mpi;   /* a launcher of MPI programs left a variable */
    bool slurm; /* inside a step of Slurm */
};

struct launch comm_launch(void);
/** For commands that write without MPI: E_DECK if several tasks were started, since each would write the
 *  same files. The message is "`does` on one rank, and ...; start it without a launcher`otherwise`". Tasks
 * but the first fall silent. */
status comm_one_task(const char *does, const char *otherwise) MUST_USE;

#endif
