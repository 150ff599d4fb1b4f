#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# What the tests of the Debian packages share; source it after lib.sh.
#
# VMP_PACKAGES=DIRECTORY: take the packages from there

PACKAGING=$LAB_TEST_DIR/../../contrib/packaging

# packages_start [check]: starts, and sets suite and packages, the directory in
# which these are. They are built without their tests, or with some random programs
# for each of those that run them.
packages_start()
{
    local options=nocheck

    [ "${1:-}" != check ] || options=
    lab_start
    [ "$TLS" = vmp ] || skip "is about vmp itself"
    suite=$("$VMPLAB" status | sed -n 's/^suite: //p')
    packages=${VMP_PACKAGES:-}
    if [ -z "$packages" ]; then
        packages=$OUT/packages
        DEB_BUILD_OPTIONS="$options parallel=$(nproc)" VMP_TEST_ROUNDS=1500 \
            "$PACKAGING/build" --suite "$suite" "$packages" \
            >"$OUT/build" 2>&1 || {
            tail -n 25 "$OUT/build"
            fail "the packages cannot be built"
        }
        [ "${1:-}" != check ] || grep -qE '^# PASS: +[1-9]' "$OUT/build" ||
            problem "the build has run no tests"
        say "built: $(tail -n 3 "$OUT/build" | paste -sd ' ')"
    fi
}
