#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# Builds and linters as tests: stage.sh NAME SRCDIR BUILDDIR. Each build has a
# directory of its own in BUILDDIR/stage, which is kept, so that the next run
# does only what is new.

set -eu

name=$1
src=$2
build=$3
jobs=${VMP_JOBS:-$(nproc)}

skip() {
    echo "skipped: $1"
    exit 77
}

need() {
    command -v "$1" >/dev/null || skip "no $1: apt-get install $2"
}

# Sanitizers want a predictable address space; not allowed in some containers
quiet_aslr() {
    if setarch "$(uname -m)" -R true 2>/dev/null; then
        setarch "$(uname -m)" -R "$@"
    else
        "$@"
    fi
}

# configured OPTION...: cd to a build directory with these options
configured() {
    mkdir -p "$build/stage/$name"
    cd "$build/stage/$name"
    if [ "$(cat options 2>/dev/null)" != "$*" ] || [ ! -e config.status ] ||
        [ "$src/configure" -nt config.status ]; then
        rm -f options
        "$src/configure" "$@" >configure.out 2>&1 || {
            tail -n 40 configure.out
            echo "see $PWD/config.log"
            exit 1
        }
        echo "$*" >options
    fi
}

# checked PROGRAMS [MAKE_ARGUMENT...]: so many of the random programs; all of them
# are run in the build that is tested first
checked() {
    export VMP_TEST_ROUNDS=${VMP_TEST_ROUNDS:-$1}
    shift
    quiet_aslr make -s -j"$jobs" all
    # Without the other directories' "Nothing to be done"
    quiet_aslr make -s -j"$jobs" check VERBOSE=1 "$@"
}

lint_shell() {
    local files
    mapfile -t files < <(cd "$src" && grep -rlE -m1 \
        '^#!(/bin/|/usr/bin/env )(ba|)sh' autogen.sh contrib test .ci |
        grep -v -e '\.orig$' -e '~$')
    cd "$src"
    # Parts that are sourced are looked at with the program that sources them
    shellcheck -S warning "${files[@]}"
    shellcheck -S warning -s sh src/preload/vmprun.in
    echo "${#files[@]} scripts"
}

# The product only: tests pass NULL and garbage on purpose. The headers of UCX
# are not read, so its version has to be given; the newest that we know.
lint_c() {
    local minor

    cd "$src"
    minor=$(sed -n 's/.*UCT_VERNO_MINOR == \([0-9]*\).*/\1/p' \
        src/uct/ib/virtuoso/uct/uct_vmp_abi.h | sort -n | tail -n 1)
    cppcheck --quiet --enable=warning,portability --inline-suppr -j "$jobs" \
        --suppress=missingInclude --suppress=unusedStructMember \
        --suppress=unmatchedSuppression --suppress=unknownMacro \
        --error-exitcode=1 --template=gcc -D_GNU_SOURCE -D__x86_64__=1 \
        -DHAVE_CONFIG_H=1 -DUCT_VERNO_MAJOR=1 -DUCT_VERNO_MINOR="$minor" \
        -Isrc/uct/ib/virtuoso src
}

case $name in
    build)
        cd "$build"
        make -s -j"$jobs" all
        make -s -j"$jobs" -C test check TESTS= >/dev/null
        ;;
    clang)
        need clang clang
        configured CC=clang --enable-werror --enable-debug
        checked 1000
        ;;
    asan)
        # No -Werror: instrumented code gives gcc false warnings
        configured --enable-sanitizers=address,undefined --enable-debug
        export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1}
        export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
        checked 300
        ;;
    tsan)
        configured --enable-sanitizers=thread --enable-debug
        # UCX's hooks run in a thread that ends, when TSan has left it already
        export UCX_MEM_EVENTS=n UCX_MEM_MMAP_HOOK_MODE=none
        # Core and simulation know no threads: they would say nothing here, but
        # take seven minutes for it
        checked 200 TESTS="$(cut -d '|' -f 3 "$build/test/ctest-list.txt" |
            sed 's|.*/test/||' | grep -v -e '^sim_' -e '^test_core_' \
            -e '^test_ctl' -e '^test_sim' -e '^sim/' | paste -sd ' ')"
        ;;
    distcheck)
        configured
        VMP_TEST_ROUNDS=50 make -s -j"$jobs" distcheck
        ;;
    cppcheck)
        need cppcheck cppcheck
        lint_c
        ;;
    shellcheck)
        need shellcheck shellcheck
        lint_shell
        ;;
    *)
        echo "stage.sh: unknown stage $name" >&2
        exit 2
        ;;
esac
