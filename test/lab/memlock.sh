#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 1200
#
# Limits of locked memory, as containers and users have them: none, the 8 MiB that
# systemd gives, the 64 KiB of old. All programs either work or end soon with a line
# that docs/troubleshooting.md has; and what docs/setup.md says of the need holds.
# The same by PAM and ssh: machines.sh.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_mpi.sh
. "$LAB_TEST_DIR/lib_mpi.sh"
# shellcheck source-path=SCRIPTDIR source=lib_memlock.sh
. "$LAB_TEST_DIR/lib_memlock.sh"

UNLIMITED=unlimited
KIB_64=65536
MIB_8=8388608
SIZE=1048576
ITERATIONS=20

# who NAME LIMIT: sets AS, which runs a command so
who()
{
    local limit=$2 less=-ipc_lock,-sys_resource
    local space=(--mount --uts --ipc --pid --fork --kill-child --mount-proc)
    # Process 1 of a space: abort() of such a one does not look like it is
    # shellcheck disable=SC2016 # for the shell over there
    local init=(sh -c '"$@"; exit $?' -)

    case $1 in
    # Root of Docker, and of Podman that root has started: all powers but a few
    container)
        AS=(unshare "${space[@]}"
            setpriv "--bounding-set=$less" "--inh-caps=$less" "${init[@]}")
        ;;
    # Podman of a user: all powers, but over its own
    rootless)
        AS=(setpriv --reuid 65534 --regid 65534 --clear-groups
            unshare --user --map-root-user "${space[@]}" "${init[@]}")
        ;;
    user)
        AS=(setpriv --reuid 65534 --regid 65534 --clear-groups
            --bounding-set=-all --inh-caps=-all)
        ;;
    # Without namespaces, for the ranks of root's mpirun
    rank)
        AS=(setpriv "--bounding-set=$less" "--inh-caps=$less")
        ;;
    esac
    # The limit is first: afterwards a process may not be allowed to
    AS=(prlimit --memlock="$limit" "${AS[@]}" env HOME=/tmp)
}

# Else all that follows might show nothing
test_who()
{
    local name

    for name in container rootless user rank; do
        who $name $KIB_64
        on a 20 "${AS[@]}" bash -c 'ulimit -Hl; ulimit -l 128 && echo raised
            grep CapEff: /proc/self/status' >"$OUT/who" 2>&1 || true
        if ! grep -qx 64 "$OUT/who" || grep -qx raised "$OUT/who"; then
            problem "$name: not limited"
            show "$OUT/who"
        fi
        say "$name: $(grep -o 'CapEff:.*' "$OUT/who" | paste -sd ' ')"
    done
}

test_info()
{
    local name=$1 limit=$2 what="$1, limit $2: ucx_info -d" ret=0

    who "$name" "$limit"
    # UCX's own transports may end it, and with 64 KiB its UD tries for ever
    on a 40 "${AS[@]}" UCX_MODULES=^ib,mlx5,rdmacm vmprun ucx_info -d \
        >"$OUT/info" 2>&1 || ret=$?
    if [ "$limit" = $KIB_64 ]; then
        ! grep -q 'Transport: vmp' "$OUT/info" ||
            problem "$what: vmp is listed"
        memlock_ended "$what" $ret "$OUT/info"
        return 0
    fi
    if ! grep -q 'Transport: vmp' "$OUT/info"; then
        problem "$what: vmp is not listed"
        show "$OUT/info"
    fi
    if [ "$limit" = $UNLIMITED ] && memlock_line "$OUT/info" >/dev/null; then
        problem "$what: $(memlock_line "$OUT/info")"
    fi
    say "$what: lists vmp, $ret; $(memlock_line "$OUT/info" || true)"
}

# transfer NAME LIMIT works|ends|either [NAME=VALUE...]: large messages
transfer()
{
    local name=$1 limit=$2 want=$3 what="$1, limit $2: 1 MiB" ret=0
    local command

    shift 3
    what="$what${*:+ with $*}"
    who "$name" "$limit"
    perf_port=$((perf_port + 1))
    counters_reset
    # shellcheck disable=SC2206 # options are words
    command=("${AS[@]}" "${TEST_ENV[@]}" "${PERF_ENV[@]}" "$@" vmprun
             ucx_perftest $perf_options -p $perf_port)
    pair 60 $perf_port "${command[@]}" -- \
        "${command[@]}" b -t tag_bw -s $SIZE -n $ITERATIONS -w 2 -f -v ||
        ret=$?
    if [ $ret != 0 ]; then
        [ "$want" != works ] || problem "$what: does not work"
        memlock_ended "$what" $ret "$OUT/client" "$OUT/server"
        return 0
    fi
    [ "$want" != ends ] || problem "$what: works"
    perf_result "$what" || return 0
    assert_traffic "$what" $((SIZE * ITERATIONS)) 0
    assert_lanes "$what" "$OUT/client" "$OUT/server"
    say "$what: works, $BW MB/s, links $SUM_AB and $SUM_BA"
}

# mpi LIMIT works|ends|either: ranks of root's that have no more; contents are
# checked
mpi()
{
    local limit=$1 want=$2 what="Open MPI, limit $1" ret=0 COMMAND

    who rank "$limit"
    mpi_command openmpi "mpirun vmprun" 1
    counters_reset
    # It ends with vmprun, which the limit goes before
    on a 120 "${COMMAND[@]:0:${#COMMAND[@]}-1}" "${AS[@]}" vmprun "$LIBEXEC/vmp_mpi_check.openmpi" --quick \
        --time-limit 110 nonblocking coll rma >"$OUT/mpi" 2>&1 || ret=$?
    if [ $ret != 0 ]; then
        [ "$want" != works ] || problem "$what: does not work"
        memlock_ended "$what" $ret "$OUT/mpi"
    elif [ "$want" = ends ]; then
        problem "$what: works"
    elif mpi_check "$what"; then
        mpi_openmpi_layers "$what" 2
    fi
    resources_check "$what"
}

# endpoint KIB: an interface with its endpoint, to itself
endpoint()
{
    who user $(($1 * 1024))
    on a 40 "${AS[@]}" UCX_TLS=vmp UCX_LOG_LEVEL=warn vmprun \
        ucx_info -e -u t >"$OUT/info" 2>&1 || {
        problem "limit $1 KiB: no endpoint"
        show "$OUT/info"
    }
}

# What docs/setup.md says that an interface takes, from both sides
test_need()
{
    local docs=$LAB_TEST_DIR/../../docs/setup.md line

    grep -q 'An interface of .vmp. takes 9 MiB' "$docs" || problem "docs/setup.md: no number"
    endpoint $((10 << 10))
    ! line=$(memlock_line "$OUT/info") || problem "limit 10 MiB: $line"
    endpoint $((17 << 9))
    line=$(memlock_line "$OUT/info") || problem "8.5 MiB are enough"
    say "limit 8.5 MiB: $line"
}

lab_start
[ "$TLS" = vmp ] || skip "is about vmp itself"
test_who
test_need
for name in container rootless user; do
    test_info $name $KIB_64
    test_info $name $MIB_8
    test_info $name $UNLIMITED
    transfer $name $KIB_64 ends
    transfer $name $MIB_8 either
    transfer $name $MIB_8 either "${ZCOPY_ENV[@]}"
    transfer $name $MIB_8 works UCX_VMP_RX_QUEUE_LEN=256
    transfer $name $UNLIMITED works
done
mpi_settings vmp,sm,self
mpi $KIB_64 ends
mpi $MIB_8 either
mpi $UNLIMITED works
lab_end
