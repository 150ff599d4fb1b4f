#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 1000
#
# contrib/bench/onepath: one path of vmp is about as good as rc_verbs. The bar is
# 15 % (docs/benchmarks.md), here twice that, as something else may be running.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_start
[ "$TLS" = vmp ] || skip "is about vmp itself"
"$LAB_TEST_DIR/../../contrib/bench/onepath" --rounds 7 --bar 30 \
    >"$OUT/log" 2>&1 || {
    problem "contrib/bench/onepath"
    tail -n 20 "$OUT/log"
}
grep -E '^tag_(lat|bw) ' "$OUT/log" || true
for test in tag_lat tag_bw; do
    grep -qE "^$test +ratio.*: within 30 %" "$OUT/log" ||
        problem "$test: no ratio, or not within 30 %"
done
lab_end
