#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 600
#
# As programs.sh: processes, endpoints and threads in greater numbers.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_programs.sh
. "$LAB_TEST_DIR/lib_programs.sh"

lab_start
mesh "four processes a host" 4 "-e 2 -c 3" ""
mesh "two hundred endpoints a process" 2 "-e 50 -i 1 -m 4096" ""
mesh "made and closed" 1 "-e 1 -i 2 -c 300 -m 16384 -t 190" ""
mesh "made and killed" 1 "-e 1 -i 2 -c 300 -m 16384 -f k -t 190" ""
mesh "made, closed and killed" 2 "-e 2 -i 2 -c 40 -f m -t 190" ""
two "one worker" vmp_threads "-n 100" ""
two "one worker, peer error handling" vmp_threads "-n 60 -E" ""
two "a worker a thread" vmp_threads "-n 60 -w" ""
two "every message spread" vmp_threads "-n 60 -m 20000" \
    "UCX_VMP_SPREAD_THRESH=0 UCX_VMP_NUM_PATHS=16"
lab_end
