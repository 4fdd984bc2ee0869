/* coppice plan --job: an sbatch script with the plan's numbers, as the site wants it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"
#include "cmd/plan.h"

/* How the site starts ranks. */
static void print_launcher(const struct site *s)
{
    const char *flags = site_get(s, "launcher_flags");
    if (strcmp(site_get(s, "launcher"), "srun") == 0)
        printf("srun -K1 --mpi=%s --cpu-bind=cores", site_get(s, "mpi"));
    else
        printf("mpirun --bind-to core");
    printf("%s%s", flags ? " " : "", flags ? flags : "");
}

/* Arguments of train, quoted for a shell. */
static void print_command(const struct options *o, const struct site *s)
{
    print_launcher(s);
    printf(" coppice train");
    for (int i = 0; i < o->n_files; i++)
        printf(" '%s'", o->files[i]);
    for (int i = 0; i < o->n_set; i++)
        printf(" --set '%s'", o->set[i]);
    printf("\n");
}

static void print_request(const struct planner *p, const struct site *s, double nodes, double seconds,
                          double warn)
{
    int minutes = (int)ceil(seconds / 60);
    const char *account = site_get(s, "account"), *partitions = site_get(s, "partitions");
    if (account)
        printf("#SBATCH --account=%s\n", account);
    if (partitions)
        printf("#SBATCH --partition=%.*s\n", (int)strcspn(partitions, " "), partitions);
    printf(
        "#SBATCH --job-name=%s\n#SBATCH --nodes=%.0f\n#SBATCH --ntasks=%d\n#SBATCH --ntasks-per-node=%.0f\n",
        p->deck.name, nodes, p->ranks, fmin(p->machine.node, p->ranks));
    if (p->deck.device.type != DEVICE_CPU)
        printf("#SBATCH --gpus-per-task=1\n");
    printf("#SBATCH --exclusive\n#SBATCH --mem=0\n#SBATCH --hint=nomultithread\n");
    printf("#SBATCH --time=%02d:%02d:00\n#SBATCH --signal=USR1@%.0f\n", minutes / 60, minutes % 60, warn);
    printf("#SBATCH --requeue\n#SBATCH --open-mode=append\n#SBATCH --output=%%x-%%j.log\n");
}

/* The whole run with its band and a start of ten minutes, or legs of a day; a warning before a leg's end that
 * leaves time for a step and two saves. */
void planner_job(const struct planner *p, const struct plan_page *g)
{
    const double day = 86400, least = 900;
    const struct outlook *o = &g->outlook;
    const struct site *s = &p->site;
    double all = o->run_seconds * (1 + p->machine.band) + 600, leg = fmin(day, fmax(all, least));
    double warn = ceil(60 + g->plan->step * (1 + p->machine.band) + 2 * o->checkpoint_seconds);
    char memory[32], run[32];
    printf("#!/bin/bash\n# Written by coppice plan for %s; jobscripts/README.md says what else a site may "
           "want.\n",
           g->machine->name);
    printf("# Predicted: %.4g s a step, %s for the run (%.4g node-hours), %s a rank; legs: %.0f.\n",
           g->plan->step, text_time(run, o->run_seconds), o->node_hours,
           text_bytes(memory, plan_memory(g->plan)), ceil(all / leg));
    print_request(p, s, o->nodes, leg, warn);
    printf("export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1} OMP_PLACES=cores OMP_PROC_BIND=close\n");
    const char *modules = site_get(s, "modules");
    if (modules)
        printf("module load %s\n", modules);
    print_command(p->options, s);
    printf("code=$?\n[ $code -ne 75 ] || scontrol requeue \"$SLURM_JOB_ID\"\nexit $code\n");
}
