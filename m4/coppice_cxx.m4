# COPPICE_CXX: is there a C++ compiler of this machine (HAVE_CXX)? The CUDA kernels are tested by it, without
# CUDA (validation/cuda-on-cpu). The program itself is C where CUDA is not used.
AC_DEFUN([COPPICE_CXX], [
AC_LANG_PUSH([C++])
AC_MSG_CHECKING([whether $CXX compiles C++17 for tests of CUDA kernels])
coppice_save_CXXFLAGS=$CXXFLAGS
CXXFLAGS="$CXXFLAGS -std=gnu++17"
AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[#include <tuple>
#if !defined __linux__ || !(defined __x86_64__ || defined __aarch64__)
#error the emulation switches stacks of these processors
#endif]], [[auto [a, b] = std::make_tuple(1, 2); return a - b;]])],
    [coppice_cxx="$CXX: kernels are tested on the CPU"],
    [coppice_cxx="no: kernels are not tested (install g++)"])
AC_MSG_RESULT([$coppice_cxx])
CXXFLAGS="$coppice_save_CXXFLAGS -fsanitize=thread"
AC_MSG_CHECKING([whether $CXX -fsanitize=thread links])
AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [coppice_race=yes], [coppice_race=no])
AC_MSG_RESULT([$coppice_race])
CXXFLAGS=$coppice_save_CXXFLAGS
AC_LANG_POP([C++])
AM_CONDITIONAL([HAVE_CXX], [test "x${coppice_cxx%%:*}" != xno])
AM_CONDITIONAL([HAVE_RACE], [test "x${coppice_cxx%%:*}" != xno && test "$coppice_race" = yes])
])
