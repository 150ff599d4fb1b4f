#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# full on: trixie
# timeout: 500
#
# As failover.sh, longer.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_integrity.sh
. "$LAB_TEST_DIR/lib_integrity.sh"
# shellcheck source-path=SCRIPTDIR source=lib_failover.sh
. "$LAB_TEST_DIR/lib_failover.sh"

failover_start
under_cuts "links cut one by one" "-n 400" "$quick UCX_VMP_NUM_PATHS=8"
under_cuts "peer error handling" "-n 200 -E" "$quick"
under_cuts "every message spread" "-n 100" \
           "$quick UCX_VMP_SPREAD_THRESH=0 UCX_VMP_NUM_PATHS=16"
lab_end
