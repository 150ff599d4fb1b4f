#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 1200
#
# As failover.sh, longer, with other settings and with none; programs that sleep;
# and all links at once.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_integrity.sh
. "$LAB_TEST_DIR/lib_integrity.sh"
# shellcheck source-path=SCRIPTDIR source=lib_failover.sh
. "$LAB_TEST_DIR/lib_failover.sh"

# A wakeup that is lost is a failure of vmp_integrity's. Both have slept at all.
slept()
{
    local num

    num=$(cat "$OUT/client" "$OUT/server" |
          grep -aoE 'vmp_integrity: slept [1-9][0-9]* times.*') || true
    say "programs that sleep: ${num//$'\n'/, }"
    [ "$(grep -c . <<<"$num")" = 2 ] ||
        problem "programs that sleep: not both of them did"
}

failover_start
# shellcheck disable=SC2034 # lib_integrity.sh uses it
integrity_limit=200
under_cuts "links cut one by one" 250 "" "$quick UCX_VMP_NUM_PATHS=8"
under_cuts "default settings" 100 "" "$quick"
under_cuts "peer error handling" 150 "-E" "$quick"
under_cuts "programs that sleep" 100 "-W" "$quick"
slept
under_cuts "every message spread" 100 "" \
           "$quick UCX_VMP_SPREAD_THRESH=0 UCX_VMP_NUM_PATHS=16"
under_cuts "one direction cut" 250 "" "$quick UCX_VMP_NUM_PATHS=8" cutter_oneway
under_cuts "all links cut at once" 60 "" "$quick" cutter_all
# Else the device's own tries have carried all over the cut. One side may have had
# nothing to lose.
num=$(cat "$OUT/client" "$OUT/server" | grep -ac 'no path is up any more' || true)
say "all links cut at once: $num times no path was up"
[ "$num" -gt 0 ] || problem "all links cut at once: some path was always up"
lab_end
