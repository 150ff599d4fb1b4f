#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 240
#
# Links are cut and healed, one after the other, under verified transfers of all
# kinds: no error, all contents right, and the paths come back.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_integrity.sh
. "$LAB_TEST_DIR/lib_integrity.sh"
# shellcheck source-path=SCRIPTDIR source=lib_failover.sh
. "$LAB_TEST_DIR/lib_failover.sh"

STATS=/tmp/vmp_failover.stats

# What both sides have counted. Prints what they put on other paths again.
# shellcheck disable=SC2016 # for Python over there
stats_of()
{
    on "$1" 30 python3 -c '
import json, sys

rows = [json.loads(line) for line in open(sys.argv[1], encoding="ascii")]
ifaces = [row for row in rows if row["type"] == "iface"]

def total(name):
    return sum(row[name] for row in ifaces)

for name in "paths_down", "repairs", "repair_ns", "repair_max_ns":
    assert total(name) > 0, name
for name in "conns_failed", "eps_failed":
    assert total(name) == 0, name
for kind in "conn", "path":
    assert any(row["type"] == kind for row in rows), kind
assert not any(row.get("state") == "lost" for row in rows), "lost"
print(total("replayed_messages") + total("replayed_puts") +
      total("replayed_gets"))
print(total("paths_down"), "deaths of paths,", total("repairs"),
      "repairs, at most", max(row["repair_max_ns"] for row in ifaces) // 10**6,
      "ms,", total("rx_duplicate"), "duplicates", file=sys.stderr)
' "$STATS" 2>"$OUT/stats"
}

# The counters that users see say so, too
stats_check()
{
    local host sum=0 again

    for host in a b; do
        if ! again=$(stats_of $host); then
            problem "UCX_VMP_STATS on host $host: $(tail -n 1 "$OUT/stats")"
            return 0
        fi
        say "host $host: $again work requests again, $(cat "$OUT/stats")"
        sum=$((sum + again))
    done
    [ $sum -gt 0 ] || problem "UCX_VMP_STATS: nothing was done again"
}

failover_start
for host in a b; do
    on $host 20 rm -f "$STATS"
done
under_cuts "links cut one by one" 120 "" \
           "$quick UCX_VMP_NUM_PATHS=8 UCX_VMP_STATS=file:$STATS"
stats_check
lab_end
