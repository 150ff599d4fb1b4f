#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
# See file LICENSE for terms.
#
# labels: lab
# short on: trixie
# timeout: 600
#
# The lab's own test. In a lab that is up it tests all that leaves it as it
# was; with none up it also starts, interrupts and ends labs of its own. Names
# of parts as arguments (exec, hosts, links...) run only these; lifecycle, alone,
# wants no lab and leaves none.

set -eu -o pipefail

VMPLAB=${VMPLAB:-$(dirname "$0")/../../contrib/lab/vmplab}
SUITE=${VMP_SUITE:-trixie}
OUT=$(mktemp -d)
failures=0
ours=0

skip()
{
    echo "vmplab: SKIP: $*"
    [ "${VMP_REQUIRE_LAB:-0}" != 1 ] || exit 1
    exit 77
}

finish()
{
    local ret=$?

    trap '' INT TERM
    trap - EXIT
    [ $ours = 0 ] || "$VMPLAB" down || true
    rm -rf "$OUT"
    exit $ret
}

# check WHAT CMD...: one line a check
check()
{
    local what=$1
    shift

    if "$@"; then
        echo "vmplab: ok: $what"
    else
        echo "vmplab: FAIL: $what"
        failures=$((failures + 1))
    fi
}

# Runs CMD, leaves its output, errors and exit code in $out, $err, $code
run()
{
    code=0
    "$@" >"$OUT/out" 2>"$OUT/err" || code=$?
    out=$(cat "$OUT/out")
    err=$(cat "$OUT/err")
}

on()
{
    local host=$1
    shift
    "$VMPLAB" exec "$host" --timeout 60 -- "$@" </dev/null
}

is()
{
    [ "$1" = "$2" ] && return 0
    echo "vmplab:   got '$1', expected '$2'"
    return 1
}

between()
{
    [ "$1" -ge "$2" ] && [ "$1" -le "$3" ] && return 0
    echo "vmplab:   got $1, expected $2 to $3"
    return 1
}

has()
{
    [[ $1 == *"$2"* ]] && return 0
    echo "vmplab:   got '$1', expected '$2' in it"
    return 1
}

milliseconds()
{
    echo $(($(date +%s%N) / 1000000))
}

# Nothing in host $1 runs a command that holds the text $2
gone()
{
    local left

    left=$(on "$1" ps -eo args | grep -F -- "$2" | grep -v 'ps -eo' || true)
    is "$left" ""
}

# Bytes of link $1 in direction $2 since the last reset
link_bytes()
{
    "$VMPLAB" counters --json |
        sed -n "s/.*{\"link\":$1,.*/&/; s/.*{\"link\":$1,//; s/}}.*//
                s/.*\"$2\":{\"bytes\":\([0-9]*\).*/\1/p"
}

mgmt_bytes()
{
    "$VMPLAB" counters --json |
        sed -n 's/.*"mgmt":{"bytes":\([0-9]*\).*/\1/p'
}

# pings FROM TO
pings()
{
    on "$1" ping -qc1 -W5 "$2" >"$OUT/ping"
}

test_exec()
{
    local t best=100000 i

    run "$VMPLAB" exec a -- sh -c 'cat; echo bad >&2; exit 7' <<<"in put"
    check "exec passes input and output" is "$out" "in put"
    check "exec keeps errors apart" is "$err" bad
    check "exec gives the exit code" is "$code" 7
    run "$VMPLAB" exec a -- printf '[%s]' 'a b' '' '*' "it's"
    check "exec keeps arguments as they are" is "$out" "[a b][][*][it's]"
    run "$VMPLAB" exec a -- no-such-program
    check "exec of no program gives 127" is "$code" 127
    run "$VMPLAB" exec a -- sh -c 'kill -KILL $$'
    check "exec gives 128 + signal" is "$code" 137
    for i in 1 2 3; do
        t=$(milliseconds)
        on a true
        t=$(($(milliseconds) - t))
        [ "$t" -ge "$best" ] || best=$t
    done
    check "exec true takes $best ms" between "$best" 0 900

    head -c 3000000 /dev/urandom >"$OUT/data"
    "$VMPLAB" exec a -- cat <"$OUT/data" >"$OUT/copy"
    check "exec passes binary data" cmp "$OUT/data" "$OUT/copy"
    run on z true
    check "exec names an unknown host" has "$err" "no host 'z'"
    run "$VMPLAB" exec a true
    check "exec wants --" is "$code" 2
}

test_exec_concurrent()
{
    local t one i

    one=$(milliseconds)
    on a sleep 3
    one=$(($(milliseconds) - one))
    t=$(milliseconds)
    for i in 1 2 3 4; do
        on a sh -c "sleep 3; echo $i" >>"$OUT/many" &
    done
    wait
    t=$(($(milliseconds) - t))
    # One after the other they would take four times as long as one
    check "four commands at once take $t ms, one $one" \
          between $t 3000 $((one * 3))
    check "each has its output" is "$(sort "$OUT/many" | tr -d '\n')" 1234
}

