#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 700
#
# UCX's own tests of UCP over vmp alone: tagged transfers, connection set-up. Of
# test_xfer_len_offset, which sends tens of thousands of messages, the variant
# without options; gtest_ucp_len has all of them.

# shellcheck source-path=SCRIPTDIR source=lib_gtest.sh
. "$(dirname "$0")/lib_gtest.sh"

gtest_start
gtest_run ucp 400 '@/test_ucp_tag_xfer*:@/test_ucp_wireup*-*test_xfer_len_offset*'
# One test is nothing to share
# shellcheck disable=SC2034 # lib_gtest.sh uses it
GTEST_HOSTS=(a)
gtest_run ucp 280 '@/test_ucp_tag_xfer.test_xfer_len_offset/0*'
lab_end
