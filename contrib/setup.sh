#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# What contrib/check and contrib/demo share: messages, packages, configure.
# Sourced, never run.

SETUP_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VMPLAB=${VMPLAB:-$SETUP_TOP/contrib/lab/vmplab}

# elapsed: time since the start of the script, as 1m05s
elapsed() {
    printf '%dm%02ds' $((SECONDS / 60)) $((SECONDS % 60))
}

say() {
    printf '[%s] %s\n' "$(elapsed)" "$*"
}

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# setup_run COMMAND...: in the background, since bash serves no signal while it
# waits for a command in the foreground; as a group that setup_stop can end
setup_run() {
    local ret=0

    set -m
    "$@" </dev/null &
    SETUP_PID=$!
    set +m
    wait "$SETUP_PID" || ret=$?
    SETUP_PID=
    return $ret
}

# setup_log LOG WHAT COMMAND...: its output goes to LOG; on failure, the end of
# it here
setup_log() {
    local log=$1 what=$2
    shift 2

    say "$what"
    if ! setup_run "$@" >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        die "$what: failed; all of it is in $log"
    fi
}

# For traps: ends what setup_run runs, and gives it time to clean up
setup_stop() {
    local i

    [ -n "${SETUP_PID:-}" ] || return 0
    kill -TERM -- "-$SETUP_PID" 2>/dev/null || return 0
    for ((i = 0; i < 60; i++)); do
        kill -0 -- "-$SETUP_PID" 2>/dev/null || return 0
        sleep 0.5
    done
    kill -KILL -- "-$SETUP_PID" 2>/dev/null || true
}

# The packages of the arguments that are not installed
setup_missing() {
    local package

    for package in "$@"; do
        # shellcheck disable=SC2016 # a format of dpkg-query
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null |
            grep -qx installed || echo "$package"
    done
}

setup_apt() {
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get
        -o DPkg::Lock::Timeout=300 -q -y)

    # Lists may be absent (container images) or too old for the mirror
    "${apt[@]}" update
    "${apt[@]}" install --no-install-recommends "$@"
}

# setup_packages LOG INSTALL PACKAGE...: installs what is missing of these and of
# what the lab needs, if INSTALL is yes
setup_packages() {
    local log=$1 install=$2 missing

    shift 2

    command -v dpkg-query >/dev/null || {
        say "not a Debian: what is missing must be installed by hand"
        return 0
    }
    # shellcheck disable=SC2046 # a list of words
    mapfile -t missing < <(setup_missing "$@" $("$VMPLAB" packages))
    [ "${#missing[@]}" -gt 0 ] || return 0
    if [ "$install" != yes ]; then
        say "not installed, and not to be: ${missing[*]}"
    elif [ "$(id -u)" -ne 0 ]; then
        say "not root, so not installed: ${missing[*]}"
        say "as root: apt-get install ${missing[*]}"
    else
        setup_log "$log" "installing ${#missing[@]} packages: ${missing[*]}" \
            setup_apt "${missing[@]}"
    fi
}

# setup_need PROGRAM PACKAGE
setup_need() {
    command -v "$1" >/dev/null || die "$1 is missing: apt-get install $2"
}

# True if autogen.sh has to run: no configure, or an input is newer
setup_autogen_needed() {
    [ -e "$SETUP_TOP/configure" ] || return 0
    [ -n "$(find "$SETUP_TOP" \( -name configure.ac -o -name Makefile.am \
        -o -path '*/m4/vmp.m4' \) -newer "$SETUP_TOP/configure" \
        -print -quit)" ]
}
