#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 600
#
# As mpi_openmpi.sh with all sizes, and with every message spread.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_mpi.sh
. "$LAB_TEST_DIR/lib_mpi.sh"

lab_start
openmpi 180 --time-limit 170
TEST_ENV+=(UCX_VMP_SPREAD_THRESH=0 UCX_VMP_NUM_PATHS=16)
openmpi 120 --quick --time-limit 110
lab_end
