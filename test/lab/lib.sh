#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# What the tests in the lab share. A test sources this, calls lab_start, runs
# programs by on, perf and the like, and ends with lab_end. All goes through
# vmplab's command line.
#
# Environment:
#   VMPLAB            the vmplab to use
#   VMP_SUITE         suite of a lab that the test brings up itself (trixie)
#   VMP_REQUIRE_LAB   1: what would be skipped fails
#   VMP_TEST_TLS      other transports in place of vmp, for trying the tests
#                     themselves: VMP_TEST_TLS=rc_verbs,ud_verbs
#   VMP_TEST_LIBEXEC  where the hosts have the test programs
#   VMP_TEST_KEEP     1: keep the directory with all output

set -eu -o pipefail

LAB_TEST_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
VMPLAB=${VMPLAB:-$LAB_TEST_DIR/../../contrib/lab/vmplab}
TLS=${VMP_TEST_TLS:-vmp}
# shellcheck disable=SC2034 # the tests use it
LIBEXEC=${VMP_TEST_LIBEXEC:-/opt/vmp/libexec/vmp}
MGMT_LIMIT=$((1 << 20))

# Settings of every program under test, and what starts it
TEST_ENV=(UCX_TLS="$TLS" UCX_LOG_LEVEL=info)
LAUNCH=(vmprun)
if [ "$TLS" != vmp ]; then
    # UCX's own connection set-up needs an IPv6 GID with soft-RoCE
    TEST_ENV+=(UCX_IB_GID_INDEX=2)
    LAUNCH=()
fi

# Debian 13's ucx_perftest starts MPI in any case: without UCX in there, too. And
# without a compiler for GPUs (rocm's module) and GPUs' libraries (hwloc's
# plug-ins), whose loading takes more time than most tests.
PERF_ENV=(OMPI_MCA_pml=ob1 HWLOC_PLUGINS_PATH=/nonexistent
          "UCX_MODULES=^rocm,mad")

# UCX copies large messages through buffers where it takes memcpy for faster than
# the port, as it does with soft-RoCE's. Who compares transports wants what it does
# with fast NICs, and of all of them the same.
# shellcheck disable=SC2034 # benchmarks and some tests use it
ZCOPY_ENV=(UCX_RNDV_THRESH=32k UCX_ZCOPY_THRESH=32k)

failures=0
lab_is_ours=0
lab_script=$(readlink -f "$0")
lab_arguments=("$@")
perf_port=13500
perf_options=

say()
{
    echo "$(basename "$0" .sh): $*"
}

# The test goes on, but has failed
problem()
{
    say "FAIL: $*"
    failures=$((failures + 1))
}

fail()
{
    say "FAIL: $*"
    exit 1
}

skip()
{
    if [ "${VMP_REQUIRE_LAB:-0}" = 1 ]; then
        fail "$* (and VMP_REQUIRE_LAB is set)"
    fi
    say "SKIP: $*"
    exit 77
}

# Commands that run on exit, last first
lab_at_exit=()

at_exit()
{
    lab_at_exit=("$1" ${lab_at_exit[@]+"${lab_at_exit[@]}"})
}

lab_exit()
{
    local ret=$? command again=0

    trap '' INT TERM
    trap - EXIT
    case $ret in
        0 | 77 | 130 | 143) ;;
        *) ! lab_autopsy || again=1 ;;
    esac
    for command in ${lab_at_exit[@]+"${lab_at_exit[@]}"}; do
        $command || true
    done
    lab_stop_jobs
    if [ "$lab_is_ours" = 1 ]; then
        "$VMPLAB" down || true
    fi
    if [ "${VMP_TEST_KEEP:-0}" = 1 ]; then
        echo "output: $OUT"
    else
        rm -rf "$OUT"
    fi
    [ $again = 0 ] || lab_run_again
    exit $ret
}

