#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# Programs that the hosts' trees do not have, for the long tests that need them:
# packages of the suite are put over /usr and /etc of both hosts, and are gone
# when the test ends, with all that it changed there. Source it after lib.sh.

LAYER_PACKAGING=$LAB_TEST_DIR/../../contrib/packaging

# layer_on HOST NAME SCRIPT: with what is kept for the hosts at /run/layers, of
# which NAME is $1. $mount is a mount that needs nothing of /usr.
layer_on()
{
    # shellcheck disable=SC2016 # for the shell over there
    on "$1" 60 sh -euc '
        mount="/usr/lib/vmplab/busybox mount"
        virtio=trans=virtio,version=9p2000.L,ro,msize=512000,cache=loose
        mkdir -p /run/layers
        $mount -t 9p -o $virtio layers /run/layers
        '"$3" - "$2" >"$OUT/layer" 2>&1 || {
        show "$OUT/layer"
        fail "$2 cannot be mounted on host $1"
    }
}

# layer_mount PACKAGE[,PACKAGE...]
layer_mount()
{
    local suite name host

    suite=$("$VMPLAB" status | sed -n 's/^suite: //p')
    say "packages: $1"
    name=$("$LAYER_PACKAGING/in-suite" "$suite" --with "$1" --layer \
           2>"$OUT/layer") || {
        show "$OUT/layer"
        skip "these packages cannot be had"
    }
    at_exit layer_umount
    for host in a b; do
        # shellcheck disable=SC2016 # for the shell over there
        layer_on $host "$name" '
            for dir in usr etc; do
                mkdir -p /run/over/$dir /run/over/$dir.work
                lower=lowerdir=/run/layers/$1/$dir:/$dir
                upper=upperdir=/run/over/$dir,workdir=/run/over/$dir.work
                $mount -t overlay -o "$lower,$upper" overlay /$dir
            done'
    done
}

# Programs that still run keep theirs
layer_umount()
{
    local host

    for host in a b; do
        # shellcheck disable=SC2016 # for the shell over there
        on $host 30 sh -c '
            cp /usr/lib/vmplab/busybox /run/busybox
            for dir in usr etc run/layers; do
                /run/busybox umount -l "/$dir"
            done
            rm -rf /run/busybox /run/over'
    done >"$OUT/layer" 2>&1 || show "$OUT/layer"
}
