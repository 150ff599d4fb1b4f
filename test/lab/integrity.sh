#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: lab
# timeout: 240
#
# Contents of all kinds of UCP operations, which ucx_perftest does not check.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_integrity.sh
. "$LAB_TEST_DIR/lib_integrity.sh"

lab_start
integrity default "-n 40" ""
integrity "every message spread" "-n 40 -m 65536" \
          "UCX_VMP_SPREAD_THRESH=0 UCX_VMP_NUM_PATHS=16"
integrity "many endpoints" "-n 8 -e 24 -w 6 -m 65536" ""
lab_end
