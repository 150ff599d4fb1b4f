#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 700
#
# hpcc, which judges its results itself, while links are cut and healed.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_mpi.sh
. "$LAB_TEST_DIR/lib_mpi.sh"
# shellcheck source-path=SCRIPTDIR source=lib_layer.sh
. "$LAB_TEST_DIR/lib_layer.sh"
# shellcheck source-path=SCRIPTDIR source=lib_hpcc.sh
. "$LAB_TEST_DIR/lib_hpcc.sh"
# shellcheck source-path=SCRIPTDIR source=lib_failover.sh
. "$LAB_TEST_DIR/lib_failover.sh"

failover_start
cut_logs=("$OUT/mpi")
layer_mount hpcc
cutting cutter_many
test_hpcc
cutting_end hpcc
cuts_shown hpcc 1
lab_end
