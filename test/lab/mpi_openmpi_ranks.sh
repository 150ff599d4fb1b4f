#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 1600
#
# Open MPI with several ranks a host: within one over vmp, too, or over shared
# memory.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_mpi.sh
. "$LAB_TEST_DIR/lib_mpi.sh"

lab_start
mpi_check_run openmpi "vmprun mpirun" 2 400 --quick
mpi_check_run openmpi "vmprun mpirun" 4 400 --quick --max-size 65536
mpi_settings vmp,sm,self
# Over UCX's sm ranks starve each other in test swaps, with Open MPI 4.1 and 5.0
# (docs/lab.md). In swaps-32 and atomics nobody waits for anybody.
mpi_check_run openmpi "vmprun mpirun" 2 300 --quick --without swaps
mpi_check_run openmpi "vmprun mpirun" 4 400 --quick --max-size 65536 \
    --without swaps
lab_end
