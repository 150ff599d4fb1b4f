#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: lab
# short on: trixie
# timeout: 500
#
# Open MPI across both hosts over vmp alone: each test of vmp_mpi_check in
# short; pml ucx and osc ucx really used (Debian's default settings fall back to
# tcp silently).

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_mpi.sh
. "$LAB_TEST_DIR/lib_mpi.sh"

lab_start
mpi_check_run openmpi "vmprun mpirun" 1 300 --quick
mpi_check_run openmpi "mpirun vmprun" 1 150 --quick nonblocking rma
lab_end
