#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 600
#
# As integrity.sh, longer and with other settings of UCX and of vmp.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_integrity.sh
. "$LAB_TEST_DIR/lib_integrity.sh"

lab_start
integrity default "-n 100" ""
integrity "several workers" "-n 40 -w 4" ""
integrity "one path" "-n 40" "UCX_VMP_NUM_PATHS=1"
integrity "round robin" "-n 40" \
          "UCX_VMP_POLICY=rr UCX_VMP_SPREAD_THRESH=0 UCX_VMP_NUM_PATHS=16"
integrity "rendezvous by put" "-n 40" "UCX_RNDV_SCHEME=put_zcopy"
integrity "rendezvous by get" "-n 40" "UCX_RNDV_SCHEME=get_zcopy"
integrity "messages only" "-n 40" "UCX_RNDV_THRESH=inf"
integrity "new protocols" "-n 40" "UCX_PROTO_ENABLE=y UCX_PROTO_INFO=y"
integrity "old protocols" "-n 40" "UCX_PROTO_ENABLE=n UCX_PROTO_INFO=y"
integrity "peer error handling" "-n 40 -E" ""
integrity "wakeup" "-n 40 -W" ""
integrity "streams" "-n 60 -k s" ""
integrity "several contexts" "-n 20 -e 8 -w 8 -c 4 -m 65536" ""
integrity "all interfaces progress" "-n 40" "UCX_ADAPTIVE_PROGRESS=n"
integrity "small messages" "-n 2000 -m 256 -k tax" "UCX_VMP_SPREAD_THRESH=0"
lab_end