# Starts CMD as a terminal would: a process group of its own, with SIGINT not
# ignored. Sets $job.
as_job()
{
    set -m
    "$@" </dev/null >"$OUT/job" 2>&1 &
    job=$!
    set +m
}

# Ctrl-C; leaves the exit code in $code
interrupt_job()
{
    kill -INT -- -$job
    code=0
    wait $job || code=$?
}

test_exec_ends()
{
    run "$VMPLAB" exec a --timeout 2 -- \
        sh -c 'setsid sleep 7771 & sleep 7771' </dev/null
    check "a timeout gives 124" is "$code" 124
    check "a timeout ends the command and its children" gone a "sleep 7771"
    run "$VMPLAB" exec a --timeout 1 -- \
        sh -c 'trap "" TERM; sleep 7772; sleep 7772' </dev/null
    check "a timeout ends a command that ignores it" gone a "sleep 7772"

    as_job "$VMPLAB" exec a -- sleep 7773
    sleep 2
    interrupt_job
    check "Ctrl-C of exec gives 130" is $code 130
    check "Ctrl-C of exec ends the command" gone a "sleep 7773"

    as_job "$VMPLAB" exec a -- sleep 7774
    sleep 2
    kill -KILL -- -$job
    wait $job 2>/dev/null || true
    sleep 3
    check "a killed exec ends the command" gone a "sleep 7774"
}

test_hosts()
{
    run on b hostname
    check "hosts are named" is "$out" b
    check "hosts reach each other by name" pings a b
    check "and over the links" pings a b-data
    run on a sh -c 'cat /sys/class/infiniband/rxe0/ports/1/gids/[0-9]*'
    check "rxe0 has an IPv4 GID" has "$out" "0000:ffff:0a01:0102"
    check "rxe0 has an IPv6 GID" has "$out" "fd00:0001:0001"
    # shellcheck disable=SC2016 # the guest's variable
    run on a sh -c 'ulimit -l; echo $PATH'
    check "locked memory is unlimited" has "$out" unlimited
    check "our build is first in PATH" has "$out" /opt/vmp/bin:
    run on a sh -c 'for d in /tmp /run /dev/shm /dev/pts; do
        grep -c " $d \(tmpfs\|devpts\) " /proc/mounts; done | xargs'
    check "what is temporary is in memory" is "$out" "1 1 1 1"
}

test_mpi()
{
    local mpi

    for mpi in openmpi mpich; do
        run on a mpirun.$mpi --host a,b hostname
        check "mpirun.$mpi reaches both hosts" \
              is "$(sort <<<"$out" | tr -d '\n')" ab
    done
}

# ucx_perftest over stock rc_verbs: 14 MiB and some from a to b
perftest()
{
    local env=(env UCX_IB_GID_INDEX=2 'UCX_TLS=rc_verbs,ud_verbs,self'
               UCX_NET_DEVICES=rxe0:1) sockets=()

    # Debian's later builds start as MPI programs unless told not to
    ! on a sh -c 'ucx_perftest -h 2>&1 | grep -q "^ *-P "' || sockets=(-P 0)
    on b "${env[@]}" ucx_perftest "${sockets[@]}" >"$OUT/server" 2>&1 &
    sleep 2
    code=0
    on a "${env[@]}" ucx_perftest "${sockets[@]}" b -t tag_bw -s 1048576 \
       -n 14 -w 2 -f >"$OUT/client" 2>&1 || code=$?
    wait
    [ $code = 0 ] || tail -n 5 "$OUT/server" "$OUT/client"
    return $code
}

test_baseline()
{
    local sum=0 i

    "$VMPLAB" counters --reset
    check "the stock baseline runs" perftest
    for ((i = 1; i <= links; i++)); do
        sum=$((sum + $(link_bytes $i ab)))
    done
    check "the links carried it" between $sum 14680064 40000000
    check "the management network did not" between "$(mgmt_bytes)" 1 1000000
    run "$VMPLAB" counters
    check "counters for people" has "$out" "link 1"
    "$VMPLAB" counters --reset
    check "reset counts from 0" between "$(link_bytes 1 ab)" 0 5000
}

# All links cut: nothing passes, and the network still looks healthy
test_links()
{
    local i ab=0 ba=0

    for ((i = 1; i <= links; i++)); do
        "$VMPLAB" link $i cut
    done
    run "$VMPLAB" status
    check "status tells a cut link" has "$out" "link 1: ${rate1} Mbit/s, cut"
    run on a ping -qc2 -W2 b-data
    check "a cut lets nothing pass" has "$out" "100% packet loss"
    check "and nobody is told" is "$(grep -ci unreachable <<<"$out")" 0
    check "management is apart" pings a b
    for ((i = 1; i <= links; i++)); do
        "$VMPLAB" link $i heal
    done
    check "heal mends it" pings a b-data
    for ((i = 1; i <= links; i++)); do
        "$VMPLAB" link $i cut ba
    done
    run "$VMPLAB" status
    check "status tells the direction" has "$out" "link 1: ${rate1} Mbit/s, cut-ba"
    "$VMPLAB" counters --reset
    run on a ping -qc2 -W2 b-data
    check "one direction is enough" has "$out" "100% packet loss"
    for ((i = 1; i <= links; i++)); do
        ab=$((ab + $(link_bytes $i ab)))
        ba=$((ba + $(link_bytes $i ba)))
    done
    check "the other one carries" between $ab 100 10000
    check "and this one nothing" is $ba 0
    for ((i = 1; i <= links; i++)); do
        "$VMPLAB" link $i heal
    done
    run "$VMPLAB" link 1 cut backwards
    check "cut refuses a wrong direction" is "$code" 2
    "$VMPLAB" link 1 rate $((rate1 + 1))
    run "$VMPLAB" status
    check "rates can be changed" has "$out" "link 1: $((rate1 + 1)) Mbit/s, up"
    "$VMPLAB" link 1 rate "$rate1"
    run "$VMPLAB" link $((links + 1)) cut
    check "link refuses a wrong number" is "$code" 2
}

