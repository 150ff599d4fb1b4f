#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# Runs our own UCP programs (test/ucp) on both hosts; source it after lib.sh.

program_port=15500
mesh_limit=200     # seconds

# The program's payload went over the links, and over our lanes. out and in are
# of host a.
program_traffic()
{
    local what=$1 out in

    shift
    read -r out in < <(cat "$@" | sed -n \
        's/.*: payload out \([0-9]*\) in \([0-9]*\).*/\1 \2/p' |
        awk '{ o += $1; i += $2 } END { print o + 0, i + 0 }')
    assert_traffic "$what" "$out" "$in"
    say "$what: $(grep -aho 'PASS.*' "$@" | head -n 1), payload $out and $in" \
        "bytes"
}

# What failing programs said
program_said()
{
    cat "$@" | grep -aE ': FAIL: |ERROR' | head -n 3 | paste -sd ' ' |
        grep . || echo 'does not run'
}

# two WHAT PROGRAM OPTIONS SETTINGS: both lists of words; a program that takes
# -p PORT, and the name of the host of rank 0 for rank 1, which runs on a
two()
{
    local what="$2: $1" program=$2

    program_port=$((program_port + 1))
    counters_reset
    # shellcheck disable=SC2086 # words
    if ! pair 150 $program_port \
              env "${TEST_ENV[@]}" $4 "${LAUNCH[@]}" \
              "$LIBEXEC/$program" -p $program_port $3 \
              -- \
              env "${TEST_ENV[@]}" $4 "${LAUNCH[@]}" \
              "$LIBEXEC/$program" -p $program_port $3 b; then
        problem "$what: $(program_said "$OUT/client" "$OUT/server")"
        show "$OUT/client" "$OUT/server"
        return 0
    fi
    if ! grep -aq "$program: rank 0: PASS" "$OUT/server" ||
       ! grep -aq "$program: rank 1: PASS" "$OUT/client"; then
        problem "$what: no verdict"
        return 0
    fi
    program_traffic "$what" "$OUT/client"
    assert_lanes "$what" "$OUT/client" "$OUT/server"
}

# mesh_host HOST SECONDS FIRST LAST COMMAND...: starts ranks in one host, output
# in $OUT/rank.N
mesh_host()
{
    local host=$1 seconds=$2 first=$3 last=$4

    shift 4
    # shellcheck disable=SC2016 # for the shell over there
    on "$host" "$seconds" bash -c '
        first=$1 last=$2; shift 2
        for ((rank = first; rank <= last; rank++)); do
            "$@" -r $rank a >/tmp/rank.$rank 2>&1 &
            pids="$pids $!"
        done
        ret=0
        for pid in $pids; do wait $pid || ret=$?; done
        tail -n +1 $(seq -f /tmp/rank.%g $first $last)
        exit $ret' - "$first" "$last" "$@" >"$OUT/mesh.$host" 2>&1
}

# mesh WHAT RANKS_PER_HOST OPTIONS SETTINGS: vmp_mesh on both hosts
mesh()
{
    local what="vmp_mesh: $1" num=$2 command ret=0 pid

    program_port=$((program_port + 1))
    counters_reset
    # shellcheck disable=SC2206 # words
    command=(env "${TEST_ENV[@]}" $4 "${LAUNCH[@]}" "$LIBEXEC/vmp_mesh"
             -n $((2 * num)) -l "$num" -p $program_port $3)
    mesh_host b $mesh_limit "$num" $((2 * num - 1)) "${command[@]}" &
    pid=$!
    mesh_host a $mesh_limit 0 $((num - 1)) "${command[@]}" || ret=$?
    wait $pid || ret=$?
    resources_check "$what"
    if [ $ret != 0 ] ||
       [ "$(cat "$OUT/mesh.a" "$OUT/mesh.b" | grep -ac 'vmp_mesh: .*: PASS')" \
         != $((2 * num)) ]; then
        problem "$what: $(program_said "$OUT/mesh.a" "$OUT/mesh.b")"
        show "$OUT/mesh.a" "$OUT/mesh.b"
        return 0
    fi
    program_traffic "$what" "$OUT/mesh.a"
    assert_lanes "$what" "$OUT/mesh.a" "$OUT/mesh.b"
}

# life WHAT OPTIONS SETTINGS EXIT_CODE_OF_RANK_1: vmp_life; rank 0 on b passes,
# rank 1 ends as told. Sets SERVER_RET.
life()
{
    local what="vmp_life -x $1 $2" pid ret=0 want=$4

    program_port=$((program_port + 1))
    counters_reset
    # shellcheck disable=SC2086 # words
    on b 140 env "${TEST_ENV[@]}" $3 "${LAUNCH[@]}" "$LIBEXEC/vmp_life" \
       -p $program_port -x "$1" $2 >"$OUT/server" 2>&1 &
    pid=$!
    # shellcheck disable=SC2086 # words
    on a 140 env "${TEST_ENV[@]}" $3 "${LAUNCH[@]}" "$LIBEXEC/vmp_life" \
       -p $program_port -x "$1" $2 b >"$OUT/client" 2>&1 || ret=$?
    SERVER_RET=0
    wait $pid || SERVER_RET=$?
    [ $ret = "$want" ] || {
        problem "$what: rank 1 ends with $ret instead of $want:" \
                "$(program_said "$OUT/client" "$OUT/server")"
        show "$OUT/client"
    }
    resources_check "$what"
}

# As life, and rank 0 passes; BYTES went over the links each way (1000000)
# life_ok WHAT OPTIONS SETTINGS EXIT_CODE_OF_RANK_1 [BYTES]
life_ok()
{
    local what="vmp_life -x $1 $2"

    life "${@:1:4}"
    if [ "$SERVER_RET" != 0 ] ||
       ! grep -aq 'vmp_life: rank 0: PASS' "$OUT/server"; then
        problem "$what: $(program_said "$OUT/server")"
        show "$OUT/server"
        return 0
    fi
    grep -a 'vmp_life: rank 0: request' "$OUT/server" || true
    if [ "$1" != dead ]; then
        # The last round may be lost: of what rank 0 sent, the first is not
        assert_traffic "$what" "${5:-1000000}" "${5:-1000000}"
        # What rank 1 had to say of its lanes may have died with it
        assert_lanes "$what" "$OUT/server"
    fi
    say "$what: $(grep -aho 'PASS.*' "$OUT/server")"
}

# life_fork OPTIONS: with UCX's defaults, but on bookworm, where UCX's own ib module
# has libibverbs 44 take registered pages away from children, also where the kernel
# copies them; see README.md
life_fork()
{
    local settings=

    ! "$VMPLAB" status | grep -x 'suite: bookworm' >/dev/null ||
        settings=UCX_IB_FORK_INIT=n
    life_ok fork "$1" "$settings" 0
}

# life_heard_nothing WHAT: why rank 0 has lost rank 1, which was killed when they were
# connected, is in its log, as docs/troubleshooting.md has it
life_heard_nothing()
{
    [ "$TLS" = vmp ] || return 0
    grep -aq 'is lost: no path is up, and nothing was heard of it for' \
         "$OUT/server" || {
        problem "$1: the log does not say that nothing was heard of the peer"
        show "$OUT/server"
    }
}
