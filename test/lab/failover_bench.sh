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
# contrib/bench/failover, with few cuts: that it runs, that all it compares is there,
# and that vmp goes on while a link is cut. How long pauses are shows where nothing
# else runs.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

CUTS=3
# Of the median pause, ms. Links are cut for 2600, which the device alone waits for at
# least; a pause is mostly a third of this, but other work may run beside it.
BAR=2000

# row NAME [goes_on]: links, before, cut, of 3/4, healed, of all, pause, outcome. All
# have carried something before the cut. Who goes on has done so from 2 s after the
# cut to its end, too, and after it. The device's own tries cannot do that: the link
# that is cut carried most, and messages have parts on all.
row()
{
    local line

    line=$(grep -E "^$1 +[1-9]" "$OUT/log" | tail -n 1 || true)
    [ "$(awk '{ print ($3 > 0) }' <<<"$line")" = 1 ] || problem "$1: '$line'"
    if [ "${2:-}" = goes_on ] &&
       [ "$(awk '{ print ($4 > 0 && $6 > 0 && /goes on$/) }' \
                <<<"$line")" != 1 ]; then
        problem "$1 does not go on in the cut and after it: '$line'"
    fi
    say "$line"
}

lab_start
[ "$TLS" = vmp ] || skip "is about vmp itself"
bench=$LAB_TEST_DIR/../../contrib/bench/failover
"$bench" --cuts $CUTS --bar $BAR --out "$OUT/bench" >"$OUT/log" 2>&1 || {
    problem "contrib/bench/failover"
    tail -n 40 "$OUT/log"
}
row rc_verbs
row ucx-4
row vmp goes_on
row vmp-1k goes_on
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
