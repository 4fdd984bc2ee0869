# COPPICE_ADD_CFLAGS(FLAGS): append to COPPICE_CFLAGS those flags that the compiler accepts.
AC_DEFUN([COPPICE_ADD_CFLAGS], [
for coppice_flag in m4_normalize([$1]); do
    AC_MSG_CHECKING([whether $CC accepts $coppice_flag])
    coppice_save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -Werror $coppice_flag"
    AC_LINK_IFELSE([AC_LANG_SOURCE([[int main(void) { return 0; }]])],
        [AC_MSG_RESULT([yes]); COPPICE_CFLAGS="$COPPICE_CFLAGS $coppice_flag"],
        [AC_MSG_RESULT([no])])
    CFLAGS=$coppice_save_CFLAGS
done
])
