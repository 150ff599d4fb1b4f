#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: lab
# timeout: 300
#
# ucx_perftest over vmp alone: does it run, and did it really use us?

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_start
perf default tag_lat 8 200
perf default tag_bw 1048576 12
perf default ucp_put_bw 8192 200
perf default ucp_put_bw 1048576 12
perf default ucp_get 1048576 12
perf default ucp_am_bw 8192 200
# UCX 1.18 gives up at its module gga, which needs mlx5 devices, before it comes
# to vmp
NO_GGA=UCX_MODULES=^rocm,mad,mlx5
perf uct am_bw 8 300 $NO_GGA -- -x "${TLS%%,*}" -d rxe0:1 -D short
perf uct am_bw 4096 100 $NO_GGA -- -x "${TLS%%,*}" -d rxe0:1 -D bcopy
perf "every message spread" tag_bw 8192 200 UCX_VMP_SPREAD_THRESH=0
lab_end
