#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 600
#
# hpcc from Debian, with Open MPI over vmp alone.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_mpi.sh
. "$LAB_TEST_DIR/lib_mpi.sh"
# shellcheck source-path=SCRIPTDIR source=lib_layer.sh
. "$LAB_TEST_DIR/lib_layer.sh"
# shellcheck source-path=SCRIPTDIR source=lib_hpcc.sh
. "$LAB_TEST_DIR/lib_hpcc.sh"

lab_start
layer_mount hpcc
test_hpcc
lab_end
