#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 800
#
# Groups of processes that connect or are spawned, and jobs of which one rank
# ends badly. Debian's MPICH over UCX, whatever its transport, has neither spawn
# nor accept.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_mpi.sh
. "$LAB_TEST_DIR/lib_mpi.sh"

lab_start
mpi_check_run openmpi "vmprun mpirun" 1 150 --quick nonblocking atomics accept
# With room for the children; they share the one processor with their parents
# shellcheck disable=SC2034 # for mpi_command
MPI_SLOTS=3
mpi_check_run openmpi "vmprun mpirun" 1 200 --quick nonblocking atomics spawn
unset MPI_SLOTS
for how in abort exit kill error; do
    mpi_end openmpi $how
done
# Not "exit": MPICH's mpirun takes an exit code on another host for the end of
# that rank alone
for how in abort kill error; do
    mpi_end mpich $how
done
lab_end
