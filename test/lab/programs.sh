#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: lab
# short on: trixie
# timeout: 300
#
# Many endpoints, threads, memory that comes and goes: short runs.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_programs.sh
. "$LAB_TEST_DIR/lib_programs.sh"

lab_start
mesh "two processes a host" 2 "-c 3 -e 2" ""
two "one worker" vmp_threads "-n 20" ""
two short vmp_memory "-n 3 -m 262144" ""
lab_end
