#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 900
#
# As life.sh, all of it.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_programs.sh
. "$LAB_TEST_DIR/lib_programs.sh"

# A path to a peer that is gone is dead after the retries of RC, seven times this
quick=UCX_VMP_TIMEOUT=200ms

lab_start
for act in child system signals; do
    life_ok $act "-i 6" "" 0
    life_ok $act "-i 6 -E" "" 0
done
life_fork "-i 6"
life_ok stop "-S 8 -i 4 -E" UCX_VMP_PEER_TIMEOUT=2s 0
for act in return exit _exit callback; do
    life_ok $act -E $quick 0
done
life_ok term -E $quick 143
life_ok int -E $quick 130
life_ok kill -E "" 137
life_heard_nothing "kill"
# In its only round, of which little may have gone: at any time of connecting
for ((round = 0; round < 6; round++)); do
    life_ok kill "-E -i 1" $quick 137 1
done
lab_end
