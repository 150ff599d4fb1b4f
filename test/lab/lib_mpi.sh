#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# What the tests with MPI share; source it after lib.sh.

# Appends to the output what the ranks' UCX said to files of their own
mpi_log_collect()
{
    local host

    for host in a b; do
        # shellcheck disable=SC2016 # for the shell over there
        on $host 30 bash -c 'cat "$1".*; rm -f "$1".*' - "$MPI_LOG" \
            >>"$OUT/mpi" 2>&1 || true
    done
}

# mpi_log_to_files MPI: where it has to be, for COMMAND. MPICH's mpirun passes on
# half lines of one rank amid those of another.
mpi_log_to_files()
{
    [ "$1" = mpich ] || return 0
    MPI_LOG=/tmp/vmp_mpi_check.log
    COMMAND=(env "UCX_LOG_FILE=$MPI_LOG.%p" "${COMMAND[@]}")
}

# mpi_run WHAT SECONDS CMD...: runs mpirun on host a. With MPI_LOG, the ranks'
# UCX has its output there.
mpi_run()
{
    local what=$1 seconds=$2 ret=0

    shift 2
    counters_reset
    on a "$seconds" "$@" >"$OUT/mpi" 2>&1 || ret=$?
    [ -z "$MPI_LOG" ] || mpi_log_collect
    if [ $ret != 0 ]; then
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

# openmpi_is_before MAJOR.MINOR: the hosts' Open MPI
openmpi_is_before()
{
    local is

    is=$(on a 20 mpirun.openmpi --version |
         sed -nE '1s/.*\) ([0-9]+\.[0-9]+).*/\1/p')
    version_is_before "${is:?}" "$1"
}

# mpi_openmpi_layers WHAT RANKS [CHILDREN]: every rank took pml ucx and osc ucx,
# and those that were spawned pml ucx
mpi_openmpi_layers()
{
    local count all=$(($2 + ${3:-0}))

    count=$(grep -ac 'selected ucx best priority' "$OUT/mpi" || true)
    if [ "$count" -lt $all ]; then
        problem "$1: pml ucx in $count of $all ranks"
    fi
    # Of Open MPI's layers only osc ucx asks UCX for atomics
    count=$(lane_lines "$OUT/mpi" | grep -cE 'amo(_am)?\(' || true)
    if [ "$count" -lt "$2" ]; then
        problem "$1: osc ucx in $count of $2 ranks"
    fi
}

# mpi_settings TLS [NAME=VALUE...]: of UCX, for all that follows; lanes must be
# of these transports. The stock one in place of vmp, if one is being tried.
mpi_settings()
{
    local tls=$1

    shift
    tls=${tls/vmp/${VMP_TEST_TLS:-vmp}}
    TEST_ENV=(UCX_TLS="$tls" UCX_LOG_LEVEL=info "$@")
    [ "$VMP_TLS" = vmp ] || TEST_ENV+=(UCX_IB_GID_INDEX=2)
    TLS=${tls/sm/posix,sysv,cma}
}

# mpi_command MPI FORM RANKS: sets COMMAND to what starts RANKS ranks on each
# host, by "vmprun mpirun" or "mpirun vmprun". MPI_SLOTS=N: with room for as many.
# MPI_ONE_HOST=1: on host a alone.
mpi_command()
{
    local mpi=$1 form=$2 ranks=$3 slots=${MPI_SLOTS:-$3} setting
    local hosts="a:$slots,b:$slots" count=$((2 * $3))

    [ -z "${MPI_ONE_HOST:-}" ] || hosts=a:$slots count=$ranks
    COMMAND=(env "${TEST_ENV[@]}")
    [ "$form" = "mpirun vmprun" ] || COMMAND+=("${LAUNCH[@]}")
    COMMAND+=("mpirun.$mpi" --host "$hosts" -np "$count")
    if [ "$mpi" = openmpi ]; then
        COMMAND+=(--mca pml_base_verbose 10 --mca osc_base_verbose 10)
        # One processor a host: ranks must let each other run
        [ "$slots" = 1 ] ||
            COMMAND+=(--mca mpi_yield_when_idle 1 --bind-to none)
        [ "$slots" = "$ranks" ] || COMMAND+=(--map-by node)
        # Only vmprun brings settings to the other host by itself
        if [ "$form" = "mpirun vmprun" ]; then
            for setting in "${TEST_ENV[@]}" "${MPI_ENV[@]}"; do
                COMMAND+=(-x "$setting")
            done
        fi
    fi
    [ "$form" != "mpirun vmprun" ] || COMMAND+=("${LAUNCH[@]}")
}

# mpi_check_run MPI FORM RANKS SECONDS OPTION...: vmp_mpi_check, with options
mpi_check_run()
{
    local mpi=$1 form=$2 ranks=$3 seconds=$4 what MPI_LOG='' COMMAND

    shift 4
    [ "$VMP_TLS" = vmp ] || form="mpirun vmprun"
    what="$mpi, $form, $ranks a host, ${TEST_ENV[0]}"
    mpi_command "$mpi" "$form" "$ranks"
    mpi_log_to_files "$mpi"
    mpi_run "$what" "$seconds" "${COMMAND[@]}" "$LIBEXEC/vmp_mpi_check.$mpi" \
            --time-limit $((seconds - 5)) "$@" || return 0
    mpi_check "$what" || return 0
    [ "$mpi" != openmpi ] || mpi_openmpi_layers "$what" $((2 * ranks))
    resources_check "$what"
}

# mpi_program WHAT SECONDS RANKS BYTES CMD...: with so many ranks a host of Open
# MPI. At least BYTES cross the links each way, and all lanes are ours.
mpi_program()
{
    local what=$1 seconds=$2 ranks=$3 bytes=$4 COMMAND

    shift 4
    mpi_command openmpi "vmprun mpirun" "$ranks"
    mpi_run "$what" "$seconds" "${COMMAND[@]}" "$@" || return 1
    assert_traffic "$what" "$bytes" "$bytes"
    assert_lanes "$what" "$OUT/mpi"
    resources_check "$what"
    say "$what: links $SUM_AB and $SUM_BA, management network $MGMT"
}

# mpi_has WHAT REGEX [COUNT]: lines that the program must have printed
mpi_has()
{
    local count

    count=$(grep -aEc "$2" "$OUT/mpi" || true)
    if [ "$count" -lt "${3:-1}" ]; then
        problem "$1: '$2' in $count lines, not in ${3:-1}"
        show "$OUT/mpi"
    fi
}

# After so many seconds nobody may be left of a job of which one rank has ended;
# by themselves the others would wait until --time-limit
END_LIMIT=40

# mpi_end MPI HOW RANKS: with so many ranks a host, the last one of all ends amid
# traffic. All others must end soon, on both hosts, and leave nothing behind.
mpi_end()
{
    local mpi=$1 how=$2 ranks=$3 what="$1, end by $2, $3 a host" host ret=0
    local form="vmprun mpirun" last=$((2 * $3 - 1)) began took count
    local MPI_LOG='' COMMAND

    [ "$VMP_TLS" = vmp ] || form="mpirun vmprun"
    mpi_command "$mpi" "$form" "$ranks"
    mpi_log_to_files "$mpi"
    counters_reset
    on a 120 "${COMMAND[@]}" "$LIBEXEC/vmp_mpi_check.$mpi" --time-limit 110 \
        --end "$how" >"$OUT/mpi" 2>&1 || ret=$?
    # By the clock that the rank has said it by
    took=$(on a 20 date +%s)
    began=$(sed -nE "s/.*ending rank $last by $how at ([0-9]+).*/\1/p" \
                "$OUT/mpi")
    [ -z "$MPI_LOG" ] || mpi_log_collect
    if [ $ret = 0 ] || [ $ret = 124 ] || [ -z "$began" ] ||
       grep -aq 'vmp_mpi_check: FAIL' "$OUT/mpi"; then
        problem "$what: exit code $ret"
        show "$OUT/mpi"
        began=$took
    fi
    took=$((took - began))
    [ $took -lt $END_LIMIT ] ||
        problem "$what: the others have ended $took s later only"
    # Each rank has sent 1 MiB to its neighbour before
    assert_traffic "$what" 1000000 1000000
    assert_lanes "$what" "$OUT/mpi"
    count=$(lane_lines "$OUT/mpi" | wc -l)
    if [ "$count" -lt $((2 * ranks)) ]; then
        problem "$what: UCX says its lanes in $count lines, not in all ranks"
    fi
    for host in a b; do
        # shellcheck disable=SC2016 # for the shell over there
        on $host 30 bash -c 'for ((i = 0; i < 50; i++)); do
            pgrep "^vmp_mpi_check" >/dev/null || exit 0; sleep 0.2; done
            exit 1' || problem "$what: ranks are left over on host $host"
    done
    resources_check "$what"
    say "$what: exit code $ret, all ended within $took s, links $SUM_AB and" \
        "$SUM_BA, management network $MGMT"
}

# What vmprun would set, when something else than vmp is tried
VMP_TLS=$TLS
MPI_ENV=()
MPI_LOG=
if [ "$TLS" != vmp ]; then
    MPI_ENV=(OMPI_MCA_pml=ucx OMPI_MCA_osc=ucx
             OMPI_MCA_opal_common_ucx_tls=any
             OMPI_MCA_opal_common_ucx_devices=any)
fi
