# shellcheck shell=bash
# What differs from site to site. Sourced by common.sh. What the site file PREFIX/etc/coppice/site.yaml says is read here
# (coppice site show); the lines below are for what it does not say. Account, partition, nodes, ranks and cores stand in
# the #SBATCH lines of each script, because Slurm reads those before any shell does; `eval "$(coppice site show --shell)"`
# before sbatch gives it the site's account and partition.

# The program beside installed job scripts, if no other is loaded.
command -v coppice > /dev/null || [ ! -x "$here/../../../bin/coppice" ] || PATH=$here/../../../bin:$PATH

# Modules first, with a plain sed, which sees a list in one line: without them the program may not start.
site=${COPPICE_SITE:-$here/../../../etc/coppice/site.yaml}
[ -r "$site" ] || site=/etc/coppice/site.yaml
modules=$(sed -n 's/^modules: *\([^#]*\).*/\1/p' "$site" 2> /dev/null | tr -d '[]"' | tr , ' ')
# shellcheck disable=SC2086
[ -z "$modules" ] || module load $modules
command -v coppice > /dev/null && eval "$(coppice site show --shell)"
# shellcheck disable=SC2086
[ -n "$modules" ] || [ -z "${COPPICE_MODULES:-}" ] || module load $COPPICE_MODULES

# SITE: modules, and where coppice is, if there is no site file
# module load openmpi hdf5 libyaml jansson onednn
# export PATH=$HOME/coppice/bin:$PATH

# SITE: how srun starts MPI programs (srun --mpi=list): pmix for Open MPI, pmi2 or cray_shasta for MPICH
COPPICE_MPI=${COPPICE_MPI:-pmix}

# SITE: what MPI and OpenMP need here
export OMPI_MCA_mpi_yield_when_idle=0
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1} OMP_PLACES=cores OMP_PROC_BIND=close

# SITE: legs that follow each other at most, and legs in a row that fail and are tried again
COPPICE_LEGS=${COPPICE_LEGS:-100}
COPPICE_RETRIES=${COPPICE_RETRIES:-3}
