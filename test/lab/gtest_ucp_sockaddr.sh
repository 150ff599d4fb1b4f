#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 1600
#
# UCX's own tests of UCP over vmp alone, with endpoints that are made by the
# address of a listener: all but those of peers that stop, which take long.

# shellcheck source-path=SCRIPTDIR source=lib_gtest.sh
. "$(dirname "$0")/lib_gtest.sh"

gtest_start
gtest_run ucp 1560 \
    '@/test_ucp_sockaddr*:-@/test_ucp_sockaddr_protocols_err.*'
lab_end
