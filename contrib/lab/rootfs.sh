#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
# See file LICENSE for terms.
#
# shellcheck shell=bash disable=SC2034 # names are used across the parts
#
# Root file systems of the guests' suites: made once, complete, never changed.

# What builds our software and what the lab's tests run. A change of this list
# makes new trees, since its hash is part of their names.
LAB_GUEST_PACKAGES="
    autoconf automake file gcc libc6-dev libtool make pkg-config
    libibverbs-dev librdmacm-dev libucx-dev
    ibverbs-providers ibverbs-utils perftest rdma-core ucx-utils
    libopenmpi-dev openmpi-bin
    libmpich-dev mpich
    gdb iproute2 iputils-ping kmod procps python3-minimal strace"

lab_guest_packages()
{
    # shellcheck disable=SC2086 # a list of names
    printf '%s\n' $LAB_GUEST_PACKAGES | LC_ALL=C sort -u | paste -sd, -
}

lab_rootfs_path()
{
    printf '%s/rootfs/%s-%s\n' "$LAB_CACHE" "$1" \
           "$(lab_guest_packages | sha256sum | cut -c1-10)"
}

# Runs in a step of its own: $1 suite, $2 directory to use (the tree becomes
# its subdirectory), $3 mirror
lab_rootfs_make()
{
    local suite=$1 dir=$2/tree mirror=$3 script=

    mkdir -p "$2/tmp"
    export TMPDIR=$2/tmp
    lab_proxy
    export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
    if command -v mmdebstrap >/dev/null; then
        # No manuals and translations: nobody reads them in a guest, and they
        # are half of the small files
        mmdebstrap --mode=root --variant=apt \
            --keyring="$LAB_KEYRING" --include="$(lab_guest_packages)" \
            --aptopt='Acquire::Retries "3"' \
            --dpkgopt='path-exclude=/usr/share/doc/*' \
            --dpkgopt='path-exclude=/usr/share/man/*' \
            --dpkgopt='path-exclude=/usr/share/locale/*' \
            --dpkgopt='path-exclude=/usr/share/info/*' \
            "$suite" "$dir" "deb $mirror $suite main"
    else
        [ -e "/usr/share/debootstrap/scripts/$suite" ] ||
            script=/usr/share/debootstrap/scripts/sid
        # shellcheck disable=SC2086 # empty when not needed
        debootstrap --variant=minbase --keyring="$LAB_KEYRING" \
            --include="$(lab_guest_packages)" "$suite" "$dir" "$mirror" $script
        rm -rf "$dir"/var/cache/apt/archives/*.deb
    fi
    # Mount points: the tree is read-only whenever it is used
    mkdir -p "$dir/opt/vmp" "$dir/vmp/src" "$dir/vmp/obj" "$dir/lib/modules"
}

# Makes the tree of a suite if it is not there yet; atomic by renaming
lab_rootfs()
{
    local suite=$1 dir tmp mirror

    dir=$(lab_rootfs_path "$suite")
    [ -e "$dir" ] && return 0
    mirror=$(lab_mirror)
    tmp=$LAB_CACHE/rootfs/$suite.tmp
    rm -rf "$tmp"
    mkdir -p "$tmp"
    lab_say "making the root file system of $suite (once; some minutes)"
    lab_step "$LAB_CACHE/log/rootfs-$suite.log" "root file system of $suite" \
             "$LAB_SELF" _rootfs_make "$suite" "$tmp" "$mirror"
    mv "$tmp/tree" "$dir"
    rm -rf "$tmp"
}
