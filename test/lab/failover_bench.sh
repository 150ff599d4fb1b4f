#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# full on: trixie
# timeout: 600
#
# contrib/bench/failover, with few cuts: that it runs, and that all it compares is
# there. How long pauses are shows where nothing else runs.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

CUTS=3

# row NAME [REGEXP]: links, before, cut, of 3/4, healed, of all, pause, outcome. All
# have carried something before the cut.
row()
{
    local line

    line=$(grep -E "^$1 +[1-9]" "$OUT/log" | tail -n 1 || true)
    if [ "$(awk '{ print ($3 > 0) }' <<<"$line")" != 1 ] ||
       ! grep -qE "${2:-.}" <<<"$line"; then
        problem "$1: '$line'"
    fi
    say "$line"
}

lab_start
[ "$TLS" = vmp ] || skip "is about vmp itself"
bench=$LAB_TEST_DIR/../../contrib/bench/failover
"$bench" --cuts $CUTS --out "$OUT/bench" >"$OUT/log" 2>&1 || {
    problem "contrib/bench/failover"
    tail -n 40 "$OUT/log"
}
row rc_verbs
row ucx-4
row vmp 'goes on$'
row vmp-1k 'goes on$'
# Either UCX had several links, or it is said that it had not
if grep -qE '^ucx-4 +[01] ' "$OUT/log"; then
    grep '^ucx-4: on .* this is no multi-path' "$OUT/log" ||
        problem "ucx-4 had one link, and nothing says so"
fi
for size in 262144 1024; do
    grep -E "^vmp, $CUTS cuts, messages of $size bytes: pause [0-9]" "$OUT/log" ||
        problem "no pauses of messages of $size bytes"
done
for name in rc_verbs ucx-4 vmp vmp-1k; do
    [ "$(grep -c "^$name,[0-9]*,[1-9]" "$OUT/bench/failover.csv")" -ge 5 ] ||
        problem "failover.csv has little of $name"
    grep -q ">$name: MB/s over seconds from the cut<" \
         "$OUT/bench/failover.svg" || problem "failover.svg has no $name"
done
[ "$(tail -n 1 "$OUT/bench/failover.svg")" = "</svg>" ] ||
    problem "failover.svg has no end"
lab_end
