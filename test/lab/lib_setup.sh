#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# Recipes of docs/setup.md, taken from there, so that what is tried is what people
# read; source it after lib.sh.

# setup_recipe SHIM: the set-up without variables, as a script
setup_recipe()
{
    local recipe

    recipe=$(awk '/^## / { here = ($0 == "## System-wide, without variables") }
                  /^```/ { is_code = !is_code; next }
                  here && is_code' "$LAB_TEST_DIR/../../docs/setup.md")
    case $recipe in
    *SHIM*ld.so.preload*ucx.conf*openmpi-mca-params.conf*) ;;
    *) fail "docs/setup.md has no set-up without variables" ;;
    esac
    printf 'set -eu\n%s\n' "${recipe//SHIM/$1}"
}
