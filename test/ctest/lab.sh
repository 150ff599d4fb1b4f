#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# The fixtures of the tests in the lab: lab.sh prepare|gtest|up|down SUITE
# BUILDDIR, and the unit tests with the suite's UCX: lab.sh unit SUITE BUILDDIR
#
# A lab that somebody else has brought up is used if it is of the same suite and
# checkout, and is never taken down.

set -eu

action=$1
suite=$2
build=$3
top=$(cd "$(dirname "$0")/../.." && pwd -P)
vmplab=$top/contrib/lab/vmplab
# Says that the lab is ours; contrib/check looks at it after an interruption
mine=$build/stage/lab-is-ours

skip() {
    echo "$*"
    [ "${VMP_REQUIRE_LAB:-0}" = 1 ] || exit 77
    echo "and VMP_REQUIRE_LAB is set"
    exit 1
}

need_lab() {
    [ "$(id -u)" -eq 0 ] || skip "no lab: needs root"
    [ "$(uname -m)" = x86_64 ] || skip "no lab: needs an x86_64 machine"
    if [ "$action" = up ]; then
        (exec 7<>/dev/net/tun) 2>/dev/null ||
            skip "no lab: cannot open /dev/net/tun (in a container it must" \
                "be given)"
    fi
}

state() {
    "$vmplab" status 2>/dev/null | sed -n "s/^$1: //p"
}

up() {
    local other

    if [ "$(state lab)" = up ] && [ "$(state suite)" = "$suite" ]; then
        other=$(state checkout)
        [ "${other:-$top}" = "$top" ] ||
            skip "no lab: the one that is up runs the build of another" \
                "checkout, $other"
        echo "using the lab that is up; its build may be older"
        return 0
    fi
    mkdir -p "${mine%/*}"
    # First the mark: up undoes what it did, but not when it is killed hard
    case $(state lab) in
        '' | down | stale) touch "$mine" ;;
    esac
    "$vmplab" up --suite "$suite" || {
        rm -f "$mine"
        return 1
    }
}

# UCX's own tests. What to do stands in the last line.
gtest() {
    local out

    out=$("$vmplab" gtest --suite "$suite" 2>&1) || {
        echo "$out"
        skip "no tests of UCX's: ${out##*$'\n'}"
    }
    echo "$out"
}

down() {
    if [ ! -e "$mine" ]; then
        echo "the lab is not ours"
        return 0
    fi
    "$vmplab" down
    rm -f "$mine"
}

case $action in
    prepare)
        need_lab
        "$vmplab" prepare --suite "$suite"
        ;;
    gtest)
        need_lab
        gtest
        ;;
    unit)
        need_lab
        "$vmplab" _check "$suite"
        ;;
    up)
        need_lab
        up
        ;;
    down) down ;;
    *)
        echo "lab.sh: prepare, gtest, unit, up or down?" >&2
        exit 2
        ;;
esac
