#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# Shows that sim_core and sim_fault bite: each patch in mutations/ breaks the
# core, or the fabric below it, in one place, and random programs have to find it
# by one of the oracle's rules. The core as it is passes with the same programs.
# For one mutation of each program, what it prints then must show the same again,
# and be made shorter.
#
#   mutations.sh [NAME...]      these only

set -eu

src=${VMP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
programs=${VMP_MUTATION_ROUNDS:-2500}   # twice as many with accidents
workers=2
seconds=600             # of one run, on however slow a machine
broken=3                # exit code: a rule was broken
replayed=" credit-ignored fault-twice "

. "$src/test/sim/lib_replay.sh"

work=$(mktemp -d)
pids=()

# shellcheck disable=SC2317 # called by the trap
cleanup() {
    [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

copy() {
    mkdir -p "$1/src/uct/ib" "$1/test/unit" "$1/test/common"
    cp -r "$src/src/uct/ib/virtuoso" "$1/src/uct/ib/"
    cp -r "$src/test/sim" "$1/test/"
    cp "$src/test/unit/vmp_check.h" "$1/test/unit/"
    cp "$src/test/common/vmp_content.h" "$1/test/common/"
    cat >"$1/Makefile" <<'END_MAKE'
S    = src/uct/ib/virtuoso
SRCS = $(wildcard $S/core/*.c $S/policy/*.c $S/port/sim/*.c test/sim/*.c)
OBJS = $(SRCS:.c=.o)
BOTH = $(filter-out test/sim/kind_%, $(OBJS))
CFLAGS = -std=gnu11 -D_GNU_SOURCE -O1 -w -MMD -I$S
all: sim_core sim_fault
sim_%: test/sim/kind_%.o $(BOTH)
	$(CC) -o $@ $^
.SECONDARY: $(OBJS)
-include $(OBJS:.o=.d)
END_MAKE
}

# check DIR NAME: 0: caught; says how
check() {
    local dir=$1 name=$2 patch="$src/test/sim/mutations/$2.patch" ret=0

    if ! patch -d "$dir" -p1 -s -f --no-backup-if-mismatch <"$patch" \
        >"$dir/out" 2>&1; then
        echo "FAIL $name: the patch does not apply any more: renew it"
        cat "$dir/out"
        return 1
    fi
    if ! make -C "$dir" -s "$(program_of "$name")" >"$dir/out" 2>&1; then
        echo "FAIL $name: does not compile"
        tail -n 5 "$dir/out"
        ret=1
    else
        run "$dir" "$name" || ret=1
    fi
    patch -d "$dir" -p1 -s -f -R --no-backup-if-mismatch <"$patch" >/dev/null
    return $ret
}

# Accidents are needed to find those that have the name fault-...
program_of() {
    case $1 in
        fault-*) echo sim_fault ;;
        *) echo sim_core ;;
    esac
}

random() {
    local rounds=$programs

    [ "$(basename "$1")" = sim_core ] || rounds=$((2 * programs))
    VMP_TEST_SEED=1 VMP_TEST_ROUNDS=$rounds VMP_TEST_SECONDS=0 \
        VMP_SIM_SHRINK=0 timeout "$seconds" "$1"
}

run() {
    local dir=$1 name=$2 ret=0

    random "$dir/$(program_of "$name")" >"$dir/out" 2>&1 || ret=$?
    if [ $ret -eq $broken ]; then
        echo "caught $name: $(sed -n \
            's/.*seed \([0-9]*\): rule \("[a-z-]*"\).*/rule \2, seed \1/p' \
            "$dir/out")"
        check_replay "$dir" "$name"
        return
    fi
    case $ret in
        0) echo "FAIL $name: random programs did not find it" ;;
        *) echo "FAIL $name: no rule was broken, but it ended with $ret" ;;
    esac
    tail -n 3 "$dir/out"
    return 1
}

check_replay() {
    local dir=$1 name=$2

    [[ $replayed = *" $name "* ]] || return 0
    replay "$dir" "$(program_of "$name")" "$dir/out" >"$dir/wrong"
    if [ -s "$dir/wrong" ]; then
        echo "FAIL $name: is not seen again as it should be:"
        cat "$dir/wrong"
        return 1
    fi
    echo "replayed $name: $(sed -n 's/^shrink: \(.*\);.*/\1/p' "$dir/short")"
}

# worker DIR NUMBER NAME...: every workers-th of the names
worker() {
    local dir=$1 i=$2 failed=0
    shift 2

    while [ "$i" -lt $# ]; do
        check "$dir" "${*:$((i + 1)):1}" || failed=1
        i=$((i + workers))
    done
    return $failed
}

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
    for patch in "$src"/test/sim/mutations/*.patch; do
        names+=("$(basename "$patch" .patch)")
    done
fi

command -v patch >/dev/null || {
    echo "skipped: no patch: apt-get install patch"
    exit 77
}

copy "$work/0"
make -C "$work/0" -s -j"$workers" all
for ((i = 1; i < workers; ++i)); do
    cp -a "$work/0" "$work/$i"
done

# As it is: nothing to find
cp "$work/0/sim_core" "$work/0/sim_fault" "$work"
for program in sim_core sim_fault; do
    random "$work/$program"
done >"$work/out" 2>&1 &
pids+=($!)
for ((i = 0; i < workers; ++i)); do
    worker "$work/$i" "$i" "${names[@]}" &
    pids+=($!)
done

failed=0
wait "${pids[0]}" || {
    echo "FAIL: the core as it is breaks a rule, or takes too long"
    cat "$work/out"
    failed=1
}
for pid in "${pids[@]:1}"; do
    wait "$pid" || failed=1
done
pids=()
[ $failed -ne 0 ] || echo "mutations: ok, ${#names[@]} caught"
exit $failed