# Once, and said aloud: see lab_renew
lab_run_again()
{
    [ -z "${VMP_TEST_AGAIN:-}" ] || {
        say "in the second run, too"
        return 0
    }
    say "the test runs again: no processor has such flags"
    trap - INT TERM
    VMP_TEST_AGAIN=1 exec "$lab_script" ${lab_arguments[@]+"${lab_arguments[@]}"}
}

lab_stop_jobs()
{
    local pid

    for pid in $(jobs -p); do
        kill -TERM "$pid" 2>/dev/null || true
    done
    wait
}

lab_status()
{
    "$VMPLAB" status >"$OUT/status" 2>&1
}

# An emulated host may die, not by us: some did, with a double fault and garbage in
# their flags (QEMU 7.2; over rc_verbs, too). What they were in runs again, once
# (see lab_exit). Only a lab of this checkout is ours to replace.
lab_renew()
{
    local suite

    grep -qx 'lab: broken' "$OUT/status" || return 1
    grep -qxF "checkout: $(cd "$LAB_TEST_DIR/../.." && pwd -P)" \
         "$OUT/status" || return 1
    suite=$(sed -n 's/^suite: //p' "$OUT/status")
    say "a host of the lab has ended before this test: starting it anew"
    grep '^host .*: ended' "$OUT/status" || true
    "$VMPLAB" down && "$VMPLAB" up --suite "${suite:?}" >"$OUT/up" 2>&1 || {
        tail -n 20 "$OUT/up"
        return 1
    }
    lab_status
}

# For the verdict of a test in which a host died: its last words. Whether it is what
# the emulator does; any other panic may be of what we did, and fails the test.
lab_autopsy()
{
    local host console ret=1

    lab_status || true
    while read -r host console; do
        say "host $host of the lab has ended:"
        grep -aE 'PANIC|Oops|BUG|panic|Comm:|RIP:' "$console" |
            sed 's/^/    | /' | head -n 12 || true
        ! grep -aq 'PANIC: double fault' "$console" || ret=0
    done < <(sed -n 's/^host \(.*\): ended, console /\1 /p' "$OUT/status")
    return $ret
}

