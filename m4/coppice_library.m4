# Libraries. What is missing is collected, and told all at once at the end.
#
# COPPICE_MISSING(WHAT, DEBIAN, RHEL, SPACK): remember that WHAT is missing, and who packages it.
AC_DEFUN([COPPICE_MISSING], [coppice_missing="$coppice_missing
  $1
      Debian: $2    RHEL: $3    Spack: $4"])

# COPPICE_STOP_IF_MISSING: one message for all that is missing.
AC_DEFUN([COPPICE_STOP_IF_MISSING], [AS_IF([test -n "$coppice_missing"], [AC_MSG_ERROR([missing:
$coppice_missing

Install these (or load their modules). A library in an unusual place is named by --with-NAME=PREFIX, or by
NAME_CFLAGS and NAME_LIBS. What was tried stands in config.log.])])])

# COPPICE_REQUIRE and COPPICE_DETECT(OPTION, VARIABLE, PLACES, HEADER, CALL, DEBIAN, RHEL, SPACK)
# Find a library by linking CALL. PLACES, in order: pkg:MODULE (pkg-config), show:TOOL (a compiler
# wrapper with -show), lib:-lA,-lB (the compiler's own path). --with-OPTION=PREFIX or VARIABLE_LIBS
# replace them; PREFIX holds include and lib or lib64, or what Debian's packages unpack to (lib/TRIPLET,
# hdf5/serial). Sets VARIABLE_CFLAGS, VARIABLE_LIBS and coppice_OPTION (what was found, or no); DETECT also
# defines HAVE_VARIABLE. A missing library is an error if it is required or was asked for.
AC_DEFUN([COPPICE_REQUIRE], [_COPPICE_LIBRARY([$1], [$2], [$3], [$4], [$5])
AS_IF([test "$coppice_$1" = no], [COPPICE_MISSING([$1 ($4)$coppice_asked], [$6], [$7], [$8])])])

AC_DEFUN([COPPICE_DETECT], [_COPPICE_LIBRARY([$1], [$2], [$3], [$4], [$5])
AS_IF([test "$coppice_$1" != no], [AC_DEFINE([HAVE_$2], [1], [Define if $1 is there.])],
      [test "x$with_$1" != xcheck && test "x$with_$1" != xno],
      [COPPICE_MISSING([$1 ($4)$coppice_asked], [$6], [$7], [$8])])])

AC_DEFUN([_COPPICE_LIBRARY], [
AC_ARG_WITH([$1], [AS_HELP_STRING([--with-$1@<:@=PREFIX@:>@], [where $1 is installed (default: search)])],
    [], [with_$1=check])
AC_ARG_VAR([$2_CFLAGS], [compiler flags for $1, instead of a search])
AC_ARG_VAR([$2_LIBS], [linker flags for $1, instead of a search])
AC_MSG_CHECKING([for $1])
AS_CASE([$with_$1],
    [no], [coppice_places=],
    [yes|check], [coppice_places="$3"],
    [coppice_places=`for p in $3; do echo $p; done | sed -n 's/^lib:/prefix:/p'`])
AS_IF([test -n "$$2_LIBS"], [coppice_places=given])
AS_CASE([$with_$1], [check|no], [coppice_asked=], [coppice_asked=", asked for by --with-$1=$with_$1"])
coppice_$1=no
for coppice_place in $coppice_places; do
    coppice_libs=`echo $coppice_place | sed 's/^[[a-z]]*://; s/,/ /g'`
    coppice_cflags=
    AS_CASE([$coppice_place],
        [given], [coppice_cflags=$$2_CFLAGS coppice_libs=$$2_LIBS],
        [prefix:*], [
            for coppice_dir in "$with_$1/include" "$with_$1/include/hdf5/serial"; do
                AS_IF([test -f "$coppice_dir/$4"], [coppice_cflags="-I$coppice_dir"; break])
            done
            AS_IF([test -n "$coppice_cflags"], [], [continue])
            for coppice_dir in "$with_$1"/lib/*-linux-*/hdf5/serial "$with_$1"/lib/*-linux-* \
                "$with_$1/lib64" "$with_$1/lib"; do
                AS_IF([test -d "$coppice_dir"], [coppice_libs="-L$coppice_dir -Wl,-rpath,$coppice_dir $coppice_libs"])
            done],
        [pkg:*], [
            AS_IF([test -n "$PKG_CONFIG" && $PKG_CONFIG --exists $coppice_libs], [], [continue])
            coppice_cflags=`$PKG_CONFIG --cflags $coppice_libs` coppice_libs=`$PKG_CONFIG --libs $coppice_libs`],
        [show:*], [
            coppice_show=`$coppice_libs -show 2> /dev/null` || continue
            coppice_cflags= coppice_libs=
            for coppice_word in $coppice_show; do
                AS_CASE([$coppice_word],
                    [-I*|-D*], [coppice_cflags="$coppice_cflags $coppice_word"],
                    [-L*|-l*|-Wl*|*.a|*.so], [coppice_libs="$coppice_libs $coppice_word"])
            done])
    coppice_save_CPPFLAGS=$CPPFLAGS coppice_save_LIBS=$LIBS
    CPPFLAGS="$CPPFLAGS $coppice_cflags" LIBS="$coppice_libs $LIBS"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <$4>]], [[(void)($5);]])], [coppice_$1="yes ($coppice_place)"])
    CPPFLAGS=$coppice_save_CPPFLAGS LIBS=$coppice_save_LIBS
    AS_IF([test "$coppice_$1" != no], [$2_CFLAGS=$coppice_cflags $2_LIBS=$coppice_libs; break])
done
AC_MSG_RESULT([$coppice_$1])
])

# COPPICE_STARTS(VARIABLE...): does a program linked with these libraries start (coppice_starts)? A library in
# a prefix may need another one there, and an rpath names it for direct needs only.
AC_DEFUN([COPPICE_STARTS], [
AC_MSG_CHECKING([whether programs linked with these libraries start])
coppice_save_LIBS=$LIBS
for coppice_word in $1; do
    eval "LIBS=\"\$${coppice_word}_LIBS \$LIBS\""
done
AC_RUN_IFELSE([AC_LANG_SOURCE([[int H5open(void);
int main(void) { return H5open() < 0; }]])], [coppice_starts=yes], [coppice_starts=no],
    [coppice_starts="not tried: cross compiling"])
LIBS=$coppice_save_LIBS
AC_MSG_RESULT([$coppice_starts])
])
