#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# What the tests share that run UCX's own test-suite. Each half of the tests runs
# in a host of its own; both sides of a connection are in one process.
#
# VMP_TEST_TLS=rc_verbs,ud_verbs or tcp runs them over these, to compare.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

GTEST_DIR=$LAB_TEST_DIR/../gtest
GTEST_HOSTS=(a b)
gtest_runs=0
# Emulated hosts are slow: longer deadlines, fewer rounds, in UCX's own way
GTEST_ENV=(GTEST_TIME_MULTIPLIER=10 UCX_LOG_LEVEL=warn UCX_HANDLE_ERRORS=bt)

# Puts the test program into the hosts; sets gtest_suite and gtest_skip
gtest_start()
{
    local program host

    lab_start
    gtest_suite=$("$VMPLAB" status | sed -n 's/^suite: //p')
    program=$("$VMPLAB" gtest --suite "$gtest_suite" 2>"$OUT/build") || {
        tail -n 20 "$OUT/build"
        skip "no tests of UCX's: $(tail -n 1 "$OUT/build")"
    }
    for host in "${GTEST_HOSTS[@]}"; do
        "$VMPLAB" exec "$host" --timeout 60 -- \
            bash -c 'cat >/tmp/gtest && chmod +x /tmp/gtest' <"$program" ||
            fail "cannot copy the test program to host $host"
    done
    gtest_skip=
    [ "$TLS" != vmp ] || gtest_skip=$(gtest_skip_list)
}

# What is left out, in gtest's form: the first column of the table
gtest_skip_list()
{
    sed -n 's/^\([^#|]*[^#| ]\) *|.*/\1/p' "$GTEST_DIR/skip.$gtest_suite" |
        paste -sd:
}

# rc_verbs is called rc among the tests of UCP
gtest_name()
{
    case $TLS in
        rc_verbs*) [ "$1" = uct ] && echo rc_verbs || echo rc ;;
        *) echo "$TLS" ;;
    esac
}

# gtest_shard HOST NUMBER SECONDS FILTER: runs a half of the tests
gtest_shard()
{
    local launch=() ret=0

    [ "$TLS" = vmp ] && launch=(vmprun) || GTEST_ENV+=(UCX_IB_GID_INDEX=2)
    on "$1" "$3" env "${GTEST_ENV[@]}" GTEST_TOTAL_SHARDS=${#GTEST_HOSTS[@]} \
        GTEST_SHARD_INDEX="$2" "${launch[@]}" /tmp/gtest -t 300 \
        --gtest_filter="$4" >"$OUT/gtest.$1" 2>&1 || ret=$?
    echo "exit code $ret" >>"$OUT/gtest.$1"
}

# gtest_judge HOST: counts, and names what failed
gtest_judge()
{
    local log=$OUT/gtest.$1 total ran ok

    ok=$(grep -ac '^\[       OK \]' "$log" || true)
    ran=$(grep -ac '^\[ RUN      \]' "$log" || true)
    total=$(sed -n 's/.*Running \([0-9]*\) tests* from.*/\1/p' "$log" | head -1)
    gtest_total=$((gtest_total + ${total:-0}))
    gtest_ok=$((gtest_ok + ok))
    gtest_inapt=$((gtest_inapt + $(grep -ac '^\[     SKIP \]' "$log" || true)))
    if ! grep -q '^exit code 0$' "$log" || [ "$ok" != "${total:-none}" ]; then
        problem "host $1: $ok of ${total:-no} tests pass, $ran were started"
        grep -a '^\[  FAILED  \].*(' "$log" | sort -u || true
        # A crash, or no end: the last one is to blame
        [ "$ran" = "${total:-0}" ] || grep -a '^\[ RUN' "$log" | tail -n 1
        show "$log"
    fi
}

# As many tests as are known, and no more that find that they do not apply: UCX
# asks the interface what it can, and counts that among those that pass
gtest_count()
{
    local row script=${0##*/} total inapt

    row=$gtest_suite\ ${script%.sh}\ $((++gtest_runs))
    read -r total inapt < <(sed -n "s/^$row //p" "$GTEST_DIR/counts") || true
    [ "$gtest_total" = "${total-}" ] && [ "$gtest_inapt" -le "${inapt:-0}" ] ||
        problem "$gtest_total tests of which $gtest_inapt do not apply," \
            "test/gtest/counts has '$row ${total-none} ${inapt-}'"
}

# gtest_run KIND SECONDS FILTER: KIND is uct or ucp; an @ in FILTER stands for
# the transport as these tests call it
gtest_run()
{
    local name host i=0 before=() filter

    name=$(gtest_name "$1")
    filter=${3//@/$name}
    [ -z "$gtest_skip" ] || case $filter in
        *-*) filter+=:$gtest_skip ;;
        *) filter+=-$gtest_skip ;;
    esac
    for host in "${GTEST_HOSTS[@]}"; do
        before+=("$(device_packets "$host")")
        gtest_shard "$host" $i "$2" "$filter" &
        i=$((i + 1))
    done
    wait
    gtest_total=0 gtest_ok=0 gtest_inapt=0 i=0
    for host in "${GTEST_HOSTS[@]}"; do
        gtest_judge "$host"
        # Whoever sends packets to himself counts each twice
        if [ "$TLS" != tcp ] &&
           [ $(($(device_packets "$host") - before[i])) -lt "$gtest_ok" ]; then
            problem "host $host: the tests did not go over its device"
        fi
        i=$((i + 1))
    done
    [ "$TLS" != vmp ] || gtest_count
    say "$gtest_suite, $name: $gtest_ok of $gtest_total tests pass, of these" \
        "$gtest_inapt found that they do not apply;" \
        "$(tr ':' '\n' <<<"$gtest_skip" | grep -c .) patterns left out"
}
