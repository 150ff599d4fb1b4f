#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: lab
# short on: trixie
# timeout: 480
#
# Foreign, broken and replayed control datagrams while verified transfers run:
# nobody notices, neither on connections that stand nor on those being made.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_integrity.sh
. "$LAB_TEST_DIR/lib_integrity.sh"
# shellcheck source-path=SCRIPTDIR source=lib_programs.sh
. "$LAB_TEST_DIR/lib_programs.sh"

seed=${VMP_TEST_SEED:-$RANDOM}

lab_start
[ "$TLS" = vmp ] || skip "is about vmp itself"
on b 430 "$LIBEXEC/vmp_hostile" -t 420 -s "$seed" >"$OUT/hostile" 2>&1 &
hostile=$!
for ((i = 0; i < 50; i++)); do
    ! grep -q listening "$OUT/hostile" || break
    sleep 0.2
done
grep -q listening "$OUT/hostile" || fail "$(cat "$OUT/hostile")"
without_a=$RESOURCES_A without_b=$RESOURCES_B
resources_note
# The second and third meet what was collected from the first
integrity "peer error handling" "-n 30 -E -s $seed" ""
mesh "made and closed" 2 "-c 5 -f m -s $seed" ""
integrity default "-n 30 -s $seed" ""
# shellcheck disable=SC2016 # for the shell over there
on b 20 bash -c 'kill -TERM $(pidof vmp_hostile)' ||
    problem "vmp_hostile had ended by itself"
wait $hostile || problem "vmp_hostile ends with $?"
grep -q 'vmp_hostile: PASS' "$OUT/hostile" || problem "vmp_hostile fails"
sed 's/^/    | /' "$OUT/hostile"
RESOURCES_A=$without_a RESOURCES_B=$without_b
lab_end
