#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
# See file LICENSE for terms.
#
# shellcheck shell=bash disable=SC2034 # names are used across the parts
#
# Our own software, built natively in a suite's tree (chroot), and the agent.

# The agent that runs commands in guests, and runs QEMU here: static, one
# program for this machine and all suites
lab_agent()
{
    local sum dir

    sum=$(cat "$LAB_DIR"/agent/*.[ch] | sha256sum | cut -c1-10)
    dir=$LAB_CACHE/agent-$sum
    LAB_AGENT=$dir/vmplab-agent
    [ -x "$LAB_AGENT" ] && return 0
    mkdir -p "$dir"
    gcc -std=c11 -O2 -g -Wall -static -o "$LAB_AGENT.tmp" \
        "$LAB_DIR"/agent/*.c || lab_die "cannot compile contrib/lab/agent"
    mv "$LAB_AGENT.tmp" "$LAB_AGENT"
}

# Root looks at somebody's checkout, for which git would refuse its owner
lab_git()
{
    git -c safe.directory="$LAB_SOURCE" -C "$LAB_SOURCE" "$@"
}

# Without git: all files but what autogen.sh, configure and make leave, which
# would be newer than what it was made from, and of another suite
lab_source_find()
{
    (cd "$LAB_SOURCE" &&
     find . \( -path ./.git -o -path ./build -o -path ./config -o \
               -name autom4te.cache -o -name .libs -o -name .deps -o \
               -name Testing -o -name __pycache__ \) -prune -o \
          -type f ! -name '*.o' ! -name '*.lo' ! -name '*.la' ! -name '*.a' \
          ! -name '*.so' ! -name '*.so.*' ! -name '*.log' ! -name '*.trs' \
          ! -name '*.tar.gz' ! -name '*.tar.xz' ! -name '*~' \
          ! -name Makefile ! -name Makefile.in ! -name .dirstamp \
          ! -name stamp-h1 ! -path ./aclocal.m4 ! -path ./configure \
          ! -path './config.*' ! -path ./libtool ! -path ./m4/libtool.m4 \
          ! -path './m4/lt*.m4' ! -path ./CTestTestfile.cmake \
          ! -path './test/sim_*' ! -path './test/vmp_*' \
          \( -name '*.sh' -o ! -path './test/test_*' \) \
          ! -path ./test/ctest-list.txt ! -path ./src/preload/vmprun \
          ! -path ./src/preload/vmp.pc -printf '%P\n')
}

# Lists the checkout's files: what git knows or would add; without git, all
lab_source_list()
{
    # Not a repository that merely holds an unpacked release
    if lab_git ls-files --error-unmatch configure.ac >/dev/null 2>&1; then
        lab_git -c core.quotePath=false ls-files -co --exclude-standard
    else
        lab_source_find
    fi | LC_ALL=C sort -u | while IFS= read -r file; do
        # git still lists files that were removed but not committed
        [ ! -f "$LAB_SOURCE/$file" ] || printf '%s\n' "$file"
    done
}

# What a build depends on, apart from the suite's tree
lab_source_sum()
{
    (cd "$LAB_SOURCE" &&
     xargs -d '\n' stat -c '%n %s %Y %Z %a' <"$1" | sha256sum)
}

# Brings the copy of the sources up to date, keeping the times of files that
# did not change, so that make does only what is needed. The checkout itself
# is never written to.
lab_source_copy()
{
    local dir=$1 file

    lab_source_list >"$dir/list.new"
    if [ -e "$dir/list" ]; then
        LC_ALL=C comm -23 "$dir/list" "$dir/list.new" |
            while IFS= read -r file; do
                rm -f "$dir/src/$file"
            done
    fi
    # Not cp --parents: after making a directory it fails on existing files
    # (coreutils 9.1). The format keeps fractions of seconds.
    tar -C "$LAB_SOURCE" --format=posix --no-recursion --verbatim-files-from \
        -T "$dir/list.new" -cf - |
        tar -C "$dir/src" --no-same-owner -xf -
    mv "$dir/list.new" "$dir/list"
}

# Everything is private to this step's mount namespace and goes away with it
lab_build_mounts()
{
    local tree=$1 dir=$2 root=$2/root

    mkdir -p "$root"
    mount --bind "$tree" "$root"
    mount -o remount,bind,ro "$root"
    mount --rbind /dev "$root/dev"
    mount -t proc proc "$root/proc"
    mount -t tmpfs tmpfs "$root/tmp"
    mount --bind "$dir/src" "$root/vmp/src"
    mount --bind "$dir/obj" "$root/vmp/obj"
    mount --bind "$dir/install" "$root/opt/vmp"
}

# What runs in the suite's tree. Configures again when a build file changed.
lab_build_script()
{
    cat <<'END'
set -eu
cd /vmp/src
newer=
if [ -e /vmp/obj/config.status ]; then
    newer=$(find . \( -name configure.ac -o -name '*.am' -o -name '*.m4' \
                      -o -name autogen.sh \) -newer /vmp/obj/config.status \
                 ! -name aclocal.m4 ! -path './autom4te.cache/*' | sed -n 1p)
fi
if [ ! -e /vmp/obj/config.status ] || [ ! -e configure ] ||
   [ -n "$newer" ]; then
    rm -f /vmp/obj/config.status
    ./autogen.sh
    cd /vmp/obj
    /vmp/src/configure --prefix=/opt/vmp --enable-lab-tests "$@"
fi
cd /vmp/obj
make -j"$(nproc)"
make install
END
}

# The tests that need no device, with the suite's UCX. The random programs are
# the same anywhere: some of them, for the suite's compiler.
lab_build_check_script()
{
    cat <<'END'
set -eu
export VMP_TEST_ROUNDS=1500
cd /vmp/obj
make -s -j"$(nproc)" all
make -s -j"$(nproc)" -C test check VERBOSE=1
END
}

# lab_build_run TREE DIRECTORY SCRIPT: in a step of its own; SCRIPT is the name
# of a function that prints it
lab_build_run()
{
    local tree=$1 dir=$2 script=$3

    lab_build_mounts "$tree" "$dir"
    "$script" >"$dir/obj/.$script.sh"
    # shellcheck disable=SC2086 # configure's arguments are words
    chroot "$dir/root" /usr/bin/env -i HOME=/tmp LC_ALL=C.UTF-8 \
        PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        /bin/bash "/vmp/obj/.$script.sh" ${VMPLAB_CONFIGURE_ARGS:-}
}

# Sets tree and dir, the directories of a suite and of our build for it
lab_build_paths()
{
    local sum

    tree=$(lab_rootfs_path "$1")
    sum=$(echo "$LAB_SOURCE $tree ${VMPLAB_CONFIGURE_ARGS:-}" | sha256sum |
          cut -c1-10)
    dir=$LAB_CACHE/build/$1-$sum
}

# Builds and installs the checkout for a suite; leaves the directory that
# guests see as /opt/vmp in $LAB_VMP
lab_build()
{
    local suite=$1 tree dir sum

    if [ "${VMPLAB_NO_BUILD:-0}" = 1 ] ||
       [ ! -e "$LAB_SOURCE/configure.ac" ]; then
        LAB_VMP=$LAB_CACHE/empty
        mkdir -p "$LAB_VMP"
        lab_say "without a build of our own: VMPLAB_NO_BUILD is set, or the" \
                "checkout has no configure.ac"
        return 0
    fi

    lab_build_paths "$suite"
    LAB_VMP=$dir/install
    mkdir -p "$dir"/{src,obj,install}

    lab_source_list >"$dir/list.now"
    sum=$(lab_source_sum "$dir/list.now")
    rm -f "$dir/list.now"
    [ "$(cat "$dir/done" 2>/dev/null)" != "$sum" ] || return 0
    rm -f "$dir/done"
    lab_source_copy "$dir"
    lab_say "building for $suite"
    lab_step "$LAB_CACHE/log/build-$suite.log" "build for $suite" \
             "$LAB_SELF" _build_run "$tree" "$dir" lab_build_script
    echo "$sum" >"$dir/done"
}

# Runs the unit tests in a suite's tree; its build is there
lab_build_check()
{
    local suite=$1 tree dir log=$LAB_CACHE/log/check-$1.log

    lab_build_paths "$suite"
    [ -e "$dir/done" ] || lab_die "there is no build for $suite"
    lab_step "$log" "unit tests on $suite" \
             "$LAB_SELF" _build_run "$tree" "$dir" lab_build_check_script
    grep -aE '^(PASS|SKIP|FAIL|# [A-Z]+): ' "$log" || true
}
