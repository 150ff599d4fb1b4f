#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 1600
#
# MPICH with several ranks a host: MPICH's own shared memory within one, or vmp.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_mpi.sh
. "$LAB_TEST_DIR/lib_mpi.sh"

lab_start
mpi_check_run mpich "vmprun mpirun" 2 400 --quick
mpi_check_run mpich "vmprun mpirun" 4 400 --quick --max-size 65536
mpi_settings vmp,sm,self
mpi_check_run mpich "vmprun mpirun" 2 300 --quick
mpi_check_run mpich "vmprun mpirun" 4 400 --quick --max-size 65536
lab_end
