#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# Runs vmp_python.py on both hosts; source it after lib.sh.

python_port=15500
python_limit=80     # seconds

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
    python_port=$((python_port + 1))
    counters_reset
    on b $python_limit env "${TEST_ENV[@]}" "${launch[@]}" python3 \
        "$LIBEXEC/vmp_python.py" "$@" server 10.1.2.2 $python_port \
        >"$OUT/server" 2>&1 &
    pid=$!
    for ((i = 0; i < 100; i++)); do
        ! grep -aq 'vmp_python: listening' "$OUT/server" || break
        sleep 0.2
    done
    on a $python_limit env "${TEST_ENV[@]}" "${launch[@]}" python3 \
        "$LIBEXEC/vmp_python.py" "$@" client 10.1.2.2 $python_port \
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
