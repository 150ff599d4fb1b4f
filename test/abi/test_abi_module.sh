#!/usr/bin/env bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# The module as a file: test_abi_module.sh MODULE
#  - exports nothing but what UCX may look for in a module,
#  - refers to UCX by weak references only, so that it can be loaded, and then
#    refuses, on any UCX,
#  - under a UCX that says it is another version: one warning, no crash.

set -eu

module=${1:-${VMP_MODULE:-}}
cc=${CC:-cc}

if [ -z "$module" ] || [ ! -e "$module" ]; then
    echo "skipped: no module (give its path or set VMP_MODULE)"
    exit 77
fi

if [ "${VMP_SANITIZERS:-no}" != no ]; then
    echo "skipped: a stock program cannot load a module with a sanitizer"
    exit 77
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
errors=0

fail()
{
    echo "FAIL $*"
    errors=$((errors + 1))
}

check_exports()
{
    local exported
    exported=$(nm -D --defined-only "$module" | awk '{ print $3 }' |
               grep -v -e '^_' -e '^ucs_module_global_init$' || true)
    [ -z "$exported" ] || fail "the module exports: $exported"
}

check_weak()
{
    local strong
    strong=$(nm -D --undefined-only "$module" |
             awk '$1 == "U" && $2 ~ /^(ucs|uct|ucp|ucm)_/ { print $2 }')
    [ -z "$strong" ] ||
        fail "not in uct_vmp_weak.h, or that is not included: $strong"
}

# A libucp that is only a version.
make_foreign_ucx()
{
    cat >"$dir/ucp.c" <<'EOF'
void ucp_get_version(unsigned *major, unsigned *minor, unsigned *patch);
void ucp_get_version(unsigned *major, unsigned *minor, unsigned *patch)
{
    *major = 1;
    *minor = 99;
    *patch = 3;
}
EOF
    cat >"$dir/load.c" <<'EOF'
#include <dlfcn.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    if ((argc < 3) || (dlopen(argv[1], RTLD_LAZY) == NULL) ||
        (dlopen(argv[2], RTLD_LAZY | RTLD_LOCAL) == NULL)) {
        printf("%s\n", dlerror());
        return 1;
    }
    return 0;
}
EOF
    "$cc" -shared -fPIC -Wl,-soname,libucp.so.0 -o "$dir/libucp.so.0" \
        "$dir/ucp.c"
    "$cc" -o "$dir/load" "$dir/load.c" -ldl
}

check_refusal()
{
    local lines
    if ! "$dir/load" "$dir/libucp.so.0" "$module" >"$dir/out" 2>"$dir/err"; then
        fail "the module does not load: $(cat "$dir/out" "$dir/err")"
        return
    fi
    lines=$(wc -l <"$dir/err")
    if [ "$lines" -ne 1 ] || ! grep -q 'vmp is not used.*1\.99\.3' "$dir/err"
    then
        fail "expected one warning, got: $(cat "$dir/err")"
    fi
}

check_exports
check_weak
make_foreign_ucx
check_refusal
echo "$errors errors"
[ "$errors" -eq 0 ]
