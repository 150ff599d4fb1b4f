#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 1800
#
# Groups of processes that connect or are spawned. Debian's MPICH over UCX,
# whatever its transport, has neither, and has to say so.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_mpi.sh
. "$LAB_TEST_DIR/lib_mpi.sh"

# Parents and children on one host: Open MPI's runtime then needs one daemon
# alone, and everything goes through the host's own device
test_spawn_here()
{
    local what="openmpi, spawn on one host" form="vmprun mpirun" packets=0
    local MPI_ONE_HOST=1 MPI_SLOTS=4 COMMAND

    [ "$VMP_TLS" = vmp ] || form="mpirun vmprun"
    [ "$TLS" = tcp ] || packets=$(device_packets a)
    mpi_command openmpi "$form" 2
    # --bind-to is not for children, and there are more than processors
    COMMAND=(env PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
             "${COMMAND[@]}")
    mpi_run "$what" 200 "${COMMAND[@]}" "$LIBEXEC/vmp_mpi_check.openmpi" \
        --time-limit 195 --quick nonblocking atomics spawn || return 0
    mpi_has "$what" 'vmp_mpi_check: spawn done'
    mpi_has "$what" 'vmp_mpi_check: PASS'
    assert_lanes "$what" "$OUT/mpi"
    # 2 parents, 2 children: each sends 275 KB and more to two others
    mpi_openmpi_layers "$what" 2 2
    if [ "$TLS" != tcp ]; then
        packets=$(($(device_packets a) - packets))
        [ $packets -ge 500 ] ||
            problem "$what: $packets packets in the device"
    fi
    resources_check "$what"
    say "$what: $(grep -ao 'PASS.*' "$OUT/mpi"), $packets packets"
}

# Of what Open MPI's runtime may fail at
TRIES=4

# mostly_over TLS PART: a part of Open MPI's alone gets through at least three times
# of four
mostly_over()
{
    local VMP_TEST_TLS=$1 VMP_TLS=$1 part=$2 before=$failures try failed=0 COMMAND
    local MPI_ENV=(OMPI_MCA_pml=ucx OMPI_MCA_opal_common_ucx_tls=any
                   OMPI_MCA_opal_common_ucx_devices=any)

    mpi_settings vmp
    mpi_command openmpi "mpirun vmprun" 1
    for ((try = 1; try <= TRIES && failed < 2; try++)); do
        if mpi_run "$part over $1, run $try" 100 "${COMMAND[@]}" \
               "$LIBEXEC/vmp_mpi_check.openmpi" --time-limit 95 --quick \
               nonblocking "$part"; then
            say "$part over $1, run $try: PASS"
        else
            failed=$((failed + 1))
        fi
    done
    failures=$before
    [ $failed -lt 2 ]
}

# Whether a job has failed by prterun, or its daemons: no rank says so or died, nor
# UCX or we by an assertion, and if all ranks had passed prterun has broken its heap
is_of_runtime()
{
    local heap='double free|corrupted (size|double)|free\(\)|invalid next size'
    local rank='vmp_mpi_check: FAIL: rank|exited on signal|UCX .*[Aa]ssertion'

    ! grep -aqE "$rank" "$OUT/mpi" &&
        { ! grep -aq 'vmp_mpi_check: PASS' "$OUT/mpi" ||
          grep -aqE "$heap" "$OUT/mpi"; }
}

# test_across PART: accept or spawn, on two hosts. The runtime of Open MPI 5
# loses a daemon, hangs or corrupts its heap there, whatever the transport
# (docs/lab.md): it is tried four times, and that none gets through is ours only if
# three of four do over UCX's own; or if a failure is none of the runtime: contents,
# lanes, traffic or what is left over. Numbers of runs are not compared: of four and
# four that fail equally often one in ten times gets through twice less.
test_across()
{
    local part=$1 before=$failures try MPI_SLOTS=1

    # Room for the children, who share the one processor with their parents
    [ "$part" != spawn ] || MPI_SLOTS=3
    for ((try = 1; try <= TRIES; try++)); do
        mpi_check_run openmpi "vmprun mpirun" 1 150 --quick nonblocking \
            atomics "$part"
        [ "$failures" -gt "$before" ] || return 0
        if openmpi_is_before 5.0 || [ "$VMP_TLS" != vmp ] || ! is_of_runtime
        then
            return 0
        fi
        failures=$before
        say "$part on two hosts: run $try fails"
    done
    if mostly_over rc_verbs,ud_verbs "$part"; then
        problem "$part on two hosts: gets through over rc_verbs alone"
    else
        skipped+=("$part")
        say "SKIP: $part on two hosts: Open MPI's fails over rc_verbs as well"
    fi
    mpi_settings vmp
}

skipped=()
lab_start
test_across accept
test_spawn_here
test_across spawn
mpi_check_run mpich "vmprun mpirun" 1 150 --quick nonblocking refusal
# No pass where neither of the two was seen to work
if [ ${#skipped[@]} = 2 ] && [ $failures = 0 ]; then
    resources_check "at the end"
    [ $failures -gt 0 ] ||
        skip "accept and spawn on two hosts: Open MPI's fail over rc_verbs as well"
fi
lab_end
