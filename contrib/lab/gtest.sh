#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
# See file LICENSE for terms.
#
# shellcheck shell=bash disable=SC2034 # names are used across the parts
#
# UCX's own test-suite (test/gtest of its sources), which Debian does not
# package: made from Debian's source package in the suite's tree, and linked to
# the suite's libucp, libuct and libucs. Only the tests are compiled.

# Version of the UCX in a suite's tree
lab_gtest_version()
{
    sed -n 's/^Version: *//p' "$1/usr/lib/x86_64-linux-gnu/pkgconfig/ucx.pc"
}

# Runs in a step of its own: $1 is the directory to fill, $2 the mirror, $3 the
# suite. Leaves the unpacked sources in $1/src.
lab_gtest_fetch()
{
    local dir=$1 mirror=$2 suite=$3

    lab_proxy
    lab_apt_config "$dir/apt" "$mirror"
    echo "deb-src [signed-by=$LAB_KEYRING] $mirror $suite main" \
        >"$dir/apt/sources.list"
    export APT_CONFIG=$dir/apt/apt.conf
    apt-get update -q
    (cd "$dir" && apt-get source -q ucx)
    mv "$dir"/ucx-*/ "$dir/src"
}

# Puts the sources of UCX $3 into $2/src: those in VMPLAB_UCX_SOURCE, else
# Debian's
lab_gtest_source()
{
    local suite=$1 dir=$2 version=$3 mirror given

    given=${VMPLAB_UCX_SOURCE:+$VMPLAB_UCX_SOURCE/ucx-$version}
    if [ -n "$given" ]; then
        [ -e "$given/test/gtest" ] ||
            lab_die "VMPLAB_UCX_SOURCE: there is no $given/test/gtest"
        cp -R "$given" "$dir/src"
        return 0
    fi
    command -v dpkg-source >/dev/null ||
        lab_die "dpkg-source is missing: apt-get install dpkg-dev"
    mirror=$(lab_mirror)
    lab_say "fetching the sources of UCX $version ($suite)"
    lab_step "$LAB_CACHE/log/gtest-source-$suite.log" "sources of UCX" \
             "$LAB_SELF" _gtest_fetch "$dir" "$mirror" "$suite" ||
        lab_die "no sources of UCX $version from the mirror of this machine's" \
                "apt: unpack a release of it yourself and set" \
                "VMPLAB_UCX_SOURCE to the directory that holds ucx-$version"
    [ -e "$dir/src/test/gtest" ] ||
        lab_die "Debian's source package of UCX $version has no test/gtest"
}

# What runs in the suite's tree. Of UCX itself only config.h is made, with what
# Debian's build has in common with it: assertions, no statistics, threads.
lab_gtest_script()
{
    cat <<'END'
set -eu
cd /vmp/src
[ -e configure ] || ./autogen.sh
cd /vmp/obj
[ -e config.h ] ||
    /vmp/src/configure --prefix=/usr --enable-mt --with-verbs --disable-numa \
                       --without-go --without-java --without-mad \
                       --without-rocm --without-cuda
make -f /vmp/src/vmp/gtest.mk -j"$(nproc)"
END
}

# Makes the test program of a suite if it is not there yet: $LAB_GTEST/gtest
lab_gtest()
{
    local suite=$1 tree version sum tmp

    tree=$(lab_rootfs_path "$suite")
    version=$(lab_gtest_version "$tree")
    sum=$({ echo "$tree"; lab_gtest_script
            cat "$LAB_SOURCE"/test/gtest/{adapt.sh,gtest.mk,vmp_tls.h}; } |
          sha256sum | cut -c1-10)
    LAB_GTEST=$LAB_CACHE/gtest/$suite-$version-$sum
    [ -e "$LAB_GTEST" ] && return 0
    tmp=$LAB_CACHE/gtest/$suite.tmp
    rm -rf "$tmp"
    mkdir -p "$tmp"/{obj,install}
    lab_gtest_source "$suite" "$tmp" "$version"
    mkdir "$tmp/src/vmp"
    cp "$LAB_SOURCE"/test/gtest/{gtest.mk,vmp_tls.h} "$tmp/src/vmp/"
    "$LAB_SOURCE/test/gtest/adapt.sh" "$tmp/src" ||
        lab_die "test/gtest/adapt.sh does not know UCX $version"
    lab_say "building UCX's tests for $suite (once; some minutes)"
    lab_step "$LAB_CACHE/log/gtest-$suite.log" "UCX's tests for $suite" \
             "$LAB_SELF" _build_run "$tree" "$tmp" lab_gtest_script ||
        lab_die "UCX's tests for $suite do not compile:" \
                "$LAB_CACHE/log/gtest-$suite.log says why"
    mkdir "$tmp/done"
    mv "$tmp/obj/gtest" "$tmp/done/gtest"
    mv "$tmp/done" "$LAB_GTEST"
    rm -rf "$tmp"
}

# A lock of its own: whoever wants a lab does not wait for this
lab_gtest_lock()
{
    mkdir -p "$LAB_CACHE/gtest"
    exec 9>"$LAB_CACHE/gtest/lock"
    flock -w 1800 9 || lab_die "$LAB_CACHE/gtest is locked for 30 minutes"
}

lab_cmd_gtest()
{
    local suite=trixie

    if [ "${1:-}" = --suite ] && [ $# = 2 ]; then
        suite=$2
    elif [ $# != 0 ]; then
        lab_usage_error "gtest [--suite SUITE]"
    fi
    lab_check_suite "$suite"
    lab_need_host
    if [ ! -e "$(lab_rootfs_path "$suite")" ]; then
        lab_cache_lock
        lab_rootfs "$suite"
        lab_cache_unlock
    fi
    lab_gtest_lock
    lab_gtest "$suite"
    lab_cache_unlock
    echo "$LAB_GTEST/gtest"
}
