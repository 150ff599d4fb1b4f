#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 600
#
# ucx_perftest with settings other than the defaults.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"

# settings NAME=VALUE...
settings()
{
    perf "$*" tag_lat 8 100 "$@"
    perf "$*" tag_bw 8192 200 "$@"
    perf "$*" ucp_put_bw 1048576 12 "$@"
    perf "$*" ucp_get 1048576 12 "$@"
}

lab_start
settings UCX_VMP_NUM_PATHS=1
settings UCX_VMP_NUM_PATHS=4 UCX_VMP_SPREAD_THRESH=0
settings UCX_VMP_NUM_PATHS=16 UCX_VMP_SPREAD_THRESH=0 UCX_VMP_POLICY=rr
settings UCX_VMP_POLICY=rr
settings UCX_VMP_POLICY=single
perf "messages only" tag_bw 1048576 12 UCX_RNDV_THRESH=inf
perf "messages only, spread" tag_bw 1048576 12 UCX_RNDV_THRESH=inf \
     UCX_VMP_SPREAD_THRESH=0
perf "rendezvous by put" tag_bw 1048576 12 UCX_RNDV_SCHEME=put_zcopy
perf "rendezvous by get" tag_bw 1048576 12 UCX_RNDV_SCHEME=get_zcopy
lab_end
