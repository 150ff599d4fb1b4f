#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 1100
#
# Jobs of which one rank ends badly, amid traffic over vmp alone.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_mpi.sh
. "$LAB_TEST_DIR/lib_mpi.sh"

lab_start
for ranks in 1 2; do
    for how in abort exit kill error; do
        mpi_end openmpi $how $ranks
    done
    # Not "exit": MPICH's mpirun takes an exit code on another host for the end
    # of that rank alone
    for how in abort kill error; do
        mpi_end mpich $how $ranks
    done
done
lab_end
