#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 300
#
# UCX's own tests of requests that are refused in their middle. They want a send
# queue that 70 puts of 1 KiB do not fit into, and shorten it by the settings of
# UCX's own transports; that of vmp has another name.

# shellcheck source-path=SCRIPTDIR source=lib_gtest.sh
. "$(dirname "$0")/lib_gtest.sh"

gtest_start
if [ "$gtest_suite" = bookworm ]; then
    say "UCX 1.13 has no such tests"
else
    GTEST_ENV+=(UCX_VMP_TX_QUEUE_LEN=32)
    gtest_run ucp 280 '@/test_proto_reset*'
fi
lab_end
