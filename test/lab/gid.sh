#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: lab
# short on: trixie
# timeout: 120
#
# Connections come up and carry data over GIDs of both kinds.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

# The index of the first RoCE v2 GID that matches
gid_index()
{
    # shellcheck disable=SC2016 # for the shell over there
    on a 20 bash -c 'cd /sys/class/infiniband/rxe0/ports/1
        for i in {0..15}; do
            gid=$(cat gids/$i 2>/dev/null) || continue
            type=$(cat gid_attrs/types/$i 2>/dev/null) || continue
            case $type in *v2*) ;; *) continue ;; esac
            ! grep -qE "$1" <<<"$gid" || { echo $i; exit; }
        done' - "$1"
}

lab_start
ipv4=$(gid_index '^0000:0000:0000:0000:0000:ffff:')
ipv6=$(gid_index '^fd')
if [ -z "$ipv4" ] || [ -z "$ipv6" ]; then
    fail "rxe0 lacks an IPv4 or IPv6 GID"
fi
name=UCX_VMP_GID_INDEX
[ "$TLS" = vmp ] || name=UCX_IB_GID_INDEX
for index in "$ipv4" "$ipv6"; do
    perf "GID index $index" ucp_put_bw 1048576 12 $name="$index"
done
lab_end
