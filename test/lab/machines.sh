#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: draft
# timeout: 600
#
# Machines as people have them: README's "make install", and then a user
# without privileges, real ssh between the hosts with PAM's limits, profile.d.
# Nothing of the lab's helpers: neither its build in /opt/vmp nor its agent that
# is named ssh.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_layer.sh
. "$LAB_TEST_DIR/lib_layer.sh"

LAB_SOURCE=$(cd "$LAB_TEST_DIR/../.." && pwd)
# For its list of the checkout's files
# shellcheck source-path=SCRIPTDIR source=../../contrib/lab/build.sh
. "$LAB_SOURCE/contrib/lab/build.sh"
CHECK=$LIBEXEC/vmp_mpi_check.openmpi

# README's commands but "make check", which is a test of its own
build()
{
    local suite dir=$OUT/machine

    suite=$("$VMPLAB" status | sed -n 's/^suite: //p')
    mkdir "$dir"
    lab_source_list | tar -C "$LAB_SOURCE" --no-recursion \
        --verbatim-files-from -T - -cf - | tar -C "$dir" --no-same-owner -xf -
    "$LAYER_PACKAGING/in-suite" "$suite" "$dir" sh -euc './autogen.sh
        mkdir -p build
        cd build
        ../configure
        make -j"$(nproc)"
        make install DESTDIR=/work/gone
        make uninstall DESTDIR=/work/gone
        make install DESTDIR=/work/dest' >"$OUT/build" 2>&1 || {
        show "$OUT/build"
        fail "make install"
    }
    if [ -n "$(find "$dir/gone" ! -type d -print -quit)" ]; then
        problem "make uninstall leaves files"
        find "$dir/gone" ! -type d | head
    fi
}

# Installs it, and makes the user; with a real ssh in place of the lab's
host_setup()
{
    local host=$1

    tar -C "$OUT/machine/dest" --owner=0 --group=0 -cf - . |
        "$VMPLAB" exec "$host" --timeout 60 -- tar -C / -xf -
    on "$host" 60 sh -euc '
        useradd -m -s /bin/bash user
        mkdir -p /run/sshd /run/rootfs
        /usr/lib/vmplab/busybox mount -t 9p \
            -o trans=virtio,version=9p2000.L,ro root /run/rootfs
        rm /usr/bin/ssh
        cp /run/rootfs/usr/bin/ssh /usr/bin/ssh
        /usr/lib/vmplab/busybox umount /run/rootfs
        ssh-keygen -qA
        /usr/sbin/sshd' >"$OUT/setup" 2>&1 || {
        show "$OUT/setup"
        fail "sshd or its user cannot be set up on host $host"
    }
}

hosts_clean()
{
    local host

    for host in a b; do
        on $host 30 sh -c 'kill "$(cat /run/sshd.pid)"; rm -rf /home/user'
    done >"$OUT/clean" 2>&1
}

# One key for both hosts, as a shared home has it
keys()
{
    local dir=$OUT/ssh host

    mkdir "$dir"
    ssh-keygen -q -t ed25519 -N '' -f "$dir/id_ed25519"
    cp "$dir/id_ed25519.pub" "$dir/authorized_keys"
    echo 'StrictHostKeyChecking accept-new' >"$dir/config"
    for host in a b; do
        tar -C "$dir" -cf - . | "$VMPLAB" exec $host --timeout 30 -- sh -euc '
            mkdir -m 700 /home/user/.ssh
            tar -C /home/user/.ssh -xf -
            chmod 600 /home/user/.ssh/*
            chown -R user:user /home/user/.ssh'
    done
}

# as_user SECONDS COMMAND: a line for the shell of the user on host a, who comes
# there from host b by ssh
as_user()
{
    on b "$1" setpriv --reuid=user --regid=user --init-groups env -i \
        HOME=/home/user PATH=/usr/local/bin:/usr/bin:/bin ssh -n a "$2" \
        >"$OUT/user" 2>&1
}

# Docs' remedy against PAM's low limits, after having seen what these do
limits()
{
    local host

    for host in a b; do
        on $host 20 sh -c 'printf "* %s memlock 64\n" soft hard \
            >/etc/security/limits.d/00-low.conf'
    done
    as_user 60 'ulimit -l; vmprun ucx_info -d' || true
    if ! grep -qx 64 "$OUT/user" || grep -q 'Transport: vmp' "$OUT/user" ||
       ! grep -qE 'a limit of 64 KiB|set max locked memory' "$OUT/user"; then
        problem "64 KiB of locked memory: the user is not told"
        show "$OUT/user"
    fi
    for host in a b; do
        on $host 20 sh -c 'printf "* %s memlock unlimited\n" soft hard \
            >/etc/security/limits.d/vmp.conf'
    done
    as_user 60 'ulimit -l; ssh b ulimit -l; vmprun ucx_info -d' || true
    if [ "$(grep -cx unlimited "$OUT/user")" != 2 ] ||
       ! grep -q 'Transport: vmp' "$OUT/user"; then
        problem "limits.d: no vmp"
        show "$OUT/user"
    fi
}

# mpi WHAT COMMAND
mpi()
{
    local TLS=vmp,self,cma,posix,sysv

    counters_reset
    as_user 120 "$2" || true
    cp "$OUT/user" "$OUT/mpi"
    if ! grep -q 'vmp_mpi_check: PASS' "$OUT/mpi"; then
        problem "$1: no verdict"
        show "$OUT/mpi"
        return 0
    fi
    counters_read
    if [ "$SUM_AB" -lt 5000000 ]; then
        problem "$1: only $SUM_AB bytes over the links"
    fi
    assert_lanes "$1" "$OUT/mpi"
    resources_check "$1"
    say "$1: $(grep -o 'PASS.*' "$OUT/mpi"), links $SUM_AB and $SUM_BA"
}

lab_start
[ "$TLS" = vmp ] || skip "is about vmp itself"
build
layer_mount openssh-server
at_exit hosts_clean
for host in a b; do
    host_setup $host
done
keys
limits
check="$CHECK --quick nonblocking coll rma"
mpi "a user, vmprun mpirun" \
    "UCX_LOG_LEVEL=info vmprun mpirun.openmpi --host a,b -np 2 $check"
mpi "a user, mpirun vmprun" \
    "mpirun.openmpi --host a,b -np 2 -x UCX_LOG_LEVEL=info vmprun $check"
for host in a b; do
    # shellcheck disable=SC2016 # for the shell over there
    on $host 20 sh -c 'echo "eval \"\$(vmprun --print-env)\"" \
        >/etc/profile.d/vmp.sh'
done
mpi "a user, profile.d" "UCX_LOG_LEVEL=info bash -lc \
    'mpirun.openmpi --host a,b -np 2 $check'"
lab_end
