#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 600
#
# The Debian packages, built for the suite and installed on the lab's hosts,
# where traffic must go over the installed vmp: by vmprun, and by the
# system-wide set-up of docs/setup.md with nothing in the environment.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_packages.sh
. "$LAB_TEST_DIR/lib_packages.sh"
# shellcheck source-path=SCRIPTDIR source=lib_setup.sh
. "$LAB_TEST_DIR/lib_setup.sh"

SHIM=/usr/lib/x86_64-linux-gnu/vmp/libvmp-preload.so

# Also when the test is interrupted: other tests use these hosts
hosts_clean()
{
    local host

    for host in a b; do
        on $host 60 sh -c '
            rm -f /etc/ld.so.preload /etc/ucx/ucx.conf /etc/profile.d/vmp.sh
            rmdir /etc/ucx 2>/dev/null
            [ ! -e /tmp/mca.saved ] ||
                mv /tmp/mca.saved /etc/openmpi/openmpi-mca-params.conf
            dpkg --purge ucx-vmp; rm -f /tmp/ucx-vmp.deb; true' \
            >"$OUT/clean.$host" 2>&1
    done
}

hosts_install()
{
    local host

    at_exit hosts_clean
    for host in a b; do
        "$VMPLAB" exec $host --timeout 30 -- sh -c 'cat >/tmp/ucx-vmp.deb' \
            <"$(echo "$packages"/ucx-vmp_*.deb)"
        on $host 60 dpkg -i /tmp/ucx-vmp.deb >"$OUT/install" 2>&1 || {
            show "$OUT/install"
            fail "the package cannot be installed on host $host"
        }
    done
}

test_vmprun()
{
    on a 30 /usr/bin/vmprun ucx_info -d >"$OUT/info" 2>&1 ||
        problem "ucx_info -d fails"
    grep -q 'Transport: vmp' "$OUT/info" || {
        problem "the installed vmprun ucx_info -d lists no vmp"
        show "$OUT/info"
    }
    on a 30 /usr/bin/vmprun --print-env >"$OUT/env"
    grep -q "LD_PRELOAD='$SHIM'" "$OUT/env" || {
        problem "vmprun preloads another shim"
        show "$OUT/env"
    }
    # shellcheck disable=SC2034 # for perf
    LAUNCH=(/usr/bin/vmprun)
    perf "installed" tag_bw 65536 200
}

# as_user LIMIT CMD...: on host a, without privileges
as_user()
{
    local limit=$1

    shift
    on a 30 prlimit --memlock="$limit" setpriv --reuid=65534 --regid=65534 \
        --clear-groups "$@" >"$OUT/user" 2>&1
}

test_user()
{
    as_user unlimited /usr/bin/vmprun ucx_info -d || problem "a user: fails"
    grep -q 'Transport: vmp' "$OUT/user" || {
        problem "a user does not get vmp"
        show "$OUT/user"
    }
    # UCX's own transports may end it
    as_user 65536 /usr/bin/vmprun ucx_info -d || true
    if grep -q 'Transport: vmp' "$OUT/user" ||
       ! grep -qE 'a limit of 64 KiB|set max locked memory' "$OUT/user"; then
        problem "a user with little locked memory is not told"
        show "$OUT/user"
    fi
}

test_profile()
{
    # shellcheck disable=SC2016 # for the shells over there
    on a 30 sh -c 'echo "eval \"\$(vmprun --print-env)\"" \
        >/etc/profile.d/vmp.sh
        env -i HOME=/root bash -lc "ucx_info -d"' >"$OUT/profile" 2>&1 ||
        problem "profile.d: a login shell fails"
    grep -q 'Transport: vmp' "$OUT/profile" || {
        problem "profile.d: a login shell does not get vmp"
        show "$OUT/profile"
    }
    on a 20 rm /etc/profile.d/vmp.sh
}

# mpi_run WHAT CMD...: both ranks, and over vmp between the hosts
mpi_run()
{
    local what=$1 TLS=vmp,self,cma,posix,sysv

    shift
    on a 90 "$@" >"$OUT/mpi" 2>&1 || {
        problem "$what: fails"
        show "$OUT/mpi"
    }
    grep -q 'vmp_mpi_check: PASS' "$OUT/mpi" || problem "$what: no verdict"
    assert_lanes "$what" "$OUT/mpi"
    grep -q vmp/ <<<"$(lanes "$OUT/mpi")" || problem "$what: no lane over vmp"
}

test_by_hand()
{
    mpi_run "Open MPI by hand" mpirun.openmpi -np 2 --host a,b \
        -x LD_PRELOAD="$SHIM" -x UCX_TLS=vmp,sm,self -x UCX_LOG_LEVEL=info \
        --mca pml ucx --mca osc ucx --mca opal_common_ucx_tls any \
        --mca opal_common_ucx_devices any \
        "$LIBEXEC/vmp_mpi_check.openmpi" --quick nonblocking coll rma
}

# No launcher and no variable; all of what UCX and MPI say of themselves
test_system_wide()
{
    local host app=$LIBEXEC/vmp_mpi_check

    setup_recipe "$SHIM" >"$OUT/setup"
    for host in a b; do
        on $host 20 cp /etc/openmpi/openmpi-mca-params.conf /tmp/mca.saved
        "$VMPLAB" exec $host --timeout 30 -- bash <"$OUT/setup" ||
            fail "the system-wide set-up"
    done
    # shellcheck disable=SC2034 # for perf
    LAUNCH=() TEST_ENV=(UCX_LOG_LEVEL=info)
    perf "system-wide" tag_bw 65536 200
    mpi_run "system-wide, Open MPI" mpirun.openmpi -np 2 --host a,b \
        -x UCX_LOG_LEVEL=info "$app.openmpi" --quick nonblocking coll rma
    mpi_run "system-wide, MPICH" mpirun.mpich -np 2 --host a,b \
        env UCX_LOG_LEVEL=info "$app.mpich" --quick nonblocking coll rma
}

test_removed()
{
    local host

    hosts_clean
    for host in a b; do
        on $host 30 find / -xdev -path /tmp -prune -o -path /opt/vmp -prune -o \
            -name '*vmp*' -newer /etc/hostname -print >"$OUT/left" 2>&1 || true
        [ ! -s "$OUT/left" ] || {
            problem "removal leaves on host $host"
            show "$OUT/left"
        }
    done
}

packages_start
hosts_install
test_vmprun
test_user
test_profile
test_by_hand
test_system_wide
test_removed
lab_end
