#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: lab
# short on: trixie
# timeout: 180
#
# vmp shows itself where it can work and nowhere else, is never chosen beside
# rc_verbs, and refuses bad settings in clear words.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

test_device_present()
{
    on a 30 vmprun ucx_info -d >"$OUT/info" 2>&1 || problem "ucx_info fails"
    if ! grep -q 'Transport: vmp' "$OUT/info"; then
        problem "vmprun ucx_info -d does not list vmp"
        show "$OUT/info"
    fi
    grep -A 3 'Transport: vmp' "$OUT/info" | grep 'Device: rxe0:1' >/dev/null ||
        problem "vmp does not list rxe0:1"
    on a 30 vmprun ucx_info -cf >"$OUT/config" 2>&1 ||
        problem "ucx_info -cf fails"
    for name in NUM_PATHS SPREAD_THRESH POLICY GID_INDEX TRAFFIC_CLASS SL \
                PKEY PATH_MTU TIMEOUT RETRY_COUNT; do
        grep -q "^UCX_VMP_$name=" "$OUT/config" ||
            problem "ucx_info -cf does not know UCX_VMP_$name"
    done
    on a 30 bash -c 'LD_PRELOAD= ucx_info -d' >"$OUT/plain" 2>&1 ||
        problem "ucx_info fails"
    ! grep -q 'Transport: vmp' "$OUT/plain" ||
        problem "ucx_info -d lists vmp without vmprun"
}

device_back()
{
    on b 20 bash -c 'rdma link show rxe0/1 >/dev/null 2>&1 ||
                     rdma link add rxe0 type rxe netdev eth0'
}

# Two figures of ucx_info differ from run to run
info_of()
{
    sed -E 's/0x[0-9a-f]{6,}/ADDRESS/g' "$1"
}

test_device_absent()
{
    at_exit device_back
    on b 20 rdma link del rxe0 || fail "cannot take away rxe0"
    on b 30 ucx_info -d >"$OUT/plain" 2>&1 || problem "ucx_info fails"
    on b 30 vmprun ucx_info -d >"$OUT/info" 2>&1 ||
        problem "without a device: vmprun ucx_info fails"
    if ! diff <(info_of "$OUT/plain") <(info_of "$OUT/info") >"$OUT/diff"; then
        problem "without a device: vmprun changes ucx_info -d"
        show "$OUT/diff"
    fi
    on b 30 bash -c 'LD_PRELOAD=/opt/vmp/lib/libvmp-preload.so ucx_info -d' \
       >"$OUT/info" 2>&1 || problem "without a device: the shim breaks ucx_info"
    if ! diff <(info_of "$OUT/plain") <(info_of "$OUT/info") >"$OUT/diff"; then
        problem "without a device: the shim changes ucx_info -d"
        show "$OUT/diff"
    fi
    [ -z "$(on b 20 vmprun --print-env)" ] ||
        problem "without a device: vmprun sets variables"
    on b 60 vmprun mpirun.openmpi -np 1 "$LIBEXEC/vmp_mpi_check.openmpi" \
       --help >"$OUT/info" 2>&1 || {
        problem "without a device: vmprun mpirun fails"
        show "$OUT/info"
    }
    device_back || fail "cannot bring back rxe0"
    on b 30 vmprun ucx_info -d 2>&1 | grep 'Transport: vmp' >/dev/null ||
        problem "vmp does not come back with rxe0"
}

# Both with UCX_TLS=all: the same lanes, whether vmp is there or not
test_not_preferred()
{
    local with without port=13400
    local env=(UCX_TLS=all UCX_LOG_LEVEL=info UCX_IB_GID_INDEX=2
               "${PERF_ENV[@]}")

    for launch in "" vmprun; do
        port=$((port + 1))
        # shellcheck disable=SC2086 # options are words, and none is none
        pair 60 $port env "${env[@]}" $launch \
             ucx_perftest $perf_options -p $port \
             -- env "${env[@]}" $launch \
             ucx_perftest b $perf_options -p $port -t tag_bw -s 8192 -n 50 \
             -w 2 -f -v || {
            problem "UCX_TLS=all $launch: does not run"
            show "$OUT/client" "$OUT/server"
        }
        lanes "$OUT/client" "$OUT/server" >"$OUT/lanes.${launch:-plain}"
        [ -s "$OUT/lanes.${launch:-plain}" ] ||
            problem "UCX_TLS=all $launch: UCX says nothing of its lanes"
    done
    with=$(paste -sd ' ' "$OUT/lanes.vmprun")
    without=$(paste -sd ' ' "$OUT/lanes.plain")
    say "lanes with UCX_TLS=all: $without; under vmprun: $with"
    [ "$with" = "$without" ] || problem "UCX_TLS=all: vmp changes the choice"
    ! grep -q vmp "$OUT/lanes.vmprun" || problem "UCX_TLS=all: chooses vmp"
}

# bad NAME VALUE: refused in words that name the setting, and no crash
bad()
{
    local ret=0 lines

    on a 30 env "$1=$2" UCX_TLS=vmp UCX_LOG_LEVEL=warn vmprun \
       ucx_info -e -u t >"$OUT/bad" 2>&1 || ret=$?
    # 124: hangs; 128 and a signal: crashes. ucx_info itself ends with up to 255
    if [ $ret = 124 ] || { [ $ret -gt 128 ] && [ $ret -lt 160 ]; } ||
       grep -qiE 'assert|caught signal|segmentation|backtrace' "$OUT/bad"; then
        problem "$1=$2: crash or hang (exit code $ret)"
        show "$OUT/bad"
        return 0
    fi
    lines=$(grep -c "${1#UCX_VMP_}" "$OUT/bad" || true)
    if [ "$lines" = 0 ]; then
        problem "$1=$2: no line names the setting (exit code $ret)"
        show "$OUT/bad"
    else
        say "$1=$2: $(grep -m 1 "${1#UCX_VMP_}" "$OUT/bad")"
    fi
    if [ $ret = 0 ]; then
        problem "$1=$2: accepted"
    fi
}

lab_start
[ "$TLS" = vmp ] || skip "is about vmp itself"
test_device_present
test_not_preferred
bad UCX_VMP_NUM_PATHS 0
bad UCX_VMP_NUM_PATHS many
bad UCX_VMP_RETRY_COUNT 8
bad UCX_VMP_POLICY nonsense
bad UCX_VMP_GID_INDEX 99
bad UCX_VMP_PATH_MTU 1234
bad UCX_VMP_TIMEOUT never
bad UCX_VMP_SL 16
bad UCX_VMP_TRAFFIC_CLASS 999
bad UCX_VMP_SPREAD_THRESH some
test_device_absent
lab_end
