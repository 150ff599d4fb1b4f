#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# What the module and the shim export, and which libraries they need: exactly
# what is listed here. Whatever else they exported could be mistaken for a
# symbol of the program that they are loaded into.

set -eu

errors=0

fail() {
    echo "FAIL: $1"
    errors=$((errors + 1))
}

exported() {
    nm -D --defined-only "$1" | awk '{ print $3 }' | sort | xargs
}

needed() {
    readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
        grep -v -e '^libc\.' -e '^libdl\.' -e '^libpthread\.' -e '^ld-' \
            -e '^libm\.' -e 'san\.so' -e '^libgcc_s\.' -e '^librt\.' |
        sort | xargs
}

# check WHAT FILE WANTED FOUND
check() {
    [ "$3" = "$4" ] || fail "$2: $1: found '$4', wanted '$3'"
}

[ -z "${VMP_SANITIZERS:-}" ] || [ "$VMP_SANITIZERS" = no ] || {
    echo "skipped: a sanitizer adds symbols and libraries of its own"
    exit 77
}

check exports "$VMP_SHIM" "ucs_load_modules" "$(exported "$VMP_SHIM")"
check libraries "$VMP_SHIM" "" "$(needed "$VMP_SHIM")"
check exports "$VMP_MODULE" "" "$(exported "$VMP_MODULE")"
check libraries "$VMP_MODULE" "libibverbs.so.1 libucs.so.0 libuct.so.0" \
    "$(needed "$VMP_MODULE")"

readelf -d "$VMP_MODULE" | grep -q 'SONAME.*\[libuct_vmp.so.0\]' ||
    fail "$VMP_MODULE: its SONAME is not libuct_vmp.so.0"
readelf -d "$VMP_MODULE" | grep -q 'NODELETE' ||
    fail "$VMP_MODULE: it can be unloaded, but UCX keeps pointers into it"
for file in "$VMP_SHIM" "$VMP_MODULE"; do
    ! readelf -d "$file" | grep -E 'RPATH|RUNPATH|TEXTREL' ||
        fail "$file: it has a search path or relocations in its text"
done

[ "$errors" -eq 0 ] && echo "exports and libraries are as they should be"
