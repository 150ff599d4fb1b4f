#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 600
#
# Values of UCX_VMP_* that are out of range, or no values at all: one line that
# names the setting, an error for the program, no crash and no hang. And the
# extreme values that are allowed but no use for a transfer in the lab.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

# Each is just beyond a limit, or of the wrong kind
BAD='
RCACHE=perhaps ALLOC=nowhere FAILURE=nonsense MAX_NUM_EPS=few
NUM_PATHS=0 NUM_PATHS=65 NUM_PATHS=-1 NUM_PATHS=many NUM_PATHS=
SPREAD_THRESH=some SPREAD_THRESH=1025g SPREAD_THRESH=2t
POLICY=nonsense POLICY=
CHUNK_SIZE=4095 CHUNK_SIZE=1073741825 CHUNK_SIZE=-1
PATH_WINDOW=32767 PATH_WINDOW=2147483649
SEG_SIZE=1023 SEG_SIZE=1048577
SUSPECT_TIME=0 SUSPECT_TIME=never PEER_TIMEOUT=99ms PEER_TIMEOUT=1000001s PEER_TIMEOUT=never
NUM_UD=0 NUM_UD=9
RX_WINDOW=8 RX_WINDOW=131072 RX_WINDOW=500
RX_WINDOW_MIN=0 RX_WINDOW_MIN=513
TX_QUEUE_LEN=8 TX_QUEUE_LEN=65536 TX_QUEUE_LEN=100
TX_CQ_LEN=255 TX_CQ_LEN=4194305
RX_QUEUE_LEN=31 RX_QUEUE_LEN=32769
RX_MAX_BUFS=1023
TX_MAX_BUFS=15
TX_MIN_INLINE=4097
TX_MIN_SGE=1 TX_MIN_SGE=17
MAX_RD_ATOMIC=0 MAX_RD_ATOMIC=256
GID_INDEX=256 GID_INDEX=99 GID_INDEX=first
TRAFFIC_CLASS=256
SL=16
PKEY=0 PKEY=0x8000 PKEY=0x1234 PKEY=zz
PATH_MTU=1234 PATH_MTU=8192
TIMEOUT=4us TIMEOUT=8001s TIMEOUT=never
RETRY_COUNT=7
RNR_TIMEOUT=9us RNR_TIMEOUT=656ms
BANDWIDTH=fast BANDWIDTH=-1 BANDWIDTH=-1MBs
LATENCY=2s
OVERHEAD=2s
STATS=yes STATS=file: STATS=file:/tmp/%x STATS=file:/nowhere/at/all'

# What a setting needs of another is behind a comma
GOOD='PEER_TIMEOUT=100ms TIMEOUT=4.096us TX_QUEUE_LEN=16
TX_QUEUE_LEN=32768,TX_CQ_LEN=32768 CHUNK_SIZE=1g,PATH_WINDOW=1g PATH_WINDOW=2g TRAFFIC_CLASS=auto SL=auto PKEY=auto GID_INDEX=auto
PATH_MTU=default RX_MAX_BUFS=inf TX_MAX_BUFS=inf SPREAD_THRESH=inf
BANDWIDTH=auto MAX_NUM_EPS=inf STATS= STATS=stderr STATS=file:/tmp/%h.%p'

# In the host: every setting of the list with a program that opens the transport
# shellcheck disable=SC2016 # for the shell over there
LOOP='
    for setting; do
        ret=0
        env UCX_VMP_${setting//,/ UCX_VMP_} UCX_TLS=vmp UCX_LOG_LEVEL=warn \
            timeout 30 vmprun ucx_info -e -u t >/tmp/setting 2>&1 </dev/null ||
            ret=$?
        echo "$setting $ret"
        sed "s/^/  | /" /tmp/setting | head -n 30
    done'

# run_list LIST
run_list()
{
    # shellcheck disable=SC2086 # words
    on a 280 bash -c "$LOOP" - $1 >"$OUT/log" 2>&1 ||
        problem "the loop does not end well"
}

# Output of one setting in $OUT/one; sets ret
one()
{
    awk -v setting="$1" '/^  \|/ { if (on) print; next }
                         { on = ($1 == setting) }' "$OUT/log" >"$OUT/one"
    ret=$(awk -v setting="$1" '!/^  \|/ && $1 == setting { print $2 }' \
              "$OUT/log")
    ret=${ret:-none}
}

check_bad()
{
    local name=${1%%=*} lines

    one "$1"
    lines=$(grep -cwE "(UCX_VMP_|VMP_)?$name" "$OUT/one" || true)
    # ucx_info itself ends with up to 255
    if [ "$ret" = none ] || [ "$ret" = 0 ] || [ "$ret" = 124 ] ||
       { [ "$ret" -gt 128 ] && [ "$ret" -lt 160 ]; } ||
       grep -qiE 'assert|caught signal|segmentation|backtrace' "$OUT/one"; then
        problem "$1: accepted, crash or hang (exit code $ret)"
        show "$OUT/one"
    elif [ "$lines" != 1 ]; then
        problem "$1: $lines lines name the setting, not one"
        show "$OUT/one"
    else
        say "$1: $(grep -wE "(UCX_VMP_|VMP_)?$name" "$OUT/one" |
                   sed 's/.*\(ERROR\|WARN\) *//')"
    fi
}

lab_start
[ "$TLS" = vmp ] || skip "is about vmp itself"
run_list "$BAD"
for setting in $BAD; do
    check_bad "$setting"
done
run_list "$GOOD"
for setting in $GOOD; do
    one "$setting"
    if [ "$ret" != 0 ]; then
        problem "$setting: refused ($ret)"
        show "$OUT/one"
    fi
done
lab_end
