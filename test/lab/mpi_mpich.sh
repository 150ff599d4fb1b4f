#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 400
#
# MPICH across both hosts over vmp alone, contents verified. Debian's MPICH has
# no network but UCX: that it used us, the lanes say.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_mpi.sh
. "$LAB_TEST_DIR/lib_mpi.sh"

# mpich WHAT SECONDS CMD...
mpich()
{
    if mpi_run "$@"; then
        mpi_check "$1" || return 0
    fi
}

lab_start
app=$LIBEXEC/vmp_mpi_check.mpich
mpich "vmprun mpirun" 180 env "${TEST_ENV[@]}" "${LAUNCH[@]}" \
      mpirun.mpich --host a,b -np 2 "$app" --max-size 262144 --time-limit 170
mpich "mpirun vmprun" 130 env "${TEST_ENV[@]}" \
      mpirun.mpich --host a,b -np 2 "${LAUNCH[@]}" "$app" --quick
lab_end
