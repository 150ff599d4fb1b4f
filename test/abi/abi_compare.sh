#!/usr/bin/env bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# Compares uct_vmp_abi.h with a UCX source tree: abi_compare.sh UCX_SOURCE_DIR
# prints a Markdown table and fails if one declaration differs. The tree may be
# unconfigured; nothing is written into it. Skips (77) when no tree is given.

set -eu

here=$(cd "$(dirname "$0")" && pwd)
ours=$here/../../src/uct/ib/virtuoso/uct
cc=${CC:-cc}
tree=${1:-${VMP_UCX_SOURCE:-}}

if [ -z "$tree" ]; then
    echo "skipped: no UCX source tree (configure --with-ucx-source=DIR)"
    exit 77
fi
if [ ! -f "$tree/src/uct/base/uct_iface.h" ]; then
    echo "abi_compare: $tree is not a UCX source tree: it has no" \
         "src/uct/base/uct_iface.h" >&2
    exit 1
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

version_number()
{
    sed -n "s/^define(\[ucx_ver_$1\], *\([0-9]*\)).*/\1/p" "$tree/configure.ac"
}

# What configure would have made: the version header and a config.h without
# options that change layouts (a distribution's build: no statistics).
make_generated_headers()
{
    local major minor patch
    major=$(version_number major)
    minor=$(version_number minor)
    patch=$(version_number patch)
    if [ -z "$major" ] || [ -z "$minor" ]; then
        echo "abi_compare: no version in $tree/configure.ac" >&2
        exit 1
    fi
    version=$major.$minor.$patch

    mkdir -p "$dir/uct/api"
    cat >"$dir/uct/api/version.h" <<EOF
#define UCT_VERNO_MAJOR $major
#define UCT_VERNO_MINOR $minor
#define UCT_VERNO_PATCH $patch
EOF
    cat >"$dir/config.h" <<EOF
#define ENABLE_ASSERT 1
#define ENABLE_PARAMS_CHECK 1
#define ENABLE_DEBUG_DATA 0
#define ENABLE_MT 1
#define UCS_MAX_LOG_LEVEL UCS_LOG_LEVEL_DEBUG
#define HAVE_CPU_SET_T 1
#define HAVE_ALLOCA 1
#define HAVE_ALLOCA_H 1
#define UCX_MODULE_SUBDIR "ucx"
#define UCX_CONFIG_DIR "/etc/ucx"
#define VERSION "$version"
#define PACKAGE "ucx"
EOF
}

# compile NAME CFLAGS...
compile()
{
    local name=$1
    shift
    "$cc" -std=gnu11 -w -include "$dir/config.h" -I"$dir" "$@" \
        -I"$tree/src" -I"$here" -c -o "$dir/$name.o" "$here/abi_probe.c"
    # FUNC takes addresses of functions only for their types: nothing of UCX is
    # referenced, so this links without UCX.
    "$cc" -o "$dir/$name" "$dir/$name.o"
    "$dir/$name" >"$dir/$name.out"
}

print_table()
{
    echo "| what | name | vmp | UCX $version | |"
    echo "| --- | --- | --- | --- | --- |"
    paste -d '\n' "$dir/ours.out" "$dir/theirs.out" |
    while read -r kind name mine && read -r kind2 name2 theirs; do
        verdict=equal
        if [ "$kind $name $mine" != "$kind2 $name2 $theirs" ] ||
           [ "${mine%differs}" != "$mine" ]; then
            verdict="**differs**"
        fi
        echo "| $kind | \`$name\` | $mine | $theirs | $verdict |"
    done
}

make_generated_headers
compile ours -DABI_PROBE_OURS -I"$ours"
compile theirs -DHAVE_CONFIG_H
print_table >"$dir/table"
cat "$dir/table"

lines=$(wc -l <"$dir/ours.out")
if [ "$lines" -ne "$(wc -l <"$dir/theirs.out")" ] ||
   grep -q 'differs' "$dir/table"; then
    echo "abi_compare: uct_vmp_abi.h differs from UCX $version" >&2
    exit 1
fi
echo "abi_compare: all $lines declarations equal those of UCX $version" >&2
