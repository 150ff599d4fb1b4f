#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 600
#
# The Debian packages: built for the suite, without complaint of lintian,
# installed and removed in a fresh tree of it, then on the lab's hosts, where
# traffic must go over the installed vmp: by vmprun, and by the system-wide
# set-up of docs/setup.md with nothing in the environment.
#
# Names of parts (lintian, tree, hosts) as arguments run only these.
# VMP_PACKAGES=DIRECTORY: take the packages from there

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

PACKAGING=$LAB_TEST_DIR/../../contrib/packaging
SHIM=/usr/lib/x86_64-linux-gnu/vmp/libvmp-preload.so

# Runs in a copy of the suite's tree; $1 is the minor version of its UCX
tree_script()
{
    cat <<'END'
set -eu

files() {
    find / -xdev \( -path /work -o -path /tmp -o -path /root -o -path /run \
        -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/log \
        -o -path /var/cache \) -prune -o -print | LC_ALL=C sort
}

fail() {
    echo "FAIL: $*"
    exit 1
}

purge() {
    dpkg --purge ucx-vmp-dev ucx-vmp
}

files >/tmp/before
echo "== install"
dpkg -i ./*.deb
dpkg --audit
for file in bin/vmprun share/man/man1/vmprun.1.gz include/vmp/policy.h \
            share/doc/ucx-vmp/README.md.gz share/doc/ucx-vmp/copyright; do
    [ -s "/usr/$file" ] || fail "no /usr/$file"
done
for name in smoke policy; do
    echo "== debian/tests/$name"
    "tests/$name"
done
echo "== remove"
purge
files >/tmp/after
diff /tmp/before /tmp/after || fail "removal does not restore what was there"

echo "== install without UCX"
apt-get -q -o Acquire::Retries=3 update
apt-get -qy purge libucx0
! dpkg -i ./ucx-vmp_*.deb || fail "installed without UCX"
apt-get -qy --no-install-recommends -o Acquire::Retries=3 --fix-broken install
[ "$(dpkg-query -W -f '${Status}' ucx-vmp)" = "install ok installed" ] ||
    fail "apt does not mend it"
apt-get -qy --no-install-recommends -o Acquire::Retries=3 install \
    python3 ucx-utils
tests/smoke
tests/ctypes
purge
echo "tree: PASS"
END
}

# What lintian says to the source, to the packages, and of overrides
test_lintian()
{
    "$PACKAGING/in-suite" "$suite" --with lintian "$packages" \
        sh -c 'lintian --allow-root --show-overrides --fail-on error,warning \
               ./*.changes' >"$OUT/lintian" 2>&1 ||
        problem "lintian complains"
    if grep -qE '^[EWO]: ' "$OUT/lintian"; then
        problem "lintian: errors, warnings or overrides"
        show "$OUT/lintian"
    fi
}

test_tree()
{
    local work=$OUT/tree version depends next

    mkdir "$work"
    cp "$packages"/ucx-vmp_*.deb "$packages"/ucx-vmp-dev_*.deb "$work"
    cp -r "$PACKAGING/debian/tests" "$work/tests"
    tree_script >"$work/script"
    version=$(on a 30 /opt/vmp/bin/vmprun --version | sed 's/.*UCX //')
    next=${version%.*}.$((${version#*.} + 1))
    depends=$(dpkg-deb -f "$work"/ucx-vmp_*.deb Depends)
    [[ $depends == *"libucx0 (>= $version"*"libucx0 (<< $next~)"* ]] ||
        problem "the package is for UCX $version, but depends on $depends"
    "$PACKAGING/in-suite" "$suite" "$work" sh /work/script \
        >"$OUT/script" 2>&1 || {
        problem "installing or removing in a fresh tree"
        grep -E '^(==|FAIL)' "$OUT/script" || true
        show "$OUT/script"
    }
}

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
        "$LIBEXEC/vmp_mpi_check.openmpi" --quick
}

# The recipe of docs/setup.md, word for word
system_wide()
{
    cat <<'END'
set -eu
echo "SHIM" >>/etc/ld.so.preload
mkdir -p /etc/ucx
echo 'UCX_TLS=vmp,sm,self' >>/etc/ucx/ucx.conf
sed -i -E 's/^ *(pml|osc) *=/# &/' /etc/openmpi/openmpi-mca-params.conf
cat >>/etc/openmpi/openmpi-mca-params.conf <<'CONF'
pml = ucx
osc = ucx
opal_common_ucx_tls = any
opal_common_ucx_devices = any
CONF
END
}

# No launcher and no variable; all of what UCX and MPI say of themselves
test_system_wide()
{
    local host app=$LIBEXEC/vmp_mpi_check

    system_wide | sed "s|SHIM|$SHIM|" >"$OUT/setup"
    for host in a b; do
        on $host 20 cp /etc/openmpi/openmpi-mca-params.conf /tmp/mca.saved
        "$VMPLAB" exec $host --timeout 30 -- bash <"$OUT/setup" ||
            fail "the system-wide set-up"
    done
    # shellcheck disable=SC2034 # for perf
    LAUNCH=() TEST_ENV=(UCX_LOG_LEVEL=info)
    perf "system-wide" tag_bw 65536 200
    mpi_run "system-wide, Open MPI" mpirun.openmpi -np 2 --host a,b \
        -x UCX_LOG_LEVEL=info "$app.openmpi" --quick
    mpi_run "system-wide, MPICH" mpirun.mpich -np 2 --host a,b \
        env UCX_LOG_LEVEL=info "$app.mpich" --quick
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

test_hosts()
{
    hosts_install
    test_vmprun
    test_user
    test_profile
    test_by_hand
    test_system_wide
    test_removed
}

lab_start
[ "$TLS" = vmp ] || skip "is about vmp itself"
suite=$("$VMPLAB" status | sed -n 's/^suite: //p')
packages=${VMP_PACKAGES:-}
if [ -z "$packages" ]; then
    packages=$OUT/packages
    DEB_BUILD_OPTIONS="nocheck parallel=$(nproc)" "$PACKAGING/build" \
        --suite "$suite" "$packages" >"$OUT/build" 2>&1 || {
        tail -n 25 "$OUT/build"
        fail "the packages cannot be built"
    }
    say "built: $(tail -n 3 "$OUT/build" | paste -sd ' ')"
fi
[ $# -gt 0 ] || set -- lintian tree hosts
for part; do
    "test_$part"
done
lab_end
