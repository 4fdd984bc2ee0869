# shellcheck shell=bash
# Sourced by the job scripts of this folder: the environment, and what follows a leg.

# SITE: modules
# module load openmpi hdf5 libyaml jansson onednn
export OMPI_MCA_mpi_yield_when_idle=0
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1} OMP_PLACES=cores OMP_PROC_BIND=close
legs=${COPPICE_LEG:-$((${SLURM_RESTART_COUNT:-0} + 1))}

# goes_on CODE: does another leg follow? 75: stopped by the job's end or a signal, saved. 79 is RUN/stop, the user's wish: no.
goes_on() {
    [ "$1" -eq 75 ] || return 1
    [ "$legs" -ge "${COPPICE_LEGS:-100}" ] || return 0
    echo "coppice: this is leg $legs, and COPPICE_LEGS allows no more: submit the job again to continue" >&2
    return 1
}

# requeue_after CODE: this job runs again where another leg follows; then exit with the code.
requeue_after() {
    if goes_on "$1" && ! scontrol requeue "$SLURM_JOB_ID"; then
        echo "coppice: this job could not be requeued: submit it again, the same command continues" >&2
    fi
    exit "$1"
}

# on_srun ARGUMENT...: one leg. -K1: a rank that dies takes the others along. -c is not inherited by every version of srun.
on_srun() {
    srun -K1 --mpi="${COPPICE_MPI:-pmix}" --cpu-bind=cores -c "${SLURM_CPUS_PER_TASK:-1}" coppice train "$@"
}
