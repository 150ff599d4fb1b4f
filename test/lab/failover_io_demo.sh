#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 480
#
# io_demo checks the contents of its reads and writes while links are cut and
# healed: no error.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_io_demo.sh
. "$LAB_TEST_DIR/lib_io_demo.sh"
# shellcheck source-path=SCRIPTDIR source=lib_failover.sh
. "$LAB_TEST_DIR/lib_failover.sh"

# io_cut ITERATIONS
io_cut()
{
    local what="links cut one on the other"

    counters_reset
    # shellcheck disable=SC2154 # io_server sets it
    io_run a client 160 -q -s "$seed" -o read,write -d 1:200000 -i "$1" \
           -p "$port_server" "$(address_of b)"
    io_verdict "$what" client
    # Half each on average, of 100,000 bytes on average: a quarter at least
    assert_traffic "$what" $(($1 * 12000)) $(($1 * 12000))
}

failover_start
seed=${VMP_TEST_SEED:-$(date +%s)}
say "seed $seed"
io_server b server 400 -d 1:200000
under_round io_demo cutter_many 1500 io_cut
io_stop b server
io_check_server "links cut one on the other" server
say "$(grep -aoE '(read|write) .*' "$OUT/client" | tail -n 1)"
lab_end
