#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 600
#
# UCX's own tests of UCP over vmp alone: all but what
# has a file of its own.

# shellcheck source-path=SCRIPTDIR source=lib_gtest.sh
. "$(dirname "$0")/lib_gtest.sh"

gtest_start
gtest_run ucp 580 "@/test_ucp*:@/test_proto*:-*sockaddr*:\
@/test_ucp_wireup*:@/test_ucp_tag_xfer*:@/test_ucp_peer_failure*:\
@/test_proto_reset*"
lab_end