test_refusals()
{
    run "$VMPLAB" up
    check "up twice says so" has "$err" "up already"
    check "and fails" is "$code" 1
    run "$VMPLAB" up --suite nosuch
    check "up refuses an unknown suite" has "$err" "unknown suite"
    run "$VMPLAB" up --links 2 --rate 1,2,3
    check "up refuses a wrong list of rates" is "$code" 2
    run "$VMPLAB" nosuch
    check "unknown commands are refused" is "$code" 2
    run "$VMPLAB" help
    check "help lists commands" has "$out" "link N rate MBIT"
}

# What a lab must not leave behind; to be compared with what was there before
leftovers()
{
    ip netns list | grep vmplab || true
    grep -E 'vmplab|/run/netns' /proc/self/mounts || true
    ip -o link | grep -oE '(data|mgmt)[0-9]+[:@]' || true
    pgrep -fa '^[^ ]*(vmplab-agent|qemu-system).*vmplab' || true
    ls -d /run/vmplab 2>/dev/null || true
}

# Interrupts `up` after $1 seconds
interrupt_up()
{
    as_job "$VMPLAB" up --suite "$SUITE"
    sleep "$1"
    interrupt_job
    [ "$code" = 130 ] || sed 's/^/  up: /' "$OUT/job"
    check "Ctrl-C of up after $1 s gives 130" is $code 130
    check "and leaves nothing" is "$(leftovers)" "$before"
}

test_lifecycle()
{
    local before VMPLAB_NO_BUILD=1

    export VMPLAB_NO_BUILD
    before=$(leftovers)
    check "no lab of ours is there before" is "$(grep vmplab <<<"$before")" ""
    interrupt_up 1
    interrupt_up 5
    run "$VMPLAB" exec a -- true
    check "exec without a lab says so" has "$err" "the lab is down"
    run "$VMPLAB" status
    check "status without a lab gives 1" is "$code" 1

    run "$VMPLAB" up --suite "$SUITE" --hosts 3 --links 2 --rate 20,30
    check "three hosts, two links" is "$code" 0
    # Never ends a lab that somebody else has started in the meantime
    [ "$code" = 0 ] || return 0
    ours=1
    check "hosts on one leaf reach each other" pings c a-data
    on b sleep 7775 >"$OUT/sleep" 2>&1 &
    sleep 1
    run "$VMPLAB" down
    check "down" is "$code" 0
    ours=0
    wait
    check "a command that ran is told" has "$(cat "$OUT/sleep")" "taken down"
    check "nothing is left" is "$(leftovers)" "$before"
    run "$VMPLAB" down
    check "down twice is no error" is "$code" 0
}

[ "$(id -u)" = 0 ] || skip "the lab needs root"
(exec 3<>/dev/net/tun) 2>/dev/null || skip "/dev/net/tun cannot be opened"
unshare --net true 2>/dev/null || skip "no network namespaces"
command -v qemu-system-x86_64 >/dev/null ||
    skip "no QEMU: apt-get install qemu-system-x86"

trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$VMPLAB" status >"$OUT/status" || true
if [ "$*" = lifecycle ]; then
    grep -qx 'lab: down' "$OUT/status" ||
        skip "a lab is up, and starting and ending one needs that there is none"
    test_lifecycle
    set --
elif ! grep -qx 'lab: up' "$OUT/status"; then
    grep -qx 'lab: down' "$OUT/status" || skip "a lab is up that is not whole"
    [ $# -gt 0 ] || test_lifecycle
    "$VMPLAB" up --suite "$SUITE" || skip "no lab"
    ours=1
    "$VMPLAB" status >"$OUT/status"
fi
links=$(grep -c '^link ' "$OUT/status" || true)
rate1=$(sed -n 's/^link 1: \([0-9]*\) .*/\1/p' "$OUT/status")
[ $# -gt 0 ] || [ "$links" = 0 ] ||
    set -- exec exec_concurrent exec_ends hosts mpi baseline links refusals
for name in "$@"; do
    "test_$name"
done

if [ $failures -gt 0 ]; then
    echo "vmplab: FAIL: $failures checks"
    exit 1
fi
echo "vmplab: PASS"
