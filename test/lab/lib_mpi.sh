#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# What the tests with MPI share; source it after lib.sh.

# mpi_run WHAT SECONDS CMD...: runs mpirun on host a
mpi_run()
{
    local what=$1 seconds=$2

    shift 2
    counters_reset
    if ! on a "$seconds" "$@" >"$OUT/mpi" 2>&1; then
        problem "$what: does not run"
        grep -a 'vmp_mpi_check: FAIL' "$OUT/mpi" || show "$OUT/mpi"
        return 1
    fi
}

# mpi_check WHAT: the output of vmp_mpi_check in $OUT/mpi, and its traffic
mpi_check()
{
    local payload count

    if ! grep -aq 'vmp_mpi_check: PASS' "$OUT/mpi"; then
        problem "$1: no verdict"
        show "$OUT/mpi"
        return 1
    fi
    read -r -a payload < <(sed -n \
        's/.*vmp_mpi_check: payload ab \([0-9]*\) ba \([0-9]*\).*/\1 \2/p' \
        "$OUT/mpi")
    # A run within one host would have no payload for the links at all
    if [ "${payload[0]:-0}" -lt 1000000 ]; then
        problem "$1: the ranks were not on two hosts"
    fi
    assert_traffic "$1" "${payload[0]:-0}" "${payload[1]:-0}"
    assert_lanes "$1" "$OUT/mpi"
    # With the lines of one rank the other might have taken something else
    count=$(lane_lines "$OUT/mpi" | wc -l)
    if [ "$count" -lt 2 ]; then
        problem "$1: UCX says its lanes in $count lines, not in both ranks"
    fi
    say "$1: $(grep -ao 'PASS.*' "$OUT/mpi"), payload ${payload[*]} bytes," \
        "links $SUM_AB and $SUM_BA, management network $MGMT"
}

# mpi_openmpi_layers WHAT RANKS: every rank took pml ucx and osc ucx
mpi_openmpi_layers()
{
    local count

    count=$(grep -ac 'selected ucx best priority' "$OUT/mpi" || true)
    if [ "$count" -lt "$2" ]; then
        problem "$1: pml ucx in $count of $2 ranks"
    fi
    # Of Open MPI's layers only osc ucx asks UCX for atomics
    count=$(lane_lines "$OUT/mpi" | grep -cE 'amo(_am)?\(' || true)
    if [ "$count" -lt "$2" ]; then
        problem "$1: osc ucx in $count of $2 ranks"
    fi
}

# openmpi SECONDS OPTION...: both ways to start, with options of vmp_mpi_check
openmpi()
{
    local seconds=$1 app=$LIBEXEC/vmp_mpi_check.openmpi
    local verbose=(--mca pml_base_verbose 10 --mca osc_base_verbose 10)
    local forward=() i

    shift
    for i in "${TEST_ENV[@]}"; do
        forward+=(-x "$i")
    done
    # Only vmprun brings settings to the other host by itself
    if [ "$TLS" = vmp ]; then
        mpi_run "vmprun mpirun" "$seconds" env "${TEST_ENV[@]}" vmprun \
                mpirun.openmpi --host a,b -np 2 "${verbose[@]}" "$app" "$@" &&
            mpi_check "vmprun mpirun" && mpi_openmpi_layers "vmprun mpirun" 2
    fi
    mpi_run "mpirun vmprun" "$seconds" \
            env "${MPI_ENV[@]}" \
            mpirun.openmpi --host a,b -np 2 "${verbose[@]}" "${forward[@]}" \
            "${LAUNCH[@]}" "$app" "$@" &&
        mpi_check "mpirun vmprun" && mpi_openmpi_layers "mpirun vmprun" 2
    return 0
}

# mpich SECONDS OPTION...: the same with MPICH. Debian's has no network but UCX:
# that it used us, the lanes say.
mpich()
{
    local seconds=$1 app=$LIBEXEC/vmp_mpi_check.mpich

    shift
    mpi_run "vmprun mpirun" "$seconds" env "${TEST_ENV[@]}" "${LAUNCH[@]}" \
            mpirun.mpich --host a,b -np 2 "$app" "$@" &&
        mpi_check "vmprun mpirun"
    mpi_run "mpirun vmprun" "$seconds" env "${TEST_ENV[@]}" \
            mpirun.mpich --host a,b -np 2 "${LAUNCH[@]}" "$app" "$@" &&
        mpi_check "mpirun vmprun"
    return 0
}

# What vmprun would set, when something else than vmp is tried
MPI_ENV=()
if [ "$TLS" != vmp ]; then
    MPI_ENV=(OMPI_MCA_pml=ucx OMPI_MCA_osc=ucx
             OMPI_MCA_opal_common_ucx_tls=any
             OMPI_MCA_opal_common_ucx_devices=any)
fi
