#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# Makes ./configure. Needed once in a tree from git; a release has it.

set -eu

need() {
    command -v "$1" >/dev/null || {
        echo "autogen.sh: $1 is not installed: apt-get install $2" >&2
        exit 1
    }
}

need autoreconf autoconf
need automake automake
need libtoolize libtool

cd "$(dirname "$0")"
# Two of these at once in one tree would spoil each other's files
exec 9<configure.ac
flock -w 120 9 2>/dev/null || true
mkdir -p config m4
autoreconf --force --install "$@"
