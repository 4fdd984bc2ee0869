# COPPICE_CUDA: the CUDA toolkit with cuBLASLt's header (HAVE_CUDA, CUDA_CFLAGS, CUDA_LIBS, NVCC, NVCC_GENCODE), and
# NCCL's header (HAVE_NCCL). The run time is linked statically, cuBLASLt, NCCL and cuDNN are opened when a device
# is, and the driver is never linked: one program serves machines with and without all of them. Found, they are used;
# --with-cuda and --with-nccl demand them or take a prefix, --without-cuda leaves them; CUDA_ARCH the architectures.
AC_DEFUN([COPPICE_CUDA], [
AC_ARG_WITH([cuda], [AS_HELP_STRING([--with-cuda@<:@=PREFIX@:>@], [the CUDA toolkit, for GPUs (default: search)])],
    [], [with_cuda=check])
AC_ARG_WITH([nccl], [AS_HELP_STRING([--with-nccl@<:@=PREFIX@:>@], [NCCL (default: search, where CUDA is)])],
    [], [with_nccl=check])
AC_ARG_VAR([NVCC], [CUDA compiler])
AC_ARG_VAR([NVCCFLAGS], [its flags])
AC_ARG_VAR([CUDA_ARCH], [compute capabilities to build kernels for (default: "80 90"); newer cards use the last one's PTX])
: ${NVCCFLAGS="-O3 -lineinfo"} ${CUDA_ARCH="80 90"}
coppice_cuda=no coppice_nccl=no CUDA_CFLAGS= CUDA_LIBS= NVCC_GENCODE=
for coppice_arch in $CUDA_ARCH; do
    NVCC_GENCODE="$NVCC_GENCODE -gencode arch=compute_$coppice_arch,code=sm_$coppice_arch"
done
NVCC_GENCODE="$NVCC_GENCODE -gencode arch=compute_$coppice_arch,code=compute_$coppice_arch"
AS_CASE([$with_cuda],
    [no], [coppice_cuda_text="no (--without-cuda)"],
    [AS_CASE([$with_cuda], [yes|check], [coppice_dir=${CUDA_HOME:-/usr/local/cuda}], [coppice_dir=$with_cuda])
    AS_IF([test -z "$NVCC"], [AC_PATH_PROG([NVCC], [nvcc], [], [$coppice_dir/bin$PATH_SEPARATOR$PATH])])
    AS_IF([test -n "$NVCC"], [_COPPICE_CUDA_TRY], [coppice_cuda_text="no (no nvcc in CUDA_HOME or PATH)"])
    AS_IF([test "$coppice_cuda" != no], [coppice_cuda_text=$coppice_cuda], [test "$with_cuda" != check],
        [COPPICE_MISSING([CUDA toolkit with nvcc, cuBLASLt and a C++ compiler, asked for by --with-cuda=$with_cuda],
                         [nvidia-cuda-toolkit], [cuda-toolkit], [cuda])])])
AS_IF([test "$coppice_cuda" != no], [
    AC_DEFINE([HAVE_CUDA], [1], [Define if the CUDA device is built.])
    AS_IF([test "x$with_nccl" != xno], [_COPPICE_NCCL_TRY])])
AS_IF([test "$coppice_nccl" = no],
    [AS_CASE([$with_nccl], [check|no], [],
        [COPPICE_MISSING([NCCL (nccl.h), asked for by --with-nccl=$with_nccl], [libnccl-dev], [libnccl-devel], [nccl])])])
AC_SUBST([CUDA_CFLAGS])
AC_SUBST([CUDA_LIBS])
AC_SUBST([NVCC_GENCODE])
AM_CONDITIONAL([HAVE_CUDA], [test "$coppice_cuda" != no])
AM_CONDITIONAL([HAVE_NCCL], [test "$coppice_nccl" != no])
])

# _COPPICE_CUDA_TRY: beside nvcc (the last word of NVCC), C links with the run time and finds cuBLASLt's header, and
# nvcc compiles a kernel.
AC_DEFUN([_COPPICE_CUDA_TRY], [
AC_MSG_CHECKING([for CUDA])
coppice_dir=$(cd "$(dirname "$(command -v "${NVCC##* }")")/.." && pwd)
CUDA_CFLAGS="-isystem $coppice_dir/include" CUDA_LIBS=
AS_IF([test "$coppice_dir" = /usr], [CUDA_CFLAGS=])
for coppice_lib in $coppice_dir/lib64 $coppice_dir/lib $coppice_dir/targets/*/lib /usr/lib/*-linux-*; do
    AS_IF([test -f $coppice_lib/libcudart_static.a],
        [CUDA_LIBS="-L$coppice_lib -Wl,-rpath,$coppice_lib"; break])
done
CUDA_LIBS="$CUDA_LIBS -lcudart_static -lstdc++ -ldl -lrt -lpthread"
coppice_save_CPPFLAGS=$CPPFLAGS coppice_save_LIBS=$LIBS
CPPFLAGS="$CPPFLAGS $CUDA_CFLAGS" LIBS="$CUDA_LIBS $LIBS"
AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <cuda_runtime_api.h>
#include <cublasLt.h>]], [[return cudaGetDeviceCount(0);]])], [
    echo '__global__ void k(float *x) { *x = 0; } void f(float *x) { k<<<1, 1>>>(x); }' > conftest.cu
    AS_IF([$NVCC $NVCC_GENCODE $NVCCFLAGS -std=c++17 -ccbin "$CXX" -c -o conftest.o conftest.cu >&AS_MESSAGE_LOG_FD 2>&1],
        [coppice_cuda="$NVCC for sm $CUDA_ARCH"],
        [coppice_cuda_text="no ($NVCC does not compile a kernel for sm $CUDA_ARCH with $CXX; see config.log)"])
    rm -f conftest.cu conftest.o],
    [coppice_cuda_text="no ($NVCC is there, but not all of the headers of CUDA and cuBLASLt and libcudart_static.a)"])
CPPFLAGS=$coppice_save_CPPFLAGS LIBS=$coppice_save_LIBS
AC_MSG_RESULT([$coppice_cuda])
AS_IF([test "$coppice_cuda" = no], [CUDA_CFLAGS= CUDA_LIBS=])
])

AC_DEFUN([_COPPICE_NCCL_TRY], [
AC_MSG_CHECKING([for NCCL])
AS_CASE([$with_nccl], [yes|check], [coppice_cflags= coppice_libs=],
    [coppice_cflags="-I$with_nccl/include" coppice_libs="-Wl,-rpath,$with_nccl/lib"])
coppice_save_CPPFLAGS=$CPPFLAGS
CPPFLAGS="$CPPFLAGS $coppice_cflags $CUDA_CFLAGS"
AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[#include <nccl.h>]], [[return ncclGetVersion(0);]])], [
    coppice_nccl=yes
    CUDA_CFLAGS="$coppice_cflags $CUDA_CFLAGS" CUDA_LIBS="$coppice_libs $CUDA_LIBS"
    AC_DEFINE([HAVE_NCCL], [1], [Define if NCCL is there.])])
CPPFLAGS=$coppice_save_CPPFLAGS
AC_MSG_RESULT([$coppice_nccl])
])
