#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 1500
#
# Machines as people have them: README's "make install", and then a user
# without privileges, real ssh between the hosts with PAM's limits, profile.d,
# the set-up without variables. Nothing of the lab's helpers: neither its build in
# /opt/vmp nor its agent that is named ssh.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_layer.sh
. "$LAB_TEST_DIR/lib_layer.sh"
# shellcheck source-path=SCRIPTDIR source=lib_memlock.sh
. "$LAB_TEST_DIR/lib_memlock.sh"
# shellcheck source-path=SCRIPTDIR source=lib_mpi.sh
. "$LAB_TEST_DIR/lib_mpi.sh"
# shellcheck source-path=SCRIPTDIR source=lib_setup.sh
. "$LAB_TEST_DIR/lib_setup.sh"

LAB_SOURCE=$(cd "$LAB_TEST_DIR/../.." && pwd)
# For its list of the checkout's files
# shellcheck source-path=SCRIPTDIR source=../../contrib/lab/build.sh
. "$LAB_SOURCE/contrib/lab/build.sh"
SHIM=/usr/local/lib/libvmp-preload.so
# What ssh gives a user, without the lab's /opt/vmp/bin
USER_PATH=/usr/local/bin:/usr/bin:/bin

# README's commands but "make check", which is a test of its own. Installing is
# copying: it may be done where the compiler is another one, or is none. With the
# suite's ssh, which the hosts have behind the lab's.
build()
{
    local suite dir=$OUT/machine

    suite=$("$VMPLAB" status | sed -n 's/^suite: //p')
    mkdir "$dir"
    lab_source_list | tar -C "$LAB_SOURCE" --no-recursion \
        --verbatim-files-from -T - -cf - | tar -C "$dir" --no-same-owner -xf -
    # shellcheck disable=SC2016 # for the shell in there
    "$LAYER_PACKAGING/in-suite" "$suite" "$dir" sh -euc 'umask 022
        cp /usr/bin/ssh /work/ssh
        ./autogen.sh
        mkdir -p build
        cd build
        ../configure
        make -j"$(nproc)"
        make install DESTDIR=/work/gone
        make uninstall DESTDIR=/work/gone
        make install DESTDIR=/work/dest CC=false' >"$OUT/build" 2>&1 || {
        show "$OUT/build"
        fail "make install"
    }
    if [ -n "$(find "$dir/gone" ! -type d -print -quit)" ]; then
        problem "make uninstall leaves files"
        find "$dir/gone" ! -type d | head
    fi
    [ -s "$dir/dest$SHIM" ] || fail "make install leaves no $SHIM"
}

# Installs it, and makes the user; with a real ssh in place of the lab's. In the
# end all of /usr and /etc is as it was.
host_setup()
{
    local host=$1

    tar -C "$OUT/machine/dest" --owner=0 --group=0 -cf - usr |
        "$VMPLAB" exec "$host" --timeout 60 -- tar -C / -xf -
    "$VMPLAB" exec "$host" --timeout 60 -- sh -euc '
        rm -f /usr/bin/ssh
        cat >/usr/bin/ssh
        chmod 755 /usr/bin/ssh' <"$OUT/machine/ssh"
    on "$host" 60 sh -euc '
        useradd -m -s /bin/bash user
        mkdir -p /run/sshd
        ssh-keygen -A
        /usr/sbin/sshd' >"$OUT/setup" 2>&1 || {
        show "$OUT/setup"
        fail "sshd or its user cannot be set up on host $host"
    }
}

# Before the layer goes, which sshd keeps busy
hosts_clean()
{
    local host

    for host in a b; do
        # shellcheck disable=SC2016 # for the shell over there
        on $host 60 sh -c '
            rm -f /etc/ld.so.preload
            if read -r pid </run/sshd.pid; then
                kill "$pid"
                for i in 1 2 3 4 5 6 7 8 9 10; do
                    [ -e "/proc/$pid" ] || break
                    sleep 0.5
                done
            fi
            if id user >/dev/null; then
                for dir in $(find /proc -mindepth 1 -maxdepth 1 -user user)
                do
                    kill -KILL "${dir##*/}"
                done
                find /tmp /dev/shm -xdev -mindepth 1 -maxdepth 1 -user user \
                    -exec rm -rf "{}" +
            fi
            rm -rf /home/user /run/sshd /run/sshd.pid /run/motd.dynamic'
    done >"$OUT/clean" 2>&1
}

# One key for both hosts, as a shared home has it
keys()
{
    local host

    on a 30 sh -euc 'cd /home/user
        mkdir -m 700 .ssh
        ssh-keygen -q -t ed25519 -N "" -f .ssh/id_ed25519
        cp .ssh/id_ed25519.pub .ssh/authorized_keys
        echo "StrictHostKeyChecking accept-new" >.ssh/config
        chown -R user:user .ssh
        tar -cf - .ssh' >"$OUT/keys.tar" 2>"$OUT/keys" || {
        show "$OUT/keys"
        fail "no keys for ssh"
    }
    "$VMPLAB" exec b --timeout 30 -- tar -C /home/user -xf - <"$OUT/keys.tar"
    # Each host is a new one to the user, whom nobody asks
    for host in a b; do
        as_user 60 "ssh -n $host true && ssh -n $host hostname" || true
        grep -qx $host "$OUT/user" || {
            show "$OUT/user"
            fail "ssh does not work"
        }
    done
}

# as_user SECONDS COMMAND: a line for the shell of the user on host a, who comes
# there from host b by ssh
as_user()
{
    on b "$1" setpriv --reuid=user --regid=user --init-groups env -i \
        HOME=/home/user PATH=$USER_PATH ssh -n a "$2" >"$OUT/user" 2>&1
}

