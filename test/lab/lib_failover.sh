#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# Links that are cut and healed under verified transfers. Source it after lib.sh
# and lib_integrity.sh.

# Cuts and heals links while the file $OUT/cutting is there
# shellcheck disable=SC2154 # links is from lab_start
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
# shellcheck disable=SC2034 # the tests use it
quick=

failover_start()
{
    lab_start
    [ "$TLS" = vmp ] || skip "is about vmp itself"
    [ "$links" -ge 2 ] || skip "the lab has $links links"
    at_exit heal_all
}
