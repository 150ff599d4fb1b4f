#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: lab
# timeout: 300
#
# Open MPI across both hosts over vmp alone, contents verified; pml ucx and osc
# ucx really used (Debian's default settings fall back to tcp silently).

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_mpi.sh
. "$LAB_TEST_DIR/lib_mpi.sh"

lab_start
openmpi 130 --quick
lab_end
