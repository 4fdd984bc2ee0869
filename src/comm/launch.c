/* Who started this process, by the variables that launchers set. */
#include "comm/launch.h"

#include <stdlib.h>
#include "base/log.h"

/* The variables of the nearest launcher come first, because mpirun may run inside a Slurm step. */
static const struct {
    const char *name;
    enum { HERE, TASKS, RANK, STEP_TASKS, STEP_RANK } says;
    bool pmix;
} variable[] = {
    {"OMPI_COMM_WORLD_SIZE", TASKS, true},
    {"OMPI_COMM_WORLD_RANK", RANK, true},
    {"PMI_SIZE", TASKS, false},
    {"PMI_RANK", RANK, false},
    {"PMI_FD", HERE, false},
    {"PMIX_NAMESPACE", HERE, true},
    {"PMIX_RANK", RANK, true},
    {"PALS_RANKID", RANK, false},
    {"SLURM_STEP_NUM_TASKS", STEP_TASKS, false},
    {"SLURM_PROCID", STEP_RANK, false},
};

struct launch comm_launch(void)
{
    struct launch l = {.tasks = -1, .rank = -1};
    for (size_t i = 0; i < sizeof variable / sizeof *variable; i++) {
        const char *value = getenv(variable[i].name);
        if (!value)
            continue;
        l.pmix = l.pmix || variable[i].pmix;
        l.mpi = l.mpi || variable[i].says < STEP_TASKS;
        l.slurm = l.slurm || variable[i].says == STEP_TASKS;
        if (l.tasks < 0 && (variable[i].says == TASKS || variable[i].says == STEP_TASKS))
            l.tasks = atoi(value);
        if (l.rank < 0 && (variable[i].says == RANK || variable[i].says == STEP_RANK))
            l.rank = atoi(value);
    }
    l.tasks = l.tasks > 0 ? l.tasks : 1;
    l.rank = l.rank > 0 ? l.rank : 0;
    return l;
}

status comm_one_task(const char *does, const char *otherwise)
{
    struct launch l = comm_launch();
    if (l.tasks <= 1 && l.rank == 0)
        return OK;
    if (l.rank > 0) /* each task takes itself for the only one, so all but the first are silenced */
        log_open(false, true);
    return fail(E_DECK, "%s on one rank, and %s started %d tasks; start it without a launcher%s", does,
                l.slurm ? "srun" : "the launcher", l.tasks > l.rank ? l.tasks : l.rank + 1, otherwise);
}
