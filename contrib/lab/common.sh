#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
# See file LICENSE for terms.
#
# shellcheck shell=bash disable=SC2034 # names are used across the parts
#
# Names, messages, locks and the running of long steps: shared by all parts of
# vmplab. Sourced, never run.

LAB_CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/vmp-lab
LAB_RUN=/run/vmplab
LAB_LOCK=/run/vmplab.lock
LAB_KERNEL_SUITE=trixie
LAB_SUITES="bookworm trixie"
LAB_STEP_PID=
LAB_T0=$SECONDS

lab_say()
{
    printf '[%3d s] %s\n' $((SECONDS - LAB_T0)) "$*" >&2
}

lab_warn()
{
    printf 'vmplab: %s\n' "$*" >&2
}

lab_die()
{
    lab_warn "$@"
    exit 1
}

lab_usage_error()
{
    lab_warn "$* (see: vmplab help)"
    exit 2
}

lab_in_range()
{
    [[ $1 =~ ^[1-9][0-9]{0,5}$ ]] && [ "$1" -ge "$2" ] && [ "$1" -le "$3" ]
}

# The n-th host's name: 1 is a, 2 is b
lab_host_name()
{
    printf '%b' "\\$(printf '%03o' $((96 + $1)))"
}

# Host side programs and the Debian package that has each
lab_host_packages()
{
    cat <<'END'
qemu-system-x86_64 qemu-system-x86
mmdebstrap mmdebstrap
busybox busybox-static
ip iproute2
tc iproute2
unshare util-linux
nsenter util-linux
setpriv util-linux
gcc gcc
depmod kmod
cpio cpio
zstd zstd
xz xz-utils
gpg gpg
ps procps
/usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
/usr/lib/x86_64-linux-gnu/libc.a libc6-dev
END
}

lab_have()
{
    case $1 in
    /*) [ -e "$1" ] ;;
    # debootstrap does as well, only slower
    mmdebstrap) command -v mmdebstrap || command -v debootstrap ;;
    *) command -v "$1" ;;
    esac >/dev/null
}

lab_need_root()
{
    [ "$(id -u)" = 0 ] ||
        lab_die "needs root: taps, namespaces and chroots are made by root only"
}

lab_need_host()
{
    local program package

    lab_need_root
    [ "$(uname -m)" = x86_64 ] ||
        lab_die "needs an x86_64 machine, this is $(uname -m)"
    while read -r program package; do
        lab_have "$program" ||
            lab_die "$program is missing: apt-get install $package"
    done < <(lab_host_packages)
    ! busybox ldd "$(command -v busybox)" >/dev/null 2>&1 &&
        return 0
    # A dynamically linked busybox cannot start in an initramfs without libc
    grep -aq 'ld-linux' "$(command -v busybox)" &&
        lab_die "busybox is not static: apt-get install busybox-static"
    return 0
}

# Kills a step that is under way; its process namespace takes all children
lab_step_stop()
{
    [ -n "$LAB_STEP_PID" ] || return 0
    kill -KILL "$LAB_STEP_PID" 2>/dev/null || true
    wait "$LAB_STEP_PID" 2>/dev/null || true
    LAB_STEP_PID=
}

# lab_step LOG LABEL CMD...: runs CMD in namespaces of its own, so that mounts
# and processes cannot outlive it, and says every 20 s that it is still at it.
# In the background, since bash runs no trap while it waits for a foreground
# command.
lab_step()
{
    local log=$1 label=$2 t=$SECONDS said=$SECONDS ret=0
    shift 2

    mkdir -p "$(dirname "$log")"
    # It ends together with us, even if we are killed
    setpriv --pdeathsig KILL \
        unshare --mount --pid --fork --kill-child --mount-proc -- "$@" \
        </dev/null >"$log" 2>&1 8>&- 9>&- &
    LAB_STEP_PID=$!
    while kill -0 "$LAB_STEP_PID" 2>/dev/null; do
        sleep 0.2
        if [ $((SECONDS - said)) -ge 20 ]; then
            said=$SECONDS
            lab_say "  $label: $((SECONDS - t)) s so far"
        fi
    done
    wait "$LAB_STEP_PID" || ret=$?
    LAB_STEP_PID=
    if [ $ret -ne 0 ]; then
        tail -n 25 "$log" >&2
        lab_warn "$label failed (all of the output: $log)"
        return 1
    fi
    lab_say "$label: done in $((SECONDS - t)) s"
}

# One process at a time fills the cache (file descriptor 9, closed in children)
lab_cache_lock()
{
    mkdir -p "$LAB_CACHE"
    exec 9>"$LAB_CACHE/lock"
    flock -n 9 && return 0
    lab_say "waiting for another vmplab that fills $LAB_CACHE"
    flock -w 1800 9 || lab_die "$LAB_CACHE is still locked after 30 minutes"
}

lab_cache_unlock()
{
    exec 9>&-
}