# limit_all LIMIT FILE: lines for pam_limits, of which the last one counts
limit_all()
{
    local host

    for host in a b; do
        # shellcheck disable=SC2016 # for the shell over there
        on $host 20 sh -euc 'printf "* %s memlock $1\n" soft hard \
            >/etc/security/limits.d/$2' - "$1" "$2"
    done
}

# Docs' remedy against PAM's low limits, after having seen what these do
limits()
{
    local ret=0

    limit_all 64 00-low.conf
    as_user 60 'command -v vmprun; ulimit -l; vmprun ucx_info -d' || true
    if ! grep -qx /usr/local/bin/vmprun "$OUT/user" ||
       ! grep -qx 64 "$OUT/user" || grep -q 'Transport: vmp' "$OUT/user" ||
       ! grep -qE 'a limit of 64 KiB|set max locked memory' "$OUT/user"; then
        problem "64 KiB of locked memory: the user is not told"
        show "$OUT/user"
    fi
    # What most people have
    limit_all 8192 01-usual.conf
    as_user 30 'ulimit -l' || true
    grep -qx 8192 "$OUT/user" || problem "PAM does not give 8 MiB"
    as_user 150 "UCX_LOG_LEVEL=info vmprun $OPENMPI" || ret=$?
    if [ $ret = 0 ] && grep -aq 'vmp_mpi_check: PASS' "$OUT/user"; then
        say "8 MiB of locked memory: $(grep -ao 'PASS.*' "$OUT/user")"
    else
        memlock_ended "8 MiB of locked memory" $ret "$OUT/user"
    fi
    resources_check "8 MiB of locked memory"
    limit_all unlimited vmp.conf
    as_user 60 'ulimit -l; ssh -n b ulimit -l; vmprun ucx_info -d' || true
    if [ "$(grep -cx unlimited "$OUT/user")" != 2 ] ||
       ! grep -q 'Transport: vmp' "$OUT/user"; then
        problem "limits.d: no vmp"
        show "$OUT/user"
    fi
    # Another way in, with docs' line
    on a 60 env PATH=$USER_PATH su user -c \
        'ulimit -l; vmprun ucx_info -d | grep "Transport: vmp"' \
        >"$OUT/user" 2>&1 || true
    if ! grep -qx unlimited "$OUT/user" ||
       ! grep -q 'Transport: vmp' "$OUT/user"; then
        problem "limits.d, su: no vmp"
        show "$OUT/user"
    fi
}

# mpi MPI WHAT COMMAND: a line of the user's that runs a job across the hosts.
# What it does not set, it has to have from the machine.
mpi()
{
    local what="$1, $2" MPI_LOG='' TLS=vmp,self,cma,posix,sysv ret=0

    [ "$1" = openmpi ] || MPI_LOG=$MPICH_LOG
    counters_reset
    as_user 150 "$3" || ret=$?
    cp "$OUT/user" "$OUT/mpi"
    [ -z "$MPI_LOG" ] || mpi_log_collect
    if [ $ret != 0 ]; then
        problem "$what: exit code $ret"
        grep -a 'vmp_mpi_check: FAIL' "$OUT/mpi" || show "$OUT/mpi"
        return 0
    fi
    mpi_check "$what" || return 0
    [ "$1" != openmpi ] || mpi_openmpi_layers "$what" 2
    grep -q '^vmp/' <<<"$(lanes "$OUT/mpi")" ||
        problem "$what: no lane over vmp"
    resources_check "$what"
}

profile()
{
    local host

    for host in a b; do
        # shellcheck disable=SC2016 # for the shell over there
        on $host 20 sh -c 'echo "eval \"\$(vmprun --print-env)\"" \
            >/etc/profile.d/vmp.sh'
    done
    mpi openmpi "profile.d" "UCX_LOG_LEVEL=info bash -lc '$OPENMPI'"
    mpi mpich "profile.d" "$LOG bash -lc '$MPICH'"
    for host in a b; do
        on $host 20 rm /etc/profile.d/vmp.sh
    done
}

# No launcher and no variable, but for what makes UCX talk
system_wide()
{
    local host

    setup_recipe "$SHIM" >"$OUT/recipe"
    for host in a b; do
        "$VMPLAB" exec $host --timeout 30 -- bash <"$OUT/recipe" ||
            fail "the set-up without variables on host $host"
    done
    mpi openmpi "set-up without variables" \
        "${OPENMPI/--host/-x UCX_LOG_LEVEL=info --host}"
    mpi mpich "set-up without variables" "$LOG $MPICH"
    # As the docs say: before the shim goes
    for host in a b; do
        on $host 20 rm /etc/ld.so.preload
    done
}

CHECK="--quick --time-limit 140 nonblocking coll rma"
MPICH_LOG=/tmp/vmp_machines
LOG="UCX_LOG_LEVEL=info UCX_LOG_FILE=$MPICH_LOG.%p"
OPENMPI="mpirun.openmpi --host a,b -np 2 --mca pml_base_verbose 10 \
$LIBEXEC/vmp_mpi_check.openmpi $CHECK"
MPICH="mpirun.mpich --host a,b -np 2 $LIBEXEC/vmp_mpi_check.mpich $CHECK"

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
mpi openmpi "vmprun mpirun" "UCX_LOG_LEVEL=info vmprun $OPENMPI"
mpi openmpi "mpirun vmprun" \
    "${OPENMPI/$LIBEXEC/-x UCX_LOG_LEVEL=info vmprun $LIBEXEC}"
mpi mpich "vmprun mpirun" "$LOG vmprun $MPICH"
profile
system_wide
lab_end
