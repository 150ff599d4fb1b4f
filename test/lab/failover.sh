#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: lab
# timeout: 240
#
# Links are cut and healed, one after the other, under verified transfers of all
# kinds: no error, all contents right, and the paths come back.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_integrity.sh
. "$LAB_TEST_DIR/lib_integrity.sh"

# Cuts and heals links while the file $OUT/cutting is there
cutter()
{
    local i=0

    while [ -e "$OUT/cutting" ] && [ "$i" -lt 40 ]; do
        sleep 1.5
        "$VMPLAB" link $((i % links + 1)) cut
        sleep 3
        "$VMPLAB" link $((i % links + 1)) heal
        i=$((i + 1))
    done
    echo "$i" >"$OUT/cuts"
}

# shellcheck disable=SC2317 # at exit
heal_all()
{
    local i

    rm -f "$OUT/cutting"
    for ((i = 1; i <= links; i++)); do
        "$VMPLAB" link "$i" heal || true
    done
}

# under_cuts WHAT OPTIONS SETTINGS
under_cuts()
{
    local pid

    touch "$OUT/cutting"
    cutter >"$OUT/cutter" 2>&1 &
    pid=$!
    integrity "$@"
    rm -f "$OUT/cutting"
    wait $pid || problem "$1: the cutter fails: $(tail -n 1 "$OUT/cutter")"
    say "$1: $(cat "$OUT/cuts") links cut," \
        "$(cat "$OUT/client" "$OUT/server" |
           grep -acE 'path .* failed') times a path failed"
    cat "$OUT/client" "$OUT/server" | grep -aqE 'path .* failed' ||
        problem "$1: no path failed: nothing is shown"
}

# So that a path does not wait for seconds before it is given up
quick="UCX_VMP_TIMEOUT=60ms UCX_VMP_RETRY_COUNT=4"

lab_start
[ "$TLS" = vmp ] || skip "is about vmp itself"
[ "$links" -ge 2 ] || skip "the lab has $links links"
at_exit heal_all
under_cuts "links cut one by one" "-n 200" "$quick UCX_VMP_NUM_PATHS=8"
under_cuts "peer error handling" "-n 100 -E" "$quick"
lab_end
