#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: lab
# short on: bookworm
# timeout: 240
#
# Python processes that use UCX in the way of UCX-Py and UCXX, by ctypes:
# started by vmprun, and without a preload, with the module loaded by its path.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

MODULE=/opt/vmp/lib/ucx/libuct_vmp.so.0
port=15500

# python_pair WHAT LAUNCHER... -- OPTION...
python_pair()
{
    local what=$1 launch=() pid i sent ret=0

    shift
    while [ "$1" != -- ]; do
        launch+=("$1")
        shift
    done
    shift
    port=$((port + 1))
    counters_reset
    on b 80 env "${TEST_ENV[@]}" "${launch[@]}" python3 \
        "$LIBEXEC/vmp_python.py" "$@" server 10.1.2.2 $port \
        >"$OUT/server" 2>&1 &
    pid=$!
    for ((i = 0; i < 100; i++)); do
        ! grep -aq 'vmp_python: listening' "$OUT/server" || break
        sleep 0.2
    done
    on a 80 env "${TEST_ENV[@]}" "${launch[@]}" python3 \
        "$LIBEXEC/vmp_python.py" "$@" client 10.1.2.2 $port \
        >"$OUT/client" 2>&1 || ret=$?
    [ $ret = 0 ] || kill -TERM $pid 2>/dev/null || true
    wait $pid || ret=$?
    sent=$(sed -n 's/vmp_python: PASS: \([0-9]*\) bytes.*/\1/p' "$OUT/client")
    if [ $ret != 0 ] || [ -z "$sent" ] ||
       ! grep -aq 'vmp_python: PASS' "$OUT/server"; then
        problem "$what: fails"
        show "$OUT/server" "$OUT/client"
        return 0
    fi
    assert_traffic "$what" "$sent" "$sent"
    assert_lanes "$what" "$OUT/client" "$OUT/server"
    resources_check "$what"
    say "$what: $(grep -ah 'PASS' "$OUT/client" "$OUT/server" |
                  sed 's/.*PASS: //' | paste -sd ';')"
}

lab_start
python_pair "by vmprun" "${LAUNCH[@]}" --
[ "$TLS" != vmp ] || python_pair "module by its path" -- --module $MODULE
lab_end
