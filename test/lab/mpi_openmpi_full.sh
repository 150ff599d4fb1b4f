#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 1000
#
# Open MPI over vmp alone: all sizes, and with every message spread.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_mpi.sh
. "$LAB_TEST_DIR/lib_mpi.sh"

lab_start
mpi_check_run openmpi "vmprun mpirun" 1 600
mpi_settings vmp UCX_VMP_SPREAD_THRESH=0 UCX_VMP_NUM_PATHS=16
mpi_check_run openmpi "mpirun vmprun" 1 300 --quick
lab_end
