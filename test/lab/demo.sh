#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: lab
# short on: trixie
# timeout: 300
#
# What people run first, and a benchmark: that they run, and what they say.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

# runs WHAT REGEXP COMMAND...: ends well and says so
runs()
{
    local what=$1 regexp=$2

    shift 2
    if ! "$@" >"$OUT/log" 2>&1 || ! grep -qE "$regexp" "$OUT/log"; then
        problem "$what"
        tail -n 30 "$OUT/log"
    else
        say "$what: $(grep -E "$regexp" "$OUT/log" | head -n 1)"
    fi
}

lab_start
[ "$TLS" = vmp ] || skip "is about vmp itself"
contrib=$LAB_TEST_DIR/../../contrib
runs "contrib/demo" 'tag_bw: 16 paths on [34] of 4 links' \
     "$contrib/demo" --quick
grep -q 'links cut in mid-transfer: no error, going on meanwhile' "$OUT/log" ||
    problem "contrib/demo does not say that vmp goes on while a link is cut"
# How quick it is shows where nothing else runs
runs "contrib/bench/onepath" '^tag_bw +ratio' \
     "$contrib/bench/onepath" --rounds 1 --tests tag_bw --bar 1000
lab_end
