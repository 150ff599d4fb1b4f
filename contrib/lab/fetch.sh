#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
# See file LICENSE for terms.
#
# shellcheck shell=bash disable=SC2034 # names are used across the parts
#
# The Debian mirror of this machine, the guests' kernel and their initramfs.

LAB_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
LAB_MODULES="virtio_net 9pnet_virtio 9p overlay crc32_generic rdma_rxe ib_umad
             rdma_ucm"

# The mirror that this machine's apt uses for Debian itself. Release fields are
# known only after an apt-get update, hence the second, coarser question.
lab_mirror()
{
    # shellcheck disable=SC2016 # an apt field, not a variable
    local uri=${VMPLAB_MIRROR:-} format='$(REPO_URI)'

    [ -n "$uri" ] ||
        uri=$(apt-get indextargets --format "$format" 'Origin: Debian' \
                      'Label: Debian' 'Component: main' 2>/dev/null | sed -n 1p)
    [ -n "$uri" ] ||
        uri=$(apt-get indextargets --format "$format" \
                      'Created-By: Packages' 'Component: main' 2>/dev/null |
              grep -v -- '-security' | sed -n 1p)
    [ -n "$uri" ] ||
        lab_die "apt knows no Debian mirror: run apt-get update," \
                "or set VMPLAB_MIRROR"
    printf '%s\n' "${uri%/}"
}

# Bootstrapping tools do not read apt.conf, but know the usual variable
lab_proxy()
{
    local proxy

    proxy=$(apt-config dump --format '%v%n' Acquire::http::Proxy 2>/dev/null)
    if [ -n "$proxy" ] && [ -z "${http_proxy:-}" ]; then
        export http_proxy=$proxy
    fi
}

# An apt of our own: other suites than this machine's, no change to its lists
lab_apt_config()
{
    local dir=$1 mirror=$2

    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
    : >"$dir/status"
    echo "deb [signed-by=$LAB_KEYRING] $mirror $LAB_KERNEL_SUITE main" \
        >"$dir/sources.list"
    cat >"$dir/apt.conf" <<END
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$dir/lists";
Dir::State::status "$dir/status";
Dir::Cache "$dir/cache";
APT::Architecture "amd64";
APT::Sandbox::User "root";
END
}

# QEMU starts an uncompressed kernel several seconds sooner under emulation:
# the boot protocol's header says where in the bzImage the payload is
lab_kernel_unpack()
{
    local image=$1 out=$2 setup offset length

    setup=$(od -An -tu1 -j $((0x1f1)) -N1 "$image")
    offset=$(od -An -tu4 -j $((0x248)) -N4 "$image")
    length=$(od -An -tu4 -j $((0x24c)) -N4 "$image")
    # The last four bytes are the unpacked size
    head -c $(((setup + 1) * 512 + offset + length - 4)) "$image" |
        tail -c $((length - 4)) >"$out.packed"
    zstd -qdc "$out.packed" >"$out" 2>/dev/null ||
        xz -dc "$out.packed" >"$out" 2>/dev/null ||
        cp "$image" "$out"
    rm -f "$out.packed"
}

# Runs in a step of its own: $1 is the directory to fill, $2 the mirror
lab_kernel_fetch()
{
    local dir=$1 mirror=$2 package parts deb image modules

    lab_proxy
    lab_apt_config "$dir/apt" "$mirror"
    export APT_CONFIG=$dir/apt/apt.conf
    apt-get update -q
    package=$(apt-cache depends linux-image-amd64 |
              awk '/Depends: linux-image/ {print $2}' | sed -n 1p)
    # Later suites split the image into two packages
    parts=$(apt-cache depends "$package" |
            awk '/Depends: linux-(binary|modules)-/ {print $2}')
    # shellcheck disable=SC2086 # a list of names
    (cd "$dir/apt" && apt-get download -q $package $parts)
    for deb in "$dir"/apt/linux-*.deb; do
        dpkg -x "$deb" "$dir/tree"
    done
    rm -rf "$dir/apt"
    image=$(find "$dir/tree" -name 'vmlinuz*' | sed -n 1p)
    modules=$(find "$dir/tree" -path '*/lib/modules/*' -prune -name '[0-9]*')
    lab_kernel_unpack "$image" "$dir/vmlinux"
    mv "$modules" "$dir/modules"
    basename "$modules" >"$dir/release"
    mkdir -p "$dir/tree/lib/modules"
    ln -sfn "$dir/modules" "$dir/tree/lib/modules/$(cat "$dir/release")"
    depmod -b "$dir/tree" "$(cat "$dir/release")"
    rm -rf "$dir/tree"
}

# Leaves the kernel in $LAB_KERNEL: vmlinux, modules/, release
lab_kernel()
{
    local mirror tmp

    LAB_KERNEL=$LAB_CACHE/kernel-$LAB_KERNEL_SUITE
    [ -e "$LAB_KERNEL" ] && return 0
    mirror=$(lab_mirror)
    tmp=$LAB_KERNEL.tmp
    rm -rf "$tmp"
    mkdir -p "$tmp"
    lab_say "fetching the guests' kernel ($LAB_KERNEL_SUITE)"
    lab_step "$LAB_CACHE/log/kernel.log" "guests' kernel" \
             "$LAB_SELF" _kernel_fetch "$tmp" "$mirror"
    mv "$tmp" "$LAB_KERNEL"
}

# Prints a module's file and all that it needs, in the order of loading
lab_module_order()
{
    local name=$1 path dep

    path=$(grep -oE "^[^:]*/${name//_/[-_]}\.ko[^:]*:" \
           "$LAB_KERNEL/modules/modules.dep" | sed -n 1p) || true
    path=${path%:}
    # Built into this kernel, or gone from it (crc32_generic): nothing to load
    [ -n "$path" ] || return 0
    for dep in $(sed -n "s|^$path: *||p" "$LAB_KERNEL/modules/modules.dep" |
                 tr ' ' '\n' | tac); do
        echo "$dep"
    done
    echo "$path"
}

lab_initramfs_module()
{
    local path=$LAB_KERNEL/modules/$1 dir=$2 name

    name=$(basename "$path")
    name=${name%%.ko*}.ko
    case $path in
    *.xz) xz -dc "$path" ;;
    *.zst) zstd -qdc "$path" ;;
    *) cat "$path" ;;
    esac >"$dir/$name"
    echo "$name" >>"$dir/order"
}

# busybox, modules, our agent and start-up scripts; rebuilt at every start (it
# takes half a second), so it never lags behind the checkout
lab_initramfs()
{
    local out=$1 dir=$1.d module path applet

    rm -rf "$dir"
    mkdir -p "$dir"/{bin,dev,proc,sys,mods,lab,ro,rw,new}
    cp "$(command -v busybox)" "$dir/bin/busybox"
    for applet in sh mount insmod switch_root mkdir echo cat cp ln sleep; do
        ln -s busybox "$dir/bin/$applet"
    done
    : >"$dir/mods/order"
    for module in $LAB_MODULES; do
        lab_module_order "$module"
    done | awk '!seen[$0]++' | while read -r path; do
        lab_initramfs_module "$path" "$dir/mods"
    done
    cp "$LAB_DIR/initramfs-init" "$dir/init"
    # busybox for tests: not every suite's tree has a mount command
    cp "$LAB_DIR/guest-init" "$LAB_AGENT" "$(command -v busybox)" "$dir/lab/"
    chmod 755 "$dir/init" "$dir/lab"/*
    (cd "$dir" && find . | cpio -o -H newc 2>/dev/null) >"$out"
    rm -rf "$dir"
}
