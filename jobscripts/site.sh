# shellcheck shell=bash
# What differs from site to site, in one place. Sourced by common.sh. Account, partition, nodes, ranks and cores stand in the
# #SBATCH lines of each script, because Slurm reads those before any shell does.

# SITE: modules, and where coppice is
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
