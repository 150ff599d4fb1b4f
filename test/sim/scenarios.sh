#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# Runs the scenarios in scenarios/: a program's seed and accidents by name. Each
# passes, or breaks the rule that its line "# broken: RULE" names: what the core
# is known not to survive (see expected.c). If it does survive, that line has to
# go. "# shows: PATTERN" is what the trace says when it comes to the place that
# it is about, maybe in several such lines: if it does not any more, it passes
# without showing anything.

set -eu

src=${VMP_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
program=${VMP_BUILDDIR:-$src}/test/sim_fault
failed=0

# unshown TEXT PATTERNS: those of these, one a line, that the text does not have
unshown() {
    local pattern

    [ -n "$2" ] || echo "any \"# shows:\""
    while read -r pattern; do
        grep -q -- "$pattern" <<<"$1" || echo "\"$pattern\""
    done <<<"$2"
}

[ -x "$program" ] || {
    echo "skipped: there is no $program"
    exit 77
}

for file in "$src"/test/sim/scenarios/*.txt; do
    name=$(basename "$file" .txt)
    want=$(sed -n 's/^# broken: //p' "$file")
    shows=$(sed -n 's/^# shows: //p' "$file")
    out=$(VMP_SIM_STRICT=1 VMP_SIM_TRACE=3 timeout 60 "$program" "$file" \
        2>&1) && ret=0 || ret=$?
    got=$(sed -n 's/.*: rule "\([a-z-]*\)" is broken at.*/\1/p' <<<"$out")
    missing=$(unshown "$out" "$shows")
    if [ -n "$missing" ]; then
        echo "FAIL $name: does not show $missing (any more): find it another" \
            "program or another time"
        failed=1
    elif [ "$got" = "$want" ] && { [ -n "$want" ] || [ "$ret" -eq 0 ]; }; then
        echo "ok $name${want:+: breaks \"$want\", as is known}"
    else
        echo "FAIL $name: breaks \"$got\" (exit code $ret), not \"$want\""
        printf '%s\n' "$out" | tail -n 20
        failed=1
    fi
done
exit $failed