# Finds the lab, or brings one up that lab_exit takes down again. Sets links.
lab_start()
{
    [ "$(id -u)" = 0 ] || skip "the lab needs root"
    [ -x "$VMPLAB" ] || skip "there is no $VMPLAB"
    OUT=$(mktemp -d)
    trap lab_exit EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    if ! lab_status && ! lab_renew; then
        # From now on even if `up` is interrupted: it undoes what it did, and
        # it refuses to start beside somebody else's
        "$VMPLAB" up --suite "${VMP_SUITE:-trixie}" >"$OUT/up" 2>&1 || {
            tail -n 20 "$OUT/up"
            skip "no lab: $(grep -v '^$' "$OUT/up" | tail -n 1)"
        }
        lab_is_ours=1
    elif [ -n "${VMP_SUITE:-}" ] && grep -q '^suite: ' "$OUT/status" &&
         ! grep -q "^suite: $VMP_SUITE\$" "$OUT/status"; then
        skip "the lab that is up is not of $VMP_SUITE"
    fi
    counters_read
    resources_note
    # shellcheck disable=SC2034 # the tests use it
    links=${#LINK_AB[@]}
    if [ "$TLS" = vmp ]; then
        on a 20 test -e /opt/vmp/bin/vmprun ||
            fail "the lab has no build of Virtuoso"
    else
        say "with $TLS in place of vmp"
    fi
    ! on a 20 bash -c 'ucx_perftest -h 2>&1 | grep -qe "^ *-P "' ||
        perf_options='-P 0' # the build with MPI: sockets, please
}

# ucx_is_before MAJOR.MINOR: the hosts' UCX
ucx_is_before()
{
    local is

    is=$(on a 20 ucx_info -v | sed -nE 's/.*ersion:? ([0-9]+\.[0-9]+).*/\1/p' |
         head -n 1)
    version_is_before "${is:?}" "$1"
}

# version_is_before VERSION OTHER
version_is_before()
{
    [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" != "$2" ]
}

# Packets that the device of host $1 has sent and received: those to itself count
# twice
device_packets()
{
    # shellcheck disable=SC2016 # for the shell over there
    on "$1" 30 bash -c 'cd /sys/class/infiniband/rxe0/ports/1/hw_counters
        echo $(($(cat sent_pkts) + $(cat rcvd_pkts)))'
}

# Ends a test: the sum of what problem said
lab_end()
{
    resources_check "at the end"
    if [ $failures -gt 0 ]; then
        say "FAIL: $failures problems"
        exit 1
    fi
    say "PASS"
    exit 0
}

# What the RDMA devices of host $1 have: QPs, CQs, MRs, PDs, SRQs of all
# processes
resources_of()
{
    on "$1" 20 rdma resource show | sed -E 's/^[0-9]+: //'
}

# Remembers them as what resources_check wants. Demo and benchmarks, which
# do not begin by lab_start, do not ask.
RESOURCES_A='' RESOURCES_B=''
resources_note()
{
    RESOURCES_A=$(resources_of a)
    RESOURCES_B=$(resources_of b)
}

# Waits for some seconds until host $1 has $2; prints what it has
resources_wait()
{
    # shellcheck disable=SC2016 # for the shell over there
    on "$1" 60 bash -c 'while [ $SECONDS -lt 15 ]; do
            now=$(rdma resource show | sed -E "s/^[0-9]+: //")
            [ "$now" != "$1" ] || break
            sleep 0.2
        done; echo "$now"' - "$2"
}

# resources_check WHAT: they are as they were
resources_check()
{
    local now_a now_b pid

    [ -n "$RESOURCES_A" ] || return 0
    resources_wait b "$RESOURCES_B" >"$OUT/resources" &
    pid=$!
    now_a=$(resources_wait a "$RESOURCES_A") || true
    wait $pid || true
    now_b=$(cat "$OUT/resources")
    if [ "$now_a" != "$RESOURCES_A" ] || [ "$now_b" != "$RESOURCES_B" ]; then
        problem "$1: RDMA resources are left over: before" \
                "'$RESOURCES_A' '$RESOURCES_B', now '$now_a' '$now_b'"
        [ "$now_a" = "$RESOURCES_A" ] || resources_owners a
        [ "$now_b" = "$RESOURCES_B" ] || resources_owners b
    fi
}

# Whose the RDMA resources of host $1 are, and where these processes are: in the
# kernel, for one that was killed and does not end
resources_owners()
{
    # shellcheck disable=SC2016 # for the shell over there
    on "$1" 30 bash -c '
        rdma resource show qp | grep " pid "
        for pid in $(rdma resource show ctx | sed -n "s/.* pid \([0-9]*\).*/\1/p" |
                     sort -u); do
            for task in /proc/$pid/task/*; do
                echo "$(sed -n "/^Name\|^State/s/.*:\t//p" $task/status |
                        paste -sd " ") task ${task##*/} of $pid:" \
                     "$(sed "s/^\[<0>\] //" $task/stack | head -n 12 |
                        paste -sd " ")"
            done
        done
        dmesg | tail -n 15' 2>&1 | sed 's/^/    | /' || true
}

# on HOST SECONDS CMD...
on()
{
    local host=$1 seconds=$2

    shift 2
    "$VMPLAB" exec "$host" --timeout "$seconds" -- "$@" </dev/null
}

counters_reset()
{
    "$VMPLAB" counters --reset >/dev/null
}

# Sets LINK_AB and LINK_BA (bytes of each link), SUM_AB, SUM_BA and MGMT. Below 0
# if somebody resets them just then.
counters_read()
{
    local numbers i

    # The order of the JSON text is fixed: ab and ba of each link, mgmt
    mapfile -t numbers < <("$VMPLAB" counters --json |
                           grep -oE '"bytes": *-?[0-9]+' |
                           grep -oE -e '-?[0-9]+')
    [ ${#numbers[@]} -ge 3 ] || fail "vmplab counters says nothing"
    LINK_AB=() LINK_BA=() SUM_AB=0 SUM_BA=0
    for ((i = 0; i + 1 < ${#numbers[@]}; i += 2)); do
        LINK_AB+=("${numbers[$i]}")
        LINK_BA+=("${numbers[$((i + 1))]}")
        SUM_AB=$((SUM_AB + numbers[i]))
        SUM_BA=$((SUM_BA + numbers[i + 1]))
    done
    MGMT=${numbers[-1]}
}

# How many of the numbers are at least 5 % of their sum
links_used()
{
    printf '%s\n' "$@" | awk '{ n[NR] = $1; sum += $1 }
        END { for (i in n) used += (sum > 0 && n[i] >= 0.05 * sum)
              print used + 0 }'
}

# assert_traffic WHAT AB BA: the links carried that many bytes of payload since
# the last reset, and the management network next to nothing
assert_traffic()
{
    counters_read
    if [ "$SUM_AB" -lt "$2" ] || [ "$SUM_BA" -lt "$3" ]; then
        problem "$1: the links carried $SUM_AB and $SUM_BA bytes, less than" \
                "the payload of $2 and $3"
    fi
    if [ "$MGMT" -ge $MGMT_LIMIT ]; then
        problem "$1: the management network carried $MGMT bytes"
    fi
}

# UCX's own words on what it chose (UCX_LOG_LEVEL=info): a line per kind of
# endpoint, "ep_cfg[0]: tag(vmp/rxe0:1) ..." in 1.13 and "... cfg#0 tag(...)"
# in newer ones
lane_lines()
{
    cat "$@" | grep -aE '(ep_cfg\[[0-9]+\]|cfg#[0-9]+).*\(' || true
}

# Rows of the tables that UCX_PROTO_INFO=y makes: 1.13 prints no lines of the
# first kind with its new protocols
proto_lines()
{
    cat "$@" | grep -aE '\|.*\.\..*\|.*\|.*/.*\| *$' || true
}

# Transport/device of all lanes in these files
lanes()
{
    {
        lane_lines "$@" | sed -E 's/.*(ep_cfg\[|cfg#)//'
        proto_lines "$@" | sed -E 's/.*\|([^|]*)\| *$/\1/'
    } | { grep -oE '[a-z0-9_]+/[A-Za-z0-9_.:-]+' || true; } |
        LC_ALL=C sort -u
}

# assert_packets WHAT AB BA: where the payload is next to nothing, at least as
# many packets since the last reset. Bytes of connection set-up are no excuse.
assert_packets()
{
    local numbers i ab=0 ba=0

    mapfile -t numbers < <("$VMPLAB" counters --json |
                           grep -oE '"packets": *[0-9]+' | grep -oE '[0-9]+')
    for ((i = 0; i + 2 < ${#numbers[@]}; i += 2)); do
        ab=$((ab + numbers[i]))
        ba=$((ba + numbers[i + 1]))
    done
    if [ $ab -lt "$2" ] || [ $ba -lt "$3" ]; then
        problem "$1: the links carried $ab and $ba packets, fewer than the" \
                "$2 and $3 messages"
    fi
}

# assert_lanes WHAT FILE...: every lane in every file is ours
assert_lanes()
{
    local what=$1 lane file

    shift
    for file; do
        lane=$(lanes "$file")
        [ -n "$lane" ] || problem "$what: UCX says nothing of its lanes"
        for lane in $lane; do
            case ,$TLS, in
                *",${lane%%/*},"*) ;;
                *) problem "$what: a lane goes over $lane" ;;
            esac
        done
    done
}

# The last lines of what a failing program said
show()
{
    local file

    for file; do
        [ ! -s "$file" ] || sed 's/^/    | /' "$file" | tail -n 8
    done
}

# listens HOST PORT: waits some seconds for somebody who does
listens()
{
    # shellcheck disable=SC2016 # for the shell over there
    on "$1" 30 bash -c 'for ((i = 0; i < 100; i++)); do
        ! ss -Hltn "sport = :$1" | grep -q . || exit 0; sleep 0.2
        done; exit 1' - "$2"
}

# pair SECONDS PORT SERVER_CMD -- CLIENT_CMD: the server on b, and as soon as it
# listens, the client on a. Output in $OUT/server, $OUT/client. RDMA resources
# are back afterwards.
pair()
{
    local seconds=$1 port=$2 server=() pid ret=0

    shift 2
    while [ "$1" != -- ]; do
        server+=("$1")
        shift
    done
    shift
    on b "$seconds" "${server[@]}" >"$OUT/server" 2>&1 &
    pid=$!
    if listens b "$port"; then
        on a "$seconds" "$@" >"$OUT/client" 2>&1 || ret=$?
    else
        echo "the server does not listen on port $port" >"$OUT/client"
        ret=1
    fi
    [ $ret = 0 ] || kill -TERM $pid 2>/dev/null || true
    wait $pid || [ $ret != 0 ] || ret=$?
    resources_check "port $port"
    return $ret
}

# perf WHAT TEST SIZE ITERATIONS [NAME=VALUE...] [-- OPTION...]: ucx_perftest
# with contents of its own choice; checks payload, lanes and management network.
# Sets BW (MB/s) and LAT (us, median).
perf()
{
    local what=$1 test=$2 size=$3 iterations=$4 settings=() payload ab=0 ba=0

    shift 4
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        settings+=("$1")
        shift
    done
    [ $# = 0 ] || shift
    BW=0 LAT=0
    what="$what: $test, $size bytes"
    perf_port=$((perf_port + 1))
    counters_reset
    # shellcheck disable=SC2086 # options are words
    if ! pair 90 $perf_port \
              env "${TEST_ENV[@]}" "${PERF_ENV[@]}" "${settings[@]}" \
              "${LAUNCH[@]}" ucx_perftest $perf_options -p $perf_port "$@" \
              -- \
              env "${TEST_ENV[@]}" "${PERF_ENV[@]}" "${settings[@]}" \
              "${LAUNCH[@]}" ucx_perftest b $perf_options -p $perf_port -t "$test" \
              -s "$size" -n "$iterations" -w 2 -f -v "$@"; then
        problem "$what does not run"
        show "$OUT/server" "$OUT/client"
        return 0
    fi
    perf_result "$what" || return 0
    payload=$((size * iterations))
    case $test in
        *_lat) ab=$payload ba=$payload ;;
        ucp_get | get) ba=$payload ;;
        *) ab=$payload ;;
    esac
    assert_traffic "$what" $ab $ba
    # No message is smaller than a packet, and vmp puts no two into one
    if [ "$size" -le 1024 ] && [ "$size" -gt 0 ]; then
        assert_packets "$what" $((ab / size)) $((ba / size))
    fi
    case $test in
        am_* | put_* | get) ;; # below UCP: no lanes, the transport was named
        *) assert_lanes "$what" "$OUT/client" "$OUT/server" ;;
    esac
    say "$what: $BW MB/s, $LAT us"
}

# The last line of comma separated numbers: iterations, latency median, average
# and overall, bandwidth average and overall, message rate average and overall
perf_result()
{
    local line

    # Some columns are nan or inf in short runs
    line=$(grep -aE '^ *[0-9]+(,[-0-9.a-z]+){7}' "$OUT/client" | tail -n 1 ||
           true)
    if [ -z "$line" ]; then
        problem "$1: no result"
        show "$OUT/server" "$OUT/client"
        return 1
    fi
    IFS=, read -r _ LAT _ _ _ BW _ <<<"$line"
}

median()
{
    printf '%s\n' "$@" | LC_ALL=C sort -g |
        awk '{ v[NR] = $1 }
             END { k = int((NR + 1) / 2)
                   print (v[k] + v[NR + 1 - k]) / 2 }'
}

# calc EXPRESSION: floating point; 1 and 0 for comparisons
calc()
{
    awk "BEGIN { print ($*) }"
}
