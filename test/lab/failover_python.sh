#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 500
#
# Python processes that sleep for what they wait for, as UCX-Py's do, while links
# are cut and healed.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_python.sh
. "$LAB_TEST_DIR/lib_python.sh"
# shellcheck source-path=SCRIPTDIR source=lib_failover.sh
. "$LAB_TEST_DIR/lib_failover.sh"

# python_cut TIMES: all on one connection, whose set-up and end by UCX's connection
# manager are not ours
# shellcheck disable=SC2317 # under_round calls it
python_cut()
{
    python_pair "links cut one on the other" "${LAUNCH[@]}" -- \
                --rounds 1 --repeat "$1"
}

failover_start
# shellcheck disable=SC2034 # lib_python.sh uses it
python_limit=300
under_round vmp_python cutter_many 10 python_cut
lab_end
