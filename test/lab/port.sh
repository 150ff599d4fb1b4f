#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: lab
# short on: trixie
# timeout: 240
#
# The verbs port by itself, in one host, on its soft-RoCE device in loopback.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_start
[ "$TLS" = vmp ] || skip "is about vmp itself"
on a 200 "$LIBEXEC/vmp_port_test" rxe0 >"$OUT/port" 2>&1 ||
    problem "vmp_port_test fails (exit code $?)"
grep -q '^PASS$' "$OUT/port" || problem "vmp_port_test does not pass"
if [ "$failures" = 0 ]; then
    grep -v '^  \[' "$OUT/port"
else
    show "$OUT/port"
fi
lab_end
