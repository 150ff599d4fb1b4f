#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: lab
# short on: trixie
# timeout: 240
#
# What is not as it should be ends in a clear line, and other transports go on:
# wrong device, port down, no locked memory, peers that are not there. No device
# at all and bad settings: fallback.sh.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_programs.sh
. "$LAB_TEST_DIR/lib_programs.sh"

# A user with no rights and 64 KiB of locked memory
NOBODY=(setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set=-all
        --inh-caps=-all prlimit --memlock=65536:65536 env HOME=/tmp)

# try WHAT CMD...: in host b. Never a crash or a hang; output in $OUT/try,
# sets RET
try()
{
    local what=$1

    shift
    RET=0
    on b 30 "$@" >"$OUT/try" 2>&1 || RET=$?
    if [ $RET = 124 ] || { [ $RET -gt 128 ] && [ $RET -lt 160 ]; } ||
       grep -qiE 'assert|caught signal|segmentation|backtrace' "$OUT/try"; then
        problem "$what: crash or hang (exit code $RET)"
        show "$OUT/try"
    fi
}

# says WHAT PATTERN: a line of the last try
says()
{
    if grep -qE "$2" "$OUT/try"; then
        say "$1: $(grep -m 1 -E "$2" "$OUT/try")"
    else
        problem "$1: no line says '$2'"
        show "$OUT/try"
    fi
}

fails()
{
    [ $RET != 0 ] || problem "$1: goes on"
}

works()
{
    [ $RET = 0 ] || {
        problem "$1: fails ($RET)"
        show "$OUT/try"
    }
}

test_wrong_name()
{
    local env=(env UCX_NET_DEVICES=nope:1 UCX_LOG_LEVEL=warn)

    try "wrong device" "${env[@]}" UCX_TLS=vmp vmprun ucx_info -e -u t
    fails "wrong device"
    says "wrong device" nope:1
    try "wrong device, all" "${env[@]}" UCX_TLS=all vmprun ucx_info -e -u t
    ! grep -q 'vmp/' "$OUT/try" || problem "wrong device: vmp is used anyway"
}

down_away()
{
    on b 30 bash -c '! rdma link show rxe1/1 >/dev/null 2>&1 ||
                     rdma link del rxe1
                     ! ip link show dummy0 >/dev/null 2>&1 ||
                     ip link del dummy0'
}

# A second device, so that the lab keeps its own
test_port_down()
{
    at_exit down_away
    on b 30 bash -c 'modprobe dummy &&
        { ip link show dummy0 >/dev/null 2>&1 ||
          ip link add dummy0 type dummy; } &&
        ip addr add 10.99.0.1/24 dev dummy0 && ip link set dummy0 up &&
        rdma link add rxe1 type rxe netdev dummy0' >"$OUT/down" 2>&1 ||
        fail "no second device: $(cat "$OUT/down")"
    try "second port up" vmprun ucx_info -d
    [ "$(grep -A 3 'Transport: vmp' "$OUT/try" |
         grep -c 'Device: rxe[01]:1')" = 2 ] || problem "vmp does not list both"
    on b 30 ip link set dummy0 down
    try "port down" vmprun ucx_info -d
    works "port down"
    [ "$(grep -A 3 'Transport: vmp' "$OUT/try" | grep 'Device: rxe')" \
      = "$(grep -A 3 'Transport: vmp' "$OUT/try" | grep 'Device: rxe0:1')" ] ||
        problem "vmp lists a port that is down"
    try "port down, asked for" env UCX_TLS=vmp UCX_NET_DEVICES=rxe1:1 \
        UCX_LOG_LEVEL=warn vmprun ucx_info -e -u t
    fails "port down, asked for"
    says "port down, asked for" rxe1:1
    down_away
}

test_nobody()
{
    try "no locked memory" "${NOBODY[@]}" UCX_TLS=vmp UCX_LOG_LEVEL=warn \
        vmprun ucx_info -e -u t
    fails "no locked memory"
    says "no locked memory" 'rxe0.*64 KiB of locked memory.*ulimit -l'
    try "no locked memory, vmp or tcp" "${NOBODY[@]}" UCX_TLS=vmp,tcp,self \
        vmprun ucx_info -e -u t
    works "no locked memory, vmp or tcp"
    says "no locked memory, vmp or tcp" '[^a-z]tcp/'
    # Not UCX_TLS=all: stock UCX's ud_verbs then tries for ever to get memory,
    # without vmp as with it
}

# Who is not told of errors ends, with a line
test_no_handler()
{
    life kill "" UCX_VMP_TIMEOUT=200ms 137
    if [ "$SERVER_RET" = 0 ] ||
       ! grep -aq 'did not ask to be told of errors' "$OUT/server" ||
       grep -aq 'time limit' "$OUT/server"; then
        problem "no error handler: ends with $SERVER_RET"
        show "$OUT/server"
    else
        say "no error handler: exit code $SERVER_RET," \
            "$(grep -am 1 'did not ask to be told of errors' "$OUT/server")"
    fi
}

lab_start
[ "$TLS" = vmp ] || skip "is about vmp itself"
test_wrong_name
test_port_down
test_nobody
life_ok dead "-E -g 15" UCX_VMP_PEER_TIMEOUT=3s 137
test_no_handler
lab_end
