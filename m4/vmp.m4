# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.

# VMP_WITH_DIR(OPTION, WHAT, PREFIX)
# --with-OPTION=DIR: sets PREFIX_CPPFLAGS and PREFIX_LDFLAGS.
AC_DEFUN([VMP_WITH_DIR], [
    AC_ARG_WITH([$1],
        [AS_HELP_STRING([--with-$1=DIR],
            [$2 is installed in DIR @<:@the compiler's own directories@:>@])],
        [], [with_$1=yes])
    AS_CASE([$with_$1],
        [yes], [],
        [no], [AC_MSG_ERROR([Virtuoso cannot be built without $2])],
        [/*], [
            AS_IF([test -d "$with_$1/include"], [],
                [AC_MSG_ERROR([--with-$1=$with_$1: no directory $with_$1/include])])
            # -isystem: the warnings that we ask for are for our own code
            $3_CPPFLAGS="-isystem $with_$1/include"
            vmp_triplet=`$CC -print-multiarch 2>/dev/null`
            for vmp_dir in lib lib64 "lib/$vmp_triplet"; do
                AS_IF([test -d "$with_$1/$vmp_dir"],
                    [$3_LDFLAGS="$$3_LDFLAGS -L$with_$1/$vmp_dir"])
            done],
        [AC_MSG_ERROR([--with-$1=$with_$1: the directory must be an absolute path])])
    AC_SUBST([$3_CPPFLAGS])
    AC_SUBST([$3_LDFLAGS])
])

# VMP_NEED(HEADER, LIBRARY, FUNCTION, PACKAGE, OPTION, PREFIX)
# Ends configure with the package's name if header or library is missing.
AC_DEFUN([VMP_NEED], [
    vmp_save_CPPFLAGS=$CPPFLAGS
    vmp_save_LDFLAGS=$LDFLAGS
    vmp_save_LIBS=$LIBS
    CPPFLAGS="$CPPFLAGS $$6_CPPFLAGS"
    LDFLAGS="$LDFLAGS $$6_LDFLAGS"
    AC_CHECK_HEADER([$1], [],
        [AC_MSG_ERROR([<$1> not found: install it (Debian: apt-get install $4) or say where it is (--with-$5=DIR)])])
    AC_CHECK_LIB([$2], [$3], [],
        [AC_MSG_ERROR([lib$2 not found: install it (Debian: apt-get install $4) or say where it is (--with-$5=DIR)])])
    CPPFLAGS=$vmp_save_CPPFLAGS
    LDFLAGS=$vmp_save_LDFLAGS
    LIBS=$vmp_save_LIBS
])

# VMP_CHECK_CFLAG(FLAG): adds FLAG to VMP_CFLAGS if the compiler knows it.
AC_DEFUN([VMP_CHECK_CFLAG], [
    AS_VAR_PUSHDEF([vmp_cache], [vmp_cv_cflag_$1])
    AC_CACHE_CHECK([whether $CC takes $1], [vmp_cache], [
        vmp_save_CFLAGS=$CFLAGS
        CFLAGS="$CFLAGS -Werror $1"
        AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
            [AS_VAR_SET([vmp_cache], [yes])], [AS_VAR_SET([vmp_cache], [no])])
        CFLAGS=$vmp_save_CFLAGS])
    AS_VAR_IF([vmp_cache], [yes], [VMP_CFLAGS="$VMP_CFLAGS $1"])
    AS_VAR_POPDEF([vmp_cache])
])
