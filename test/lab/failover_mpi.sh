#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 1000
#
# MPI's collective operations, all-to-alls among them, with verified results,
# while links are cut and healed. Two ranks a host: an all-to-all of two is a pair.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_mpi.sh
. "$LAB_TEST_DIR/lib_mpi.sh"
# shellcheck source-path=SCRIPTDIR source=lib_failover.sh
. "$LAB_TEST_DIR/lib_failover.sh"

# mpi_cut MPI
mpi_cut()
{
    cutting cutter_many
    mpi_check_run "$1" "vmprun mpirun" 2 420 --max-size 262144 \
                  coll coll-v coll-nb rma
    cutting_end "$1"
    cuts_shown "$1" 1
}

failover_start
cut_logs=("$OUT/mpi")
mpi_cut openmpi
mpi_cut mpich
lab_end
