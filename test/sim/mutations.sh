#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# Shows that sim_core and sim_fault bite: each patch in mutations/ breaks the
# core, or the fabric below it, in one place, and random programs have to find
# it by one of the oracle's rules. The core as it is passes with the same
# programs. A patch's first lines say what it breaks, and may name who has to
# find it:
#
#   accidents: KIND...          random programs that have no other accidents
#   test: NAME                  the unit test of that name
#   rule: RULE                  random programs, by that rule and no other
#
# Each rule has to be broken by some mutation. For one mutation of each program,
# what it prints then must show the same again, and be made shorter.
#
#   mutations.sh [NAME...]      these only

set -eu

src=${VMP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
programs=${VMP_MUTATION_ROUNDS:-2500}   # twice as many with accidents
workers=2
seconds=600             # of one run, on however slow a machine
broken=3                # exit code: a rule was broken
aborted=134             # of a unit test that fails

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
    cp "$src"/test/unit/*.[ch] "$1/test/unit/"
    cp "$src/test/common/vmp_content.h" "$1/test/common/"
    cat >"$1/Makefile" <<'END_MAKE'
S    = src/uct/ib/virtuoso
SRCS = $(wildcard $S/core/*.c $S/policy/*.c $S/port/sim/*.c test/sim/*.c)
OBJS = $(SRCS:.c=.o)
BOTH = $(filter-out test/sim/kind_%, $(OBJS))
CFLAGS = -std=gnu11 -D_GNU_SOURCE -O1 -w -MMD -I$S
CORE_WORLD = test/unit/core_world.o test/unit/core_work.o
CTL_WORLD  = test/unit/ctl_world.o test/unit/ctl_app.o
all: sim_core sim_fault
sim_%: test/sim/kind_%.o $(BOTH)
	$(CC) -o $@ $^
test_core_%: test/unit/test_core_%.o $(CORE_WORLD) libcore.a
	$(CC) -o $@ $^
test_ct%: test/unit/test_ct%.o $(CTL_WORLD) libcore.a
	$(CC) -o $@ $^
libcore.a: $(filter $S/%, $(OBJS))
	rm -f $@
	ar rc $@ $^
.SECONDARY:
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

# header NAME WORD: what the patch says behind "WORD: "
header() {
    sed -n "/^---/q; s/^$2: //p" "$src/test/sim/mutations/$1.patch"
}

# Accidents are needed to find those that have the name fault-...
program_of() {
    local test
    test=$(header "$1" test)

    case $1/$test in
        fault-*/) echo sim_fault ;;
        */) echo sim_core ;;
        *) echo "$test" ;;
    esac
}

# try PROGRAM ACCIDENTS [SEED]: as often as it may take, from that one on; a unit
# test as it is run by others
try() {
    local rounds=$programs seed=${3:-1}

    if [[ $(basename "$1") = test_* ]]; then
        env -u VMP_TEST_CASES -u VMP_TEST_SEED timeout "$seconds" "$1"
        return
    fi

    [ "$(basename "$1")/$2" != sim_fault/ ] || rounds=$((2 * programs))
    env -u VMP_TEST_CASES VMP_SIM_ACCIDENTS="$2" VMP_TEST_SEED="$seed" \
        VMP_TEST_ROUNDS=$((rounds + 1 - seed)) VMP_TEST_SECONDS=0 \
        VMP_SIM_SHRINK=0 timeout "$seconds" "$1"
}

# found RET OUT: how, if it is a rule or a check that failed
found() {
    case $1 in
        "$broken") sed -n \
            's/.*seed \([0-9]*\): rule \("[a-z-]*"\).*/rule \2, seed \1/p' \
            "$2" ;;
        "$aborted") sed -n -e 's/.*\/\(test_.*: failed: .*\)/\1/p' \
            -e 's/^sim: \(seed .*\)/\1/p' "$2" ;;
    esac
}

run() {
    local dir=$1 name=$2 ret=0 how="" rule seed=0

    rule=$(header "$name" rule)
    while [ -z "$how" ] || [[ $how != 'rule "'*"$rule"'", seed '* ]]; do
        ret=0
        try "$dir/$(program_of "$name")" "$(header "$name" accidents)" \
            $((seed + 1)) >"$dir/out" 2>&1 || ret=$?
        how=$(found $ret "$dir/out")
        seed=${how##* }
        if [ -z "$rule" ] || [ -z "$how" ]; then
            break
        fi
    done
    if [ -n "$how" ]; then
        echo "caught $name: $how" | tee -a "$dir/caught"
        check_replay "$dir" "$name"
        return
    fi
    case $ret in
        0) echo "FAIL $name: $(program_of "$name") did not find it" ;;
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

# All that is tried, once each: PROGRAM ACCIDENTS
tries() {
    local name

    for name in "${names[@]}"; do
        echo "$(program_of "$name") $(header "$name" accidents)"
    done | sort -u
}

# As it is: nothing to find
as_it_is() {
    local program accidents

    tries | while read -r program accidents; do
        try "$work/as-it-is/$program" "$accidents" </dev/null || {
            echo "$program $accidents"
            return 1
        }
    done
}

# Rules that no mutation breaks
check_rules() {
    local rule ret=0

    for rule in $(sed -n '/must hold/,/\*\//{s/.*broken://;s/[^a-z, -]//g;p}' \
        "$src/test/sim/oracle.h" | sed -n '2,$p' | tr ',' ' '); do
        grep -q "rule \"$rule\"" "$work"/*/caught || {
            echo "FAIL: no mutation breaks the rule \"$rule\""
            ret=1
        }
    done
    return $ret
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
mkdir "$work/as-it-is"
while read -r program _; do
    make -C "$work/0" -s -j"$workers" "$program"
    cp "$work/0/$program" "$work/as-it-is"
done < <(tries)
for ((i = 1; i < workers; ++i)); do
    cp -a "$work/0" "$work/$i"
done

as_it_is >"$work/out" 2>&1 &
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
[ $# -gt 0 ] || check_rules || failed=1
[ $failed -ne 0 ] || echo "mutations: ok, ${#names[@]} caught"
exit $failed
