/* Who started this process, by the variables of Open MPI, PMI, PMIx, PALS and Slurm. It calls nothing of MPI,
 * so it works before MPI_Init and in commands without MPI. Not collective. */
#ifndef COMM_LAUNCH_H
#define COMM_LAUNCH_H
#include <stdbool.h>
#include "base/status.h"

struct launch {
    int tasks;  /* how many tasks were started together; 1 if unknown */
    int rank;   /* which of them this is; 0 if unknown */
    bool mpi;   /* a launcher of MPI programs set a variable */
    bool slurm; /* this is a step of Slurm */
    bool pmix;  /* the launcher of MPI programs speaks PMIx */
};

struct launch comm_launch(void);
/** For commands that write without MPI: E_DECK if several tasks were started, because each would write the
 * same files. The message is "`does` on one rank, and ...; start it without a launcher`otherwise`". All tasks
 * but the first are silenced. */
status comm_one_task(const char *does, const char *otherwise) MUST_USE;

#endif
