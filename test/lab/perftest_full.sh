#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 600
#
# All tests of ucx_perftest that the transport serves, in all sizes.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_start
for size in 8 8192 1048576; do
    case $size in
        8) iterations=500 ;;
        8192) iterations=300 ;;
        *) iterations=25 ;;
    esac
    for test in tag_lat tag_bw ucp_put_bw ucp_get ucp_am_bw; do
        perf default $test $size $iterations
    done
    perf "atomics by messages" ucp_fadd 8 50
done
perf default ucp_put_lat 8 200
perf default ucp_am_lat 8 200
perf default tag_sync_lat 8 200
perf default stream_bw 65536 50
perf "unexpected" tag_bw 65536 50 -- -U
perf "peer error handling" tag_bw 1048576 12 -- -e
# See perftest.sh
NO_GGA=UCX_MODULES=^mlx5
for layout in short bcopy zcopy; do
    case $layout in
        short) size=8 ;;
        *) size=4096 ;;
    esac
    perf "uct $layout" am_bw $size 300 $NO_GGA \
         -- -x "${TLS%%,*}" -d rxe0:1 -D $layout
    perf "uct $layout" put_bw $size 300 $NO_GGA \
         -- -x "${TLS%%,*}" -d rxe0:1 -D $layout
done
lab_end
