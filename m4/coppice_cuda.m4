# COPPICE_CUDA: is there a CUDA toolkit and NCCL? This version has no CUDA source, so nothing is linked
# with them: the summary says what was found, and asking for CUDA is an error.
AC_DEFUN([COPPICE_CUDA], [
AC_ARG_WITH([cuda], [AS_HELP_STRING([--with-cuda@<:@=PREFIX@:>@], [CUDA toolkit (default: search)])],
    [], [with_cuda=check])
AC_ARG_VAR([NVCC], [CUDA compiler])
coppice_cuda=no coppice_nccl=no
AS_CASE([$with_cuda],
    [no], [],
    [check], [
        AC_PATH_PROG([NVCC], [nvcc], [], [${CUDA_HOME:-/usr/local/cuda}/bin$PATH_SEPARATOR$PATH])
        AS_IF([test -n "$NVCC"], [
            coppice_cuda="not used: toolkit found ($NVCC), but this version has no CUDA device"
            coppice_save_CPPFLAGS=$CPPFLAGS
            CPPFLAGS="$CPPFLAGS -I`dirname $NVCC`/../include"
            AC_PREPROC_IFELSE([AC_LANG_SOURCE([[#include <nccl.h>]])], [coppice_nccl="not used: found"])
            CPPFLAGS=$coppice_save_CPPFLAGS])],
    [AC_MSG_ERROR([--with-cuda=$with_cuda: this version of Coppice has no CUDA device; leave the option out])])
])
