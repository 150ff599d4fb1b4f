#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# full on: trixie
# timeout: 500
#
# MPI's collective operations, all-to-alls among them, with verified results,
# while links are cut and healed.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_mpi.sh
. "$LAB_TEST_DIR/lib_mpi.sh"
# shellcheck source-path=SCRIPTDIR source=lib_failover.sh
. "$LAB_TEST_DIR/lib_failover.sh"

failover_start
cutting cutter_many
mpi_check_run openmpi "vmprun mpirun" 1 200 --quick coll coll-v coll-nb rma
cutting_end openmpi
cutting cutter_many
mpi_check_run mpich "vmprun mpirun" 1 200 --quick coll coll-v coll-nb rma
cutting_end mpich
lab_end
