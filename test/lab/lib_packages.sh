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

# Starts, and sets suite and packages, the directory in which these are
packages_start()
{
    lab_start
    [ "$TLS" = vmp ] || skip "is about vmp itself"
    suite=$("$VMPLAB" status | sed -n 's/^suite: //p')
    packages=${VMP_PACKAGES:-}
    if [ -z "$packages" ]; then
        packages=$OUT/packages
        DEB_BUILD_OPTIONS="nocheck parallel=$(nproc)" "$PACKAGING/build" \
            --suite "$suite" "$packages" >"$OUT/build" 2>&1 || {
            tail -n 25 "$OUT/build"
            fail "the packages cannot be built"
        }
        say "built: $(tail -n 3 "$OUT/build" | paste -sd ' ')"
    fi
}
