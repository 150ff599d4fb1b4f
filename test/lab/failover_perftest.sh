#!/bin/bash
#
# Copyright (c) Virtuoso contributors, 2026. ALL RIGHTS RESERVED.
#
# See file LICENSE for terms.
#
# labels: full
# timeout: 700
#
# ucx_perftest while one link, a second and a third are cut, and healed in another
# order: no error, and the links carry all payload.

# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib_failover.sh
. "$LAB_TEST_DIR/lib_failover.sh"

# under_all TEST SIZE ITERATIONS: or more
under_all()
{
    under_round "$1" cutter_many "$3" \
                perf "links cut one on the other" "$1" "$2"
}

failover_start
under_all tag_bw 1048576 250
under_all ucp_put_bw 1048576 250
under_all ucp_get 1048576 200
under_all ucp_am_bw 65536 4000
under_all tag_lat 8 4000
lab_end
