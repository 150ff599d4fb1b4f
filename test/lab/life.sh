#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: lab
# short on: bookworm
# timeout: 300
#
# Processes that fork, are stopped or killed while transfers run.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_programs.sh
. "$LAB_TEST_DIR/lib_programs.sh"

lab_start
life_fork ""
life_ok kill -E UCX_VMP_TIMEOUT=200ms 137
life_heard_nothing "kill"
life_ok stop "-S 3 -i 3" UCX_VMP_PEER_TIMEOUT=1s 0
lab_end
