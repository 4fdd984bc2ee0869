# COPPICE_MPI: $CC must compile and link MPI 3; which MPI it is (coppice_cv_mpi), and how tests are started.
AC_DEFUN([COPPICE_MPI], [
AC_ARG_VAR([MPIEXEC], [launcher of MPI programs in make check])
AC_ARG_VAR([MPIEXEC_FLAGS], [its flags])
AC_CACHE_CHECK([which MPI $CC builds for], [coppice_cv_mpi], [
    coppice_cv_mpi=none
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <mpi.h>
#if MPI_VERSION < 3
#error MPI 3 is needed
#endif]], [[MPI_Init(0, 0);]])], [
        coppice_cv_mpi=unknown
        AC_COMPUTE_INT([coppice_version], [OMPI_MAJOR_VERSION], [#include <mpi.h>], [coppice_version=0])
        AS_IF([test "$coppice_version" -gt 0], [coppice_cv_mpi="Open MPI $coppice_version"],
            [AC_PREPROC_IFELSE([AC_LANG_SOURCE([[#include <mpi.h>
#ifndef MPICH_VERSION
#error another MPI
#endif]])], [coppice_cv_mpi=MPICH])])])])
AS_IF([test "$coppice_cv_mpi" = none],
    [COPPICE_MISSING([MPI 3: CC=$CC does not build MPI programs (set CC to the MPI compiler wrapper, e.g. CC=mpicc)],
                     [libopenmpi-dev openmpi-bin], [openmpi-devel, then: module load mpi], [openmpi])])
# The launcher beside the wrapper, with its suffix: mpicc.mpich, mpiexec.mpich. Another MPI's would start
# single ranks.
AS_IF([test -z "$MPIEXEC"], [
    set dummy $CC
    coppice_launcher=`echo "$[2]" | sed -n 's|mpi[[^/.]]*cc|mpiexec|p'`
    AS_IF([test -n "$coppice_launcher" && command -v "$coppice_launcher" > /dev/null 2>&1],
        [MPIEXEC=$coppice_launcher])])
AC_CHECK_PROGS([MPIEXEC], [mpiexec mpirun srun], [no])
# MPI_STATUSES_IGNORE of MPICH is the address 1, which GCC takes for an array without room.
AS_CASE([$coppice_cv_mpi], [MPICH], [COPPICE_ADD_CFLAGS([-Wno-stringop-overflow])])
AS_CASE([$coppice_cv_mpi,${MPIEXEC_FLAGS+given}], ["Open MPI"*,], [MPIEXEC_FLAGS="--oversubscribe --bind-to none"])
])
