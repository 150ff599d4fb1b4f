#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: soak
# timeout: 1300
#
# UCX's own test_xfer_len_offset over vmp alone, in all variants: two minutes each.

# shellcheck source-path=SCRIPTDIR source=lib_gtest.sh
. "$(dirname "$0")/lib_gtest.sh"

gtest_start
gtest_run ucp 1200 '@/test_ucp_tag_xfer.test_xfer_len_offset*'
lab_end
