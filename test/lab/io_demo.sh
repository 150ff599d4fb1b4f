#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 120
#
# io_demo: endpoints that are made by address and port of a listener, as UCX-Py
# and storage programs make them, and contents of its reads and writes.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_io_demo.sh
. "$LAB_TEST_DIR/lib_io_demo.sh"

lab_start
seed=${VMP_TEST_SEED:-$(date +%s)}
say "seed $seed"
io_server b server 100 -d 1:200000
counters_reset
# shellcheck disable=SC2154 # io_server sets it
io_run a client 60 -q -s "$seed" -o read,write -d 1:200000 -i 200 \
       -p "$port_server" "$(address_of b)"
io_verdict "reads and writes" client
# 100 each on average, of 100,000 bytes on average: a quarter at least
assert_traffic "reads and writes" 2500000 2500000
io_stop b server
io_check_server "reads and writes" server
say "$(grep -aoE '(read|write) .*' "$OUT/client" | tail -n 1)"
lab_end
