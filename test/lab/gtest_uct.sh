#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 600
#
# UCX's own tests of transports, over vmp.

# shellcheck source-path=SCRIPTDIR source=lib_gtest.sh
. "$(dirname "$0")/lib_gtest.sh"

gtest_start
gtest_run uct 580 '@/*:-@/*test_ucp*:@/test_proto*'
lab_end
